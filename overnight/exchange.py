"""Exchanges with Temporal about a session: each bounded in time, each error in words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel
from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from overnight.errors import InvalidRequestError, SessionClosedError, UnknownSessionError, UnreachableError
from overnight.offline import WORKFLOW_TYPE, from_description, from_listing, listed_query
from workflows.contracts.messages import Message
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionStart, Status
from workflows.contracts.status import SessionStatus
from workflows.policy import view
from workflows.policy.record import one_line
from workflows.session import AutonomousSession

CALL_SECONDS = 2.0
QUERY_SECONDS = 1.5

A = TypeVar("A", bound=BaseModel)

_DOCTOR = "see `overnight doctor`"
_NOBODY = f"worker offline or busy: nobody answered within {CALL_SECONDS:g} s; {_DOCTOR}"
_WEDGED = "Workflow Task in failed state"
"""What Temporal says when a worker is there, but fails on this very session."""
_WEDGED_NEXT = (
    "The worker fails on this session (an internal error, see its log); nothing is lost, and the session goes on by"
    " itself once that is mended."
)
_NO_ANSWER = (RPCError, WorkflowQueryFailedError, TimeoutError)


class Exchange:
    """Describes, queries, signals and asks; holds a connection and nothing else."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._queue = task_queue

    def handle(self, session_id: str) -> WorkflowHandle[AutonomousSession, Any]:
        """The session in Temporal, whether it is there or not."""
        return self._client.get_workflow_handle_for(AutonomousSession.run, session_id)

    async def describe(self, session_id: str) -> WorkflowExecutionDescription:
        """What Temporal knows of a session. Raises ``UnknownSessionError`` with the newest ids."""
        try:
            described = await self.handle(session_id).describe(rpc_timeout=timedelta(seconds=CALL_SECONDS))
            if described.workflow_type == WORKFLOW_TYPE:
                return described
        except RPCError as error:
            if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
                raise unreachable(error) from None
        newest = [f"{s.session_id} ({s.status.value})" for s in await self.listing(None, None, 5)]
        shown = f"the newest are: {', '.join(newest)}" if newest else "there are no sessions yet"
        raise UnknownSessionError(f"there is no session {session_id[:80]!r}; {shown}")

    async def status(self, session_id: str) -> SessionStatus:
        """The session's own word, or its last one in Temporal when no worker answers."""
        described = await self.describe(session_id)
        try:
            known: SessionStatus = await self._query(session_id, AutonomousSession.status)
        except _NO_ANSWER as error:
            known = await from_description(described)
            if _WEDGED in str(error):
                known = known.model_copy(update={"worker": "online", "next": _WEDGED_NEXT})
        if known.status is Status.RUNNING and not known.reason:
            known = known.model_copy(update={"reason": _tried_again(described)})
        return _as_temporal_ended_it(known, described.status)

    async def listing(self, status: Status | None, project: str | None, limit: int) -> Sequence[SessionStatus]:
        """The newest sessions, from Temporal's own list: no worker is asked."""
        listed = self._client.list_workflows(listed_query(status, project), limit=limit)
        try:
            return [_as_temporal_ended_it(await from_listing(item), item.status) async for item in listed]
        except RPCError as error:
            raise unreachable(error) from None

    async def query(self, session_id: str, query: Any) -> Any:
        """The session's answer. Raises ``UnreachableError`` without a worker."""
        await self.describe(session_id)
        try:
            return await self._query(session_id, query)
        except _NO_ANSWER as error:
            raise UnreachableError(f"no worker answers for {session_id} now ({_short(error)}); {_DOCTOR}") from None

    async def _query(self, session_id: str, query: Any) -> Any:
        asked = self.handle(session_id).query(query, rpc_timeout=timedelta(seconds=QUERY_SECONDS))
        # The SDK's own limit is one of each attempt, and it makes several.
        return await asyncio.wait_for(asked, QUERY_SECONDS)

    async def send(self, session_id: str, signal: str, message: Message) -> None:
        """Send a signal. Raises ``SessionClosedError`` after the session's end."""
        described = await self.describe(session_id)
        if described.status is not WorkflowExecutionStatus.RUNNING:
            raise closed(session_id)
        try:
            await self.handle(session_id).signal(signal, message, rpc_timeout=timedelta(seconds=CALL_SECONDS))
        except RPCError as error:
            raise closed_or_unreachable(error, session_id) from None

    async def spec(self, session_id: str) -> SessionSpec:
        """What was asked for, from the first event of the session's history: no worker is asked."""
        described = await self.describe(session_id)
        async for event in self.handle(session_id).fetch_history_events(page_size=1):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            (start,) = await self._client.data_converter.decode(list(payloads), [SessionStart])
            return SessionStart.model_validate(start).spec
        raise UnknownSessionError(f"{described.id} has no history any more")

    async def read(self, name: str, question: BaseModel | None, answer: type[A]) -> A:
        """Ask a worker, as a standalone activity. Raises ``UnreachableError`` when none answers in time."""
        asked = self._client.execute_activity(
            name,
            args=[question] if question is not None else [],
            result_type=answer,
            id=f"{name.replace('_', '-')}-{uuid4().hex[:12]}",
            task_queue=self._queue,
            schedule_to_close_timeout=timedelta(seconds=CALL_SECONDS),
        )
        try:
            return await asyncio.wait_for(asked, CALL_SECONDS + 0.5)
        except ActivityFailureError as error:
            if isinstance(error.cause, ApplicationError):
                raise InvalidRequestError(f"the worker could not answer {name}: {error.cause.message}") from None
            raise UnreachableError(_NOBODY) from None
        except TimeoutError:
            raise UnreachableError(_NOBODY) from None
        except RPCError as error:
            raise unreachable(error) from None


def unreachable(error: RPCError) -> UnreachableError:
    """Temporal's silence, in words."""
    return UnreachableError(f"Temporal does not answer ({_short(error)}); {_DOCTOR}")


def closed(session_id: str) -> SessionClosedError:
    """The session's end, in words."""
    return SessionClosedError(f"{session_id} is over and takes no more messages; start a new session")


def closed_or_unreachable(error: RPCError, session_id: str) -> SessionClosedError | UnreachableError:
    """What a refused message means."""
    return closed(session_id) if error.status is RPCStatusCode.NOT_FOUND else unreachable(error)


def _as_temporal_ended_it(known: SessionStatus, status: WorkflowExecutionStatus | None) -> SessionStatus:
    """``known``, or that Temporal itself ended the session, which the session could not say any more."""
    stopped = {
        WorkflowExecutionStatus.TERMINATED: "terminated in Temporal",
        WorkflowExecutionStatus.TIMED_OUT: "timed out in Temporal",
        WorkflowExecutionStatus.FAILED: "failed in Temporal",
        WorkflowExecutionStatus.CANCELED: "cancelled in Temporal",
    }.get(status or WorkflowExecutionStatus.RUNNING)
    if stopped is None:
        return known
    upshot = f"It was {stopped}; its checkpoints are on the branch {view.branch(known.session_id)}."
    return known.model_copy(update={"status": Status.FAILED, "reason": stopped, "next": upshot})


def _tried_again(described: WorkflowExecutionDescription) -> str:
    """What Temporal itself tries again, with the last failure: the session hears of it only when it is given up."""
    for pending in described.raw_description.pending_activities:
        if pending.attempt > 1 and (why := pending.last_failure.message):
            what = f"{pending.activity_type.name}: attempt {pending.attempt} of {pending.maximum_attempts}"
            return one_line(f"{what} after: {why}")
    return ""


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
