"""Sessions: the one client API. It holds a Temporal connection and nothing else.

A call takes no longer than its caller says (``overnight.base.patience``). Unless one says so, an exchange takes 2 s at
most, or a minute where a worker looks at a project or a vault, which may be large or far away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from overnight import effect, readiness
from overnight.approvals import Approvals
from overnight.base.credentials import Credential
from overnight.base.patience import keeping, left
from overnight.base.settings import Settings
from overnight.base.temporal import TASK_QUEUE
from overnight.base.tracing import TRACE, beginning
from overnight.changes import Changes
from overnight.errors import InvalidRequestError, UnknownSessionError
from overnight.exchange import CALL_SECONDS, FAR_SECONDS, TAKEN_SECONDS, Exchange, Mark, unreachable, within
from overnight.knowledge import Knowledge
from overnight.offline import trace_of
from overnight.reach import EVERYTHING, Reach
from overnight.request import NewSession, details, in_words, refuse_secrets
from overnight.searching import Found, search
from overnight.started import Started, begun, listed_as, not_given, there_already
from workflows.contracts.messages import Cancel, Message, Pause, RaiseLimits, Resume, Rollback, Steer, SteerWhen, When
from workflows.contracts.reads import BranchAnswer, DiffAnswer, HostAnswer, ProjectAnswer, ProjectQuestion
from workflows.contracts.spec import EgressMode
from workflows.contracts.state import SessionResult, SessionStart, SessionState, Status
from workflows.contracts.status import Events, SessionStatus
from workflows.contracts.text import printable
from workflows.gated import GLANCE
from workflows.policy import view
from workflows.policy.approvals import how as how_to_answer
from workflows.policy.inbox import LIMIT
from workflows.policy.record import one_line
from workflows.session import AutonomousSession

S = TypeVar("S", bound=SessionStatus)

POLL_SECONDS = 0.5
MESSAGE_SECONDS = 0.6
"""What a look at a session leaves of a caller's patience for the message that follows."""
LOOK_SECONDS = 0.4
"""What is kept for a look at how a session stands after a message, of the time that a call has."""
SETTLED_SECONDS = 1.0
"""How long new limits may take until they show in the session's status."""

FOR_A_PERSON = frozenset({Status.PAUSED, Status.WAITING_APPROVAL})
"""Statuses in which nothing goes on until a person acts."""


class Accepted(BaseModel):
    """A message is on its way to the session; ``guidance_id`` names steering text in its status."""

    session_id: str
    accepted: bool = True
    guidance_id: str | None = None
    taken: bool = True
    """False where the session does not know of it yet: no worker is there, or it cannot get on."""
    next: str
    """What it does to the session in the state that it was in."""


class Sessions:
    """Start, watch and steer sessions. Every error is a ``SessionError`` in words."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        ui_url: str | None,
        task_queue: str = TASK_QUEUE,
        reach: Reach = EVERYTHING,
    ) -> None:
        self._client = client
        self._settings = settings
        self._ui_url = ui_url
        self._queue = task_queue
        self._reach = reach
        self._exchange = Exchange(client, task_queue, reach)
        self.approvals = Approvals(self._exchange, by=reach.owner)
        self.changes = Changes(self._exchange)
        self.knowledge = Knowledge(self._exchange, self.inspect)
        self._kept: float | None = None

    def within(self, reach: Reach) -> Sessions:
        """The same for a caller who sees, and may name, less. The embedded Web UI, which shows all, is kept from it."""
        if reach == EVERYTHING:
            return self
        ui_url = self._ui_url if reach.owner is None else None
        return Sessions(self._client, self._settings, ui_url=ui_url, task_queue=self._queue, reach=reach)

    # ------------------------------------------------------------------ starting

    async def start(self, request: NewSession, *, credential: Credential | None = None) -> Started:
        """Start a session and return at once; the same ``session_id`` again returns the session that is there.

        ``credential`` is the caller's own, compared with the worker's. Raises ``InvalidRequestError``,
        ``NotReadyError``, ``UnreachableError``; then nothing was started.
        """
        self._reach.check(project=request.project, held_out=request.held_out)
        if (known := await self.existing(request)) is not None:
            return there_already(known)
        host, answer = await asyncio.gather(
            self.check_ready(credential, request.network(self._settings).mode),
            self.inspect(request.project, request.ref),
        )
        if answer.project is None:
            raise InvalidRequestError(f"{answer.wrong}: {answer.problem}")
        spec = request.spec(answer.project, self._settings)
        state = SessionState(limits=spec.limits)
        try:
            with beginning(wanted=host.traced) as trace:
                await within(
                    self._client.start_workflow(
                        AutonomousSession.run,
                        SessionStart(spec=spec),
                        id=spec.session_id,
                        task_queue=self._queue,
                        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                        memo={GLANCE: view.glance(spec, state), **({TRACE: trace} if trace else {})},
                        search_attributes=listed_as(spec, state, self._reach),
                        static_summary=one_line(spec.goal, 180),
                        static_details=details(spec),
                        rpc_timeout=timedelta(seconds=CALL_SECONDS),
                    )
                )
        except WorkflowAlreadyStartedError:
            if request.session_id is None:
                return await self.start(request, credential=credential)  # a name by chance, and taken: another one
            if (known := await self.existing(request)) is None:  # somebody else's, or no session at all
                raise InvalidRequestError(
                    f"session_id: {spec.session_id} is taken; choose another id or leave it out"
                ) from None
            return there_already(known)
        except RPCError as error:
            raise unreachable(error) from None
        notes = not_given(spec, host, self._settings, here=self._reach.owner is None)
        return self._linked(begun(spec, state, answer, host, notes)).model_copy(update={"trace_id": trace})

    async def existing(self, request: NewSession) -> SessionStatus | None:
        """The session that has the id that is asked for; None when there is none, or no id is asked for.

        Raises ``InvalidRequestError`` when it works on another goal.
        """
        if request.session_id is None:
            return None
        try:
            known = await self.status(request.session_id)
        except UnknownSessionError:
            return None
        if not printable(request.goal).startswith(known.goal.rstrip("…")[:200]):
            raise InvalidRequestError(
                f"session_id: {known.session_id} is taken by a session with another goal ({known.goal[:80]!r});"
                " choose another id or leave it out"
            )
        return known

    async def check_ready(self, credential: Credential | None, egress: EgressMode) -> HostAnswer:
        """The worker's word on itself. Raises ``NotReadyError`` when it cannot run sessions for this caller.

        Raises ``InvalidRequestError`` when it could, but not with this network.
        """
        host = await self.host()
        readiness.check(host, credential, egress)
        return host

    async def inspect(self, project: str | None, ref: str | None = None) -> ProjectAnswer:
        """How a worker sees a project; ``problem`` says in words what is wrong with it.

        Raises ``InvalidRequestError`` for one that is out of the caller's reach.
        """
        self._reach.check(project=project)
        question = ProjectQuestion(location=project, ref=ref)
        return await self._exchange.read("read_project", question, ProjectAnswer, longest=FAR_SECONDS)

    async def host(self) -> HostAnswer:
        """What the worker is, holds and gives."""
        return await self._exchange.read("read_host", None, HostAnswer)

    # ------------------------------------------------------------------ watching

    async def status(self, session_id: str) -> SessionStatus:
        """Where a session stands; without a worker, its last word in Temporal. Raises ``UnknownSessionError``."""
        return self._linked(await self._exchange.status(session_id))

    async def list(
        self, *, status: Status | None = None, project: str | None = None, limit: int = 20
    ) -> Sequence[SessionStatus]:
        """The newest sessions, from Temporal's own list: no worker is asked."""
        return [self._linked(known) for known in await self._exchange.listing(status, project, limit)]

    async def mark(self, session_id: str) -> Mark | None:
        """How far a session is, for whoever wants to know whether anything changed; None for an unknown one."""
        return await self._exchange.mark(session_id)

    async def search(
        self,
        *,
        status: Status | None = None,
        project: str | None = None,
        text: str = "",
        limit: int = 20,
        cursor: str | None = None,
    ) -> Found:
        """The newest sessions with ``text`` in goal or id, or on a project (path or URL), and where the list goes on.

        Looks through a bounded number of sessions; with few hits there may be more behind ``cursor``. Raises
        ``InvalidRequestError`` for a cursor that is none.
        """
        found = await search(self._exchange, status=status, project=project, text=text, limit=limit, cursor=cursor)
        return found.model_copy(update={"sessions": [self._linked(known) for known in found.sessions]})

    async def wait(
        self,
        session_ids: Sequence[str],
        *,
        until: Literal["attention", "end"] = "attention",
        timeout_seconds: float = 50,
    ) -> tuple[Sequence[SessionStatus], bool]:
        """Wait until one of the sessions ended or (``attention``) is paused. Returns all, and whether time ran out.

        A time-out is not an error, and nothing is cancelled by it.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            known = await asyncio.gather(*(self.status(one) for one in session_ids))
            if any(s.status.is_final or (until == "attention" and s.status in FOR_A_PERSON) for s in known):
                return known, False
            left = deadline - time.monotonic()
            if left <= 0:
                return known, True
            await asyncio.sleep(min(POLL_SECONDS, left))

    async def events(self, session_id: str, *, after: int = 0) -> Events:
        """The last events with a number above ``after``, oldest first. Raises ``UnreachableError`` without a worker."""
        known: Events = await self._exchange.query(session_id, AutonomousSession.events)
        return known.model_copy(update={"events": [e for e in known.events if e.seq > after]})

    async def report(self, session_id: str) -> str:
        """The session's report, as markdown. Raises ``UnreachableError`` without a worker."""
        said: str = await self._exchange.query(session_id, AutonomousSession.report)
        return await self._traced(session_id, said)

    async def diff(self, session_id: str, *, path: str | None = None, stat: bool = False) -> DiffAnswer:
        """What the session changed since its base commit. Raises ``UnreachableError`` without a worker."""
        return (await self.changes.compare(session_id, path=path, stat=stat)).answer

    async def branch(self, session_id: str) -> BranchAnswer:
        """Where the session's branch can be fetched from, and its checkpoints, newest first.

        Raises ``UnreachableError`` where the worker that answers does not have it.
        """
        return (await self.changes.branch(session_id)).branch

    async def result(self, session_id: str) -> SessionResult | None:
        """How a session ended, as long as Temporal keeps it, worker or not; None before, and when Temporal ended it."""
        known = await self._exchange.result(session_id)
        if known is None:
            return None
        return known.model_copy(update={"report": await self._traced(session_id, known.report)})

    async def _traced(self, session_id: str, report: str) -> str:
        """A report with the trace in which it can be seen what happened, if there is one."""
        found = await trace_of(await self._exchange.describe(session_id))
        return f"{report.rstrip()}\n\nTrace: `{found}`\n" if found else report

    async def kept_seconds(self) -> float | None:
        """How long Temporal keeps a session after its end; None where it does not say."""
        if self._kept is None:
            self._kept = await self._exchange.kept_seconds()
        return self._kept

    def monitor_url(self, session_id: str) -> str:
        """The session's page in Temporal's Web UI; empty when nobody said where that is."""
        base = self._ui_url or self._settings.ui_url
        return f"{base.rstrip('/')}/namespaces/{self._client.namespace}/workflows/{session_id}" if base else ""

    # ------------------------------------------------------------------ steering

    async def pause(self, session_id: str, *, reason: str = "", when: When = "turn") -> Accepted:
        """Pause at the end of the running turn, or now; the work is kept."""
        refuse_secrets("reason", reason)
        known = await self._before(session_id)
        message = Pause(id=_new_id(), reason=reason, when=when)
        return await self._send(session_id, "pause", message, effect.of_pause(known, when))

    async def resume(self, session_id: str, *, reason: str = "") -> Accepted:
        """Go on. Raises ``InvalidRequestError`` where only a raised limit or an approval lets the session go on."""
        known = await self._before(session_id)
        if known.status is Status.WAITING_APPROVAL and known.approval is not None:
            raise InvalidRequestError(
                f"{session_id} waits for a person's approval, and resuming is none."
                f" {how_to_answer(session_id, known.approval)}"
            )
        if known.status is Status.PAUSED and known.reason.startswith(LIMIT):
            raise InvalidRequestError(
                f"{session_id} is paused by a spent {known.reason}; it goes on when a person raises that limit:"
                f" overnight limits {session_id} (--max-cost, --max-iterations, --max-minutes)"
            )
        refuse_secrets("reason", reason)
        await self._exchange.resume(session_id, Resume(id=_new_id(), reason=reason))
        return Accepted(session_id=session_id, next=effect.of_resume(known))

    async def steer(self, session_id: str, guidance: str, *, when: SteerWhen = "next_step") -> Accepted:
        """Give guidance to the next execute, or to the one that runs."""
        try:
            message = Steer(id=_new_id(), guidance=guidance, when=when)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        refuse_secrets("guidance", guidance)
        known = await self._before(session_id)
        sent = await self._send(session_id, "steer", message, effect.of_steer(known, when))
        return sent.model_copy(update={"guidance_id": message.id})

    async def cancel(self, session_id: str, *, reason: str = "") -> Accepted:
        """End the session; its work stays on the branch. Cancelling twice, or after the end, changes nothing.

        The answer says whether the session has taken it, for which it waits 1.5 s at most.
        """
        described = await self._exchange.describe(session_id)
        if described.status is not WorkflowExecutionStatus.RUNNING:
            return Accepted(session_id=session_id, accepted=False, next="It is over already; see its status.")
        refuse_secrets("reason", reason)
        known = await self._before(session_id)
        await self._exchange.cancel(session_id, Cancel(id=_new_id(), reason=reason))
        there = known.worker == "online"
        with keeping(LOOK_SECONDS):
            why = await self._exchange.not_taken(session_id, seconds=TAKEN_SECONDS if there else 0)
        if why is not None and there:
            told = effect.not_taken(session_id, why, self._terms() if self._reach.owner is None else None)
            return Accepted(session_id=session_id, taken=False, next=told)
        return Accepted(session_id=session_id, taken=why is None, next=effect.of_cancel(known))

    async def raise_limits(self, session_id: str, limits: RaiseLimits) -> SessionStatus:
        """New limits; a session that a limit paused goes on. Returns how it stands then.

        Raises ``InvalidRequestError`` for a limit below what is spent already, ``SessionClosedError``,
        ``UnreachableError``.
        """
        known = await self._exchange.update(session_id, AutonomousSession.raise_limits, limits)
        return await self._settled(self._linked(known))

    async def rollback(self, session_id: str, iteration: int) -> SessionStatus:
        """Go back to an iteration's checkpoint at the session's next gate, with a new commit; 0 is the beginning.

        Raises ``InvalidRequestError`` for an iteration without a checkpoint, ``SessionClosedError``,
        ``UnreachableError``.
        """
        try:
            message = Rollback(id=_new_id(), iteration=iteration)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        return self._linked(await self._exchange.update(session_id, AutonomousSession.rollback, message))

    async def _settled(self, known: SessionStatus) -> SessionStatus:
        """The update answers before the session acts on it: how it stands when it has, or still is paused."""
        deadline = time.monotonic() + left(SETTLED_SECONDS) / 2
        while known.status is Status.PAUSED and known.reason.startswith(LIMIT) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            known = await self.status(known.session_id)
        return known

    async def _before(self, session_id: str) -> SessionStatus:
        """How a session stands before a message to it, which a worker that is away must not hold up."""
        with keeping(MESSAGE_SECONDS):
            return await self.status(session_id)

    async def _send(self, session_id: str, signal: str, message: Message, effect: str) -> Accepted:
        await self._exchange.send(session_id, signal, message)
        return Accepted(session_id=session_id, next=effect)

    def _terms(self) -> str:
        """The options by which Temporal's own program finds the sessions."""
        return f"--address {self._client.service_client.config.target_host} --namespace {self._client.namespace}"

    def _linked(self, known: S) -> S:
        return known.model_copy(update={"monitor_url": self.monitor_url(known.session_id)})


def _new_id() -> str:
    return uuid4().hex[:12]
