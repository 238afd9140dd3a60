"""A worker in a process of its own, as the stack starts it, with a scripted model and a connection to its sessions."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.server import ScriptedModel
from tests.failures.misbehaviour import Log
from tests.sessions.conftest import SECRET
from tests.worker_process import WorkerProcess

NAMESPACE = "apart"


@dataclass
class Apart:
    """An installation whose worker can be killed."""

    sessions: Sessions
    stage: Log
    model: ScriptedModel
    worker: WorkerProcess


@asynccontextmanager
async def installation(engine: WorkflowEnvironment, home: Path, **variables: str) -> AsyncIterator[Apart]:
    """A worker process with its home in ``home``, in a namespace of its own."""
    stage = Log()
    address = engine.client.service_client.config.target_host
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage, keep=5_000))
        env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": SECRET,
            "OVERNIGHT_HOME": str(home),
            "OVERNIGHT_GRACE_SECONDS": "1",
            **variables,
        }
        worker = WorkerProcess(home, env)
        stack.push_async_callback(worker.stop)
        await worker.start()
        client = await Client.connect(address, namespace=NAMESPACE, data_converter=pydantic_data_converter)
        yield Apart(Sessions(client, Settings(home=home), ui_url=None), stage, model, worker)
