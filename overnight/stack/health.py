"""Whether the Temporal server does its work, not only whether something listens on its port."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from overnight.stack import ports
from overnight.stack.model import Stack

ANSWER_SECONDS = 2.0

_NOBODY = "overnight-is-anybody-there"


def serves(stack: Stack) -> bool:
    """Whether the server of ``stack`` answers a question about a session within ``ANSWER_SECONDS``.

    A server whose disk is full, or that hangs, still accepts connections and tells its version. Only the part that
    keeps sessions, asked for one that was never there, can say that it works.
    """
    if not ports.answers(stack.port):
        return False
    with ThreadPoolExecutor(1) as pool:  # the caller may be inside an event loop
        return pool.submit(lambda: asyncio.run(_serves(stack.address, stack.namespace))).result()


async def _serves(address: str, namespace: str) -> bool:
    # Here, as whoever only looks at the record must not wait for the SDK to load.
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
    from temporalio.service import RPCError, RPCStatusCode

    from overnight.base.temporal import connect

    question = DescribeWorkflowExecutionRequest(namespace=namespace, execution=WorkflowExecution(workflow_id=_NOBODY))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            client = await connect(address, namespace)
            await client.workflow_service.describe_workflow_execution(
                question, retry=False, timeout=timedelta(seconds=ANSWER_SECONDS)
            )
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    except (RuntimeError, TimeoutError):
        return False
    return True
