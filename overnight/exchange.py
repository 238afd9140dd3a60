"""Exchanges with Temporal about a session: each bounded in time, each error in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from pydantic import BaseModel
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.service import RPCError, RPCStatusCode

from overnight.base.patience import left
from overnight.base.temporal import is_external
from overnight.base.wording import quoted
from overnight.errors import (
    InvalidRequestError,
    SessionClosedError,
    SignalsExhaustedError,
    UnknownSessionError,
    UnreachableError,
    WorkerAwayError,
)
from overnight.offline import (
    FAILS,
    WORKFLOW_TYPE,
    from_description,
    from_listing,
    listed_query,
    problems,
    trace_of,
)
from overnight.reach import EVERYTHING, Reach
from workflows.contracts.messages import Message
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionResult, SessionStart, Status
from workflows.contracts.status import SessionStatus
from workflows.policy import view
from workflows.policy.record import one_line
from workflows.session import AutonomousSession

CALL_SECONDS = 2.0
FAR_SECONDS = 60.0
"""How long a worker may look at a project or a vault, which may be large or at a URL, where the caller has the time."""
QUERY_SECONDS = 1.5
TAKEN_SECONDS = 1.5
"""How long a worker that is there has to take a message, before the answer says that it has not."""
AGAIN_AND_AGAIN = 3
"""Attempts at one workflow task that are no chance any more: a worker that was killed costs one."""

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")

DOCTOR = "see `overnight doctor`"
"""What a person at this machine does about it."""
_NOBODY = f"worker offline or busy: nobody answered within {CALL_SECONDS:g} s; {DOCTOR}"
_NEITHER = f"worker offline or busy, or Temporal: nobody answered within {CALL_SECONDS:g} s; {DOCTOR}"
_WEDGED = "Workflow Task in failed state"
"""What Temporal says when a worker is there, but fails on this very session."""
_WEDGED_NEXT = (
    "The worker fails on this session (an internal error, see its log); nothing is lost, and the session goes on by"
    " itself once that is mended."
)
_NO = {RPCStatusCode.NOT_FOUND, RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}
_AT_WORK = {TimeoutType.SCHEDULE_TO_CLOSE, TimeoutType.START_TO_CLOSE}
"""How the time of a worker ends that was heard of all the while."""
_NO_ANSWER = (RPCError, WorkflowQueryFailedError, TimeoutError)


class Mark(NamedTuple):
    """How far a session is, to be compared with an earlier mark and for nothing else."""

    steps: str
    """Another one after whatever happens to it."""
    phases: str
    """Another one with each phase, status and cost that it says of itself."""


class Exchange:
    """Describes, queries, signals and asks; holds a connection and nothing else."""

    def __init__(self, client: Client, task_queue: str, reach: Reach = EVERYTHING) -> None:
        self._client = client
        self._queue = task_queue
        self._reach = reach

    def handle(self, session_id: str) -> WorkflowHandle[AutonomousSession, Any]:
        """The session in Temporal, whether it is there or not."""
        return self._client.get_workflow_handle_for(AutonomousSession.run, session_id)

    async def describe(self, session_id: str) -> WorkflowExecutionDescription:
        """What Temporal knows of a session. Raises ``UnknownSessionError`` with the newest ids.

        One that is out of reach is answered as one that is not there.
        """
        if (described := await self._described(session_id)) is not None:
            return described
        newest = [f"{s.session_id} ({s.status.value})" for s in await self.listing(None, None, 5)]
        shown = f"the newest are: {', '.join(newest)}" if newest else "there are no sessions yet"
        raise UnknownSessionError(f"there is no session {session_id[:80]!r}; {shown}")

    async def _described(self, session_id: str) -> WorkflowExecutionDescription | None:
        try:
            described = await within(self.handle(session_id).describe(rpc_timeout=timedelta(seconds=CALL_SECONDS)))
            if described.workflow_type == WORKFLOW_TYPE and self._reach.sees(described):
                return described
        except RPCError as error:
            if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
                raise unreachable(error) from None
        return None

    async def mark(self, session_id: str) -> Mark | None:
        """How far a session is, by one question to Temporal; None for one that is not there."""
        if (described := await self._described(session_id)) is None:
            return None
        told = await from_listing(described)
        return Mark(f"{described.run_id} {described.history_length} {described.status}", told.model_dump_json())

    async def status(self, session_id: str) -> SessionStatus:
        """The session's own word, or its last one in Temporal when no worker answers."""
        described = await self.describe(session_id)
        try:
            known: SessionStatus = await self._query(session_id, AutonomousSession.status)
        except _NO_ANSWER as error:
            known = await from_description(described)
            wedged = _WEDGED in str(error)
            if not known.status.is_final and (why := stuck_task(described) or (FAILS if wedged else "")):
                worker = "online" if wedged else known.worker
                known = known.model_copy(update={"worker": worker, "reason": one_line(why), "next": _WEDGED_NEXT})
        if found := await trace_of(described):
            known = known.model_copy(update={"trace_id": found})
        if known.status is Status.RUNNING and not known.reason:
            known = known.model_copy(update={"reason": _tried_again(described)})
        return _as_temporal_ended_it(known, described.status)

    async def listing(self, status: Status | None, project: str | None, limit: int) -> Sequence[SessionStatus]:
        """The newest sessions within reach, from Temporal's own list: no worker is asked."""
        listed = self._client.list_workflows(listed_query(status, project, self._reach.owner), limit=limit)
        known: list[SessionStatus] = []
        try:
            while (item := await within(anext(listed, None))) is not None:
                known.append(_as_temporal_ended_it(await from_listing(item), item.status))
        except RPCError as error:
            raise unreachable(error) from None
        return known

    async def page(
        self, status: Status | None, project: str | None, size: int, token: bytes
    ) -> tuple[list[SessionStatus], bytes]:
        """One page of the same list, newest first, and the token of the next; empty after the last one."""
        query = listed_query(status, project, self._reach.owner)
        listed = self._client.list_workflows(query, page_size=size, next_page_token=token)
        try:
            await within(listed.fetch_next_page())
        except RPCError as error:
            raise unreachable(error) from None
        known = [_as_temporal_ended_it(await from_listing(item), item.status) for item in listed.current_page or []]
        return known, listed.next_page_token or b""

    async def count(self, status: Status | None, project: str | None) -> int:
        """How many sessions the same list has, within reach."""
        try:
            counted = await within(self._client.count_workflows(listed_query(status, project, self._reach.owner)))
        except RPCError as error:
            raise unreachable(error) from None
        return counted.count

    async def result(self, session_id: str) -> SessionResult | None:
        """What a session that has ended came to: no worker is asked. None before, and when Temporal ended it."""
        described = await self.describe(session_id)
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return None
        try:
            known: SessionResult = await within(self.handle(session_id).result())
        except RPCError as error:
            raise unreachable(error) from None
        return known

    async def kept_seconds(self) -> float | None:
        """How long Temporal keeps a session after its end; None where it does not say."""
        asked = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            told = await within(self._client.workflow_service.describe_namespace(asked))
        except RPCError as error:
            raise unreachable(error) from None
        kept = told.config.workflow_execution_retention_ttl
        return kept.ToTimedelta().total_seconds() if told.config.HasField("workflow_execution_retention_ttl") else None

    async def query(self, session_id: str, query: Any) -> Any:
        """The session's answer. Raises ``UnreachableError`` without a worker."""
        await self.describe(session_id)
        try:
            return await self._query(session_id, query)
        except _NO_ANSWER as error:
            raise WorkerAwayError(
                f"no worker answers for {session_id} now ({_short(error)}): away or busy. Ask again soon; {DOCTOR}"
            ) from None

    async def _query(self, session_id: str, query: Any) -> Any:
        asked = self.handle(session_id).query(query, rpc_timeout=timedelta(seconds=QUERY_SECONDS))
        # The SDK's own limit is one of each attempt, and it makes several.
        return await asyncio.wait_for(asked, left(QUERY_SECONDS))

    async def send(self, session_id: str, signal: str, message: Message) -> None:
        """Send a signal. Raises ``SessionClosedError`` after the session's end."""
        described = await self.describe(session_id)
        if described.status is not WorkflowExecutionStatus.RUNNING:
            raise closed(session_id)
        try:
            await within(self.handle(session_id).signal(signal, message, rpc_timeout=timedelta(seconds=CALL_SECONDS)))
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT and "limit for signal" in error.message:
                raise SignalsExhaustedError(
                    f"{session_id} has had as many messages as Temporal lets one run of a workflow take;"
                    f" `overnight cancel {session_id}` still ends it, and its work stays on the branch"
                ) from None
            raise closed_or_unreachable(error, session_id) from None

    async def update(self, session_id: str, update: Any, message: BaseModel) -> SessionStatus:
        """What the session says to an update that it took.

        Raises ``InvalidRequestError`` with what it said no for, ``SessionClosedError``, ``UnreachableError``.
        """
        await self.describe(session_id)
        sent = self.handle(session_id).execute_update(update, message, rpc_timeout=timedelta(seconds=CALL_SECONDS))
        try:
            known: SessionStatus = await asyncio.wait_for(sent, left(CALL_SECONDS))
        except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError):
            raise WorkerAwayError(
                f"no worker answers for {session_id} now, and without one it cannot say yes or no: nothing was changed"
                f" yet, but this may still arrive. See its status when a worker is back, then ask again; {DOCTOR}"
            ) from None
        except WorkflowUpdateFailedError as error:
            raise _refused(error) from None
        except RPCError as error:
            raise closed_or_unreachable(error, session_id) from None
        return known

    async def cancel(self, session_id: str, message: Message) -> None:
        """Cancel by signal; by Temporal's own Cancel, which does the same, where a run can take no more signals."""
        try:
            await self.send(session_id, "cancel", message)
        except SignalsExhaustedError:
            await within(self.handle(session_id).cancel(rpc_timeout=timedelta(seconds=CALL_SECONDS)))

    async def not_taken(self, session_id: str, *, seconds: float) -> str | None:
        """Why the session has not taken what it was sent within ``seconds``, in words; None as soon as it has."""
        deadline = time.monotonic() + min(seconds, left(seconds))
        while True:
            try:
                rest = max(0.5, deadline - time.monotonic())
                described = await asyncio.wait_for(self.describe(session_id), rest)
            except (TimeoutError, UnreachableError):
                return "Temporal does not say whether"
            over = described.status is not WorkflowExecutionStatus.RUNNING
            # A message makes a task for the workflow, and is taken when none is left.
            if over or not described.raw_description.HasField("pending_workflow_task"):
                return None
            if time.monotonic() >= deadline:
                return stuck_task(described) or "its worker is busy or away"
            await asyncio.sleep(0.05)

    async def resume(self, session_id: str, message: Message) -> None:
        """Resume by signal; by an update, which does the same, where a run can take no more signals."""
        try:
            await self.send(session_id, "resume", message)
        except SignalsExhaustedError:
            await self.update(session_id, AutonomousSession.on_resume_update, message)

    async def spec(self, session_id: str) -> SessionSpec:
        """What was asked for, from the first event of the session's history: no worker is asked."""
        described = await self.describe(session_id)
        try:
            event = await within(anext(self.handle(session_id).fetch_history_events(page_size=1), None))
        except RPCError as error:
            raise unreachable(error) from None
        if event is None:
            raise UnknownSessionError(f"{described.id} has no history any more")
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        (start,) = await self._client.data_converter.decode(list(payloads), [SessionStart])
        return SessionStart.model_validate(start).spec

    async def read(self, name: str, question: BaseModel | None, answer: type[A], *, longest: float = 0) -> A:
        """Ask a worker, as a standalone activity. Raises ``UnreachableError`` when none answers in time.

        One that has taken the question may work on it for ``longest`` seconds where that is more than the usual, unless
        whoever asks has less, as long as it lets hear from it.
        """
        seconds = left(max(longest, CALL_SECONDS))
        is_long = seconds > CALL_SECONDS
        asked = self._client.execute_activity(
            name,
            args=[question] if question is not None else [],
            result_type=answer,
            id=f"{name.replace('_', '-')}-{uuid4().hex[:12]}",
            task_queue=self._queue,
            schedule_to_start_timeout=timedelta(seconds=min(seconds, CALL_SECONDS)),
            schedule_to_close_timeout=timedelta(seconds=seconds),
            heartbeat_timeout=timedelta(seconds=CALL_SECONDS) if is_long else None,
            retry_policy=RetryPolicy(maximum_attempts=1 if is_long else 2),
        )
        try:
            return await asyncio.wait_for(asked, left(seconds + 0.5))
        except ActivityFailureError as error:
            if isinstance(error.cause, ApplicationError):
                why = quoted(f"{error.cause.type}: {error.cause.message}")
                raise UnreachableError(f"the worker failed on {name}; its log says more\n{why}") from None
            is_slow = isinstance(error.cause, ActivityTimeoutError) and error.cause.type in _AT_WORK
            raise WorkerAwayError(_slow(seconds) if is_long and is_slow else _NOBODY) from None
        except TimeoutError:
            raise WorkerAwayError(_NEITHER) from None
        except RPCError as error:
            raise unreachable(error) from None


async def within(call: Awaitable[T]) -> T:
    """The answer to a call of Temporal's service. Raises ``UnreachableError`` when there is none within 2 s.

    The SDK's own limit is one of each attempt, and it makes several.
    """
    seconds = left(CALL_SECONDS)
    try:
        return await asyncio.wait_for(call, seconds)
    except TimeoutError:
        raise _silent(f"no answer within {seconds:.1g} s") from None


def _slow(seconds: float) -> str:
    return (
        f"the worker did not come to an end within {seconds:g} s: what it was to look at is very large, or too far away"
        f" for it now; try again, or {DOCTOR}"
    )


def unreachable(error: RPCError) -> UnreachableError:
    """Temporal's silence, or its no, in words."""
    if error.status in _NO:
        return UnreachableError(f"Temporal says no ({_short(error).rstrip('.')}); look at its settings, or {DOCTOR}")
    known = {
        RPCStatusCode.UNAVAILABLE: "it cannot be reached",
        RPCStatusCode.DEADLINE_EXCEEDED: f"no answer within {CALL_SECONDS:g} s",
        RPCStatusCode.CANCELLED: f"no answer within {CALL_SECONDS:g} s",
    }
    return _silent(known.get(error.status) or _short(error))


def _silent(why: str) -> UnreachableError:
    there = "look whether your server runs" if is_external() else "`overnight up` starts it"
    return UnreachableError(f"Temporal does not answer ({why}); {there}, or {DOCTOR}")


def closed(session_id: str) -> SessionClosedError:
    """The session's end, in words."""
    return SessionClosedError(f"{session_id} is over and takes no more messages; start a new session")


def _refused(error: WorkflowUpdateFailedError) -> InvalidRequestError | SessionClosedError:
    """What a session said no to, and why."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == "Closed":
        return SessionClosedError(cause.message)
    return InvalidRequestError(getattr(cause, "message", str(cause)))


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
    late = [g if g.state == "delivered" else g.model_copy(update={"state": "too_late"}) for g in known.guidance]
    ended = {"status": Status.FAILED, "reason": stopped, "next": upshot}
    return known.model_copy(update={**ended, "guidance": late} if late else ended)


def stuck_task(described: WorkflowExecutionDescription) -> str:
    """That the worker fails on this session again and again, in words; empty when it does not."""
    pending = described.raw_description.pending_workflow_task
    if pending.attempt >= AGAIN_AND_AGAIN:
        return f"{FAILS}: attempt {pending.attempt} of one workflow task"
    return problems(described)


def _tried_again(described: WorkflowExecutionDescription) -> str:
    """What Temporal itself tries again, with the last failure: the session hears of it only when it is given up."""
    for pending in described.raw_description.pending_activities:
        if pending.attempt > 1 and (why := pending.last_failure.message):
            what = f"{pending.activity_type.name}: attempt {pending.attempt} of {pending.maximum_attempts}"
            return one_line(f"{what} after: {why}")
    return ""


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
