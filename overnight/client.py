"""Sessions: the one client API. It holds a Temporal connection and nothing else; no call blocks longer than 2 s."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from overnight.base.credentials import HOW_TO_GET_ONE, Credential
from overnight.base.settings import Settings, permits
from overnight.base.temporal import TASK_QUEUE
from overnight.errors import (
    InvalidRequestError,
    NotReadyError,
    SessionClosedError,
    UnknownSessionError,
)
from overnight.exchange import CALL_SECONDS, Exchange, closed_or_unreachable, unreachable
from overnight.hints import not_given
from overnight.request import NewSession, in_words, refuse_secrets
from workflows.contracts.messages import Cancel, Message, Pause, RaiseLimits, Resume, Steer, SteerWhen, When
from workflows.contracts.reads import (
    BranchAnswer,
    BranchQuestion,
    DiffAnswer,
    DiffQuestion,
    HostAnswer,
    ProjectAnswer,
    ProjectQuestion,
)
from workflows.contracts.requests import Site
from workflows.contracts.spec import EgressMode, SessionSpec
from workflows.contracts.state import SessionStart, SessionState, Status
from workflows.contracts.status import Events, SessionStatus
from workflows.contracts.text import printable
from workflows.gated import COST, GLANCE, ITERATION, PHASE, PROJECT, STATUS
from workflows.policy import view
from workflows.policy.inbox import LIMIT
from workflows.policy.record import one_line
from workflows.policy.words import counted, exposure, sandbox, with_hosts
from workflows.session import AutonomousSession

POLL_SECONDS = 0.5

FOR_A_PERSON = frozenset({Status.PAUSED, Status.WAITING_APPROVAL})
"""Statuses in which nothing goes on until a person acts."""


class Accepted(BaseModel):
    """A message is on its way to the session; ``guidance_id`` names steering text in its status."""

    session_id: str
    accepted: bool = True
    guidance_id: str | None = None
    next: str


class Started(SessionStatus):
    """A session that was started, or that was there already under the id that was asked for."""

    existed: bool = False
    """Nothing was started: the session is as it was asked for before."""
    warning: str = ""
    """What its sandbox leaves open, in words; empty when nothing."""
    notes: list[str] = []
    """What the caller chose and will not get: settings that the running worker does not have, hosts out of reach."""


class Sessions:
    """Start, watch and steer sessions. Every error is a ``SessionError`` in words."""

    def __init__(self, client: Client, settings: Settings, *, ui_url: str | None, task_queue: str = TASK_QUEUE) -> None:
        self._client = client
        self._settings = settings
        self._ui_url = ui_url
        self._queue = task_queue
        self._exchange = Exchange(client, task_queue)

    # ------------------------------------------------------------------ starting

    async def start(self, request: NewSession, *, credential: Credential | None = None) -> Started:
        """Start a session and return at once; the same ``session_id`` again returns the session that is there.

        ``credential`` is the caller's own, compared with the worker's. Raises ``InvalidRequestError``,
        ``NotReadyError``, ``UnreachableError``; then nothing was started.
        """
        if (known := await self.existing(request)) is not None:
            return _there_already(known)
        egress = request.network(self._settings)
        host = await self.check_ready(credential, egress.mode)
        answer = await self.inspect(request.project, request.ref)
        if answer.project is None:
            raise InvalidRequestError(f"project: {answer.problem}")
        spec = request.spec(answer.project, self._settings)
        state = SessionState(limits=spec.limits)
        try:
            await self._client.start_workflow(
                AutonomousSession.run,
                SessionStart(spec=spec),
                id=spec.session_id,
                task_queue=self._queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={GLANCE: view.glance(spec, state)},
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(STATUS, Status.QUEUED.value),
                        SearchAttributePair(PHASE, state.phase),
                        SearchAttributePair(PROJECT, spec.project.key),
                        SearchAttributePair(ITERATION, 0),
                        SearchAttributePair(COST, 0.0),
                    ]
                ),
                static_summary=one_line(spec.goal, 180),
                static_details=_details(spec),
                rpc_timeout=timedelta(seconds=CALL_SECONDS),
            )
        except WorkflowAlreadyStartedError:
            if request.session_id is None:
                return await self.start(request, credential=credential)  # a name by chance, and taken: another one
            known = await self.existing(request) or await self.status(spec.session_id)
            return _there_already(known)
        except RPCError as error:
            raise unreachable(error) from None
        queued = view.status(spec, state, datetime.now(UTC))
        notes, dirty = "", answer.dirty_files
        if dirty:
            verb = "is" if dirty == 1 else "are"
            notes = f" {counted(dirty, 'uncommitted file')} of the project {verb} not part of it."
        given = sandbox(host.isolation, egress.mode if host.isolation_full and egress.mode != "host" else None)
        update = {
            "monitor_url": self.monitor_url(spec.session_id),
            "next": f"{queued.next}{notes}",
            "sandbox": one_line(with_hosts(given, egress.allow)),
            "warning": exposure(given),
            "notes": not_given(self._settings, egress, host),
        }
        return Started(**{**queued.model_dump(), **update})

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
        if host.credential is None and credential is not None:
            raise NotReadyError(
                f"the running worker was started without a credential; you have one ({credential.kind} from"
                f" {credential.source}), so let it start again with it: overnight down && overnight up"
            )
        if host.credential is None:
            raise NotReadyError(
                f"the worker holds no credential. {HOW_TO_GET_ONE} Then: overnight down && overnight up"
            )
        if credential is not None and credential.fingerprint != host.credential:
            raise NotReadyError(
                "the running worker holds another credential, or one for another address"
                f" ({host.credential.split(':')[0]} from {host.credential_source}) than yours"
                f" ({credential.kind} from {credential.source}); to use yours: overnight down && overnight up"
            )
        if not host.isolation_full and not host.unsandboxed_allowed:
            raise NotReadyError(
                f"the worker's host cannot isolate what the agent runs ({host.isolation_problem or host.isolation});"
                " `overnight doctor` says how to mend it. To accept the risk for that machine, start its worker with"
                " OVERNIGHT_ALLOW_UNSANDBOXED=1 (overnight down && OVERNIGHT_ALLOW_UNSANDBOXED=1 overnight up)"
            )
        if not permits(host.egress_at_most, egress):
            raise InvalidRequestError(_too_open(egress, host.egress_at_most))
        return host

    async def inspect(self, project: str | None, ref: str | None = None) -> ProjectAnswer:
        """How a worker sees a project; ``problem`` says in words what is wrong with it."""
        return await self._exchange.read("read_project", ProjectQuestion(location=project, ref=ref), ProjectAnswer)

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
        return said

    async def diff(self, session_id: str, *, path: str | None = None, stat: bool = False) -> DiffAnswer:
        """What the session changed since its base commit. Raises ``UnreachableError`` without a worker."""
        spec = await self._exchange.spec(session_id)
        status, branch = await asyncio.gather(self.status(session_id), self._branch(spec))
        base = spec.project.commit or (branch.commits[-1].commit if branch.commits else None)
        head = status.commit or (branch.commits[0].commit if branch.commits else None)
        if base is None or head is None:
            return DiffAnswer()
        site = Site(session_id=session_id, project=spec.project, commit=head)
        question = DiffQuestion(site=site, base=base, head=head, path=path, stat=stat)
        return await self._exchange.read("read_diff", question, DiffAnswer)

    async def branch(self, session_id: str) -> BranchAnswer:
        """Where the session's branch can be fetched from, and its checkpoints, newest first."""
        return await self._branch(await self._exchange.spec(session_id))

    async def project_of(self, session_id: str) -> str | None:
        """Path or URL of the project that a session works on; None for a new one."""
        return (await self._exchange.spec(session_id)).project.location

    def monitor_url(self, session_id: str) -> str:
        """The session's page in Temporal's Web UI; empty when nobody said where that is."""
        base = self._ui_url or self._settings.ui_url
        return f"{base.rstrip('/')}/namespaces/{self._client.namespace}/workflows/{session_id}" if base else ""

    # ------------------------------------------------------------------ steering

    async def pause(self, session_id: str, *, reason: str = "", when: When = "turn") -> Accepted:
        """Pause at the end of the running turn, or now; the work is kept."""
        refuse_secrets("reason", reason)
        return await self._send(session_id, "pause", Pause(id=_new_id(), reason=reason, when=when))

    async def resume(self, session_id: str, *, reason: str = "") -> Accepted:
        """Go on. Raises ``InvalidRequestError`` where only a raised limit lets the session go on."""
        known = await self.status(session_id)
        if known.status is Status.PAUSED and known.reason.startswith(LIMIT):
            raise InvalidRequestError(
                f"{session_id} is paused by a spent {known.reason}; it goes on when a person raises that limit:"
                f" overnight limits {session_id} (--max-cost, --max-iterations, --max-minutes)"
            )
        refuse_secrets("reason", reason)
        return await self._send(session_id, "resume", Resume(id=_new_id(), reason=reason))

    async def steer(self, session_id: str, guidance: str, *, when: SteerWhen = "next_step") -> Accepted:
        """Give guidance to the next execute, or to the one that runs."""
        try:
            message = Steer(id=_new_id(), guidance=guidance, when=when)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        refuse_secrets("guidance", guidance)
        sent = await self._send(session_id, "steer", message)
        return sent.model_copy(update={"guidance_id": message.id})

    async def cancel(self, session_id: str, *, reason: str = "") -> Accepted:
        """End the session; its work stays on the branch. Cancelling twice, or after the end, changes nothing."""
        described = await self._exchange.describe(session_id)
        if described.status is not WorkflowExecutionStatus.RUNNING:
            return Accepted(session_id=session_id, accepted=False, next="It is over already; see its status.")
        refuse_secrets("reason", reason)
        return await self._send(session_id, "cancel", Cancel(id=_new_id(), reason=reason))

    async def raise_limits(self, session_id: str, limits: RaiseLimits) -> SessionStatus:
        """New limits; a session that a limit paused goes on.

        Raises ``InvalidRequestError`` for a limit below what is spent already, ``SessionClosedError``,
        ``UnreachableError``.
        """
        await self._exchange.describe(session_id)
        try:
            return await self._exchange.handle(session_id).execute_update(
                AutonomousSession.raise_limits,
                limits,
                rpc_timeout=timedelta(seconds=CALL_SECONDS),
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError) and cause.type == "Closed":
                raise SessionClosedError(cause.message) from None
            raise InvalidRequestError(getattr(cause, "message", str(cause))) from None
        except RPCError as error:
            raise closed_or_unreachable(error, session_id) from None

    async def _send(self, session_id: str, signal: str, message: Message) -> Accepted:
        await self._exchange.send(session_id, signal, message)
        return Accepted(session_id=session_id, next="Accepted; the session's status shows when it has taken effect.")

    async def _branch(self, spec: SessionSpec) -> BranchAnswer:
        site = Site(session_id=spec.session_id, project=spec.project, commit=spec.project.commit)
        return await self._exchange.read("read_branch", BranchQuestion(site=site), BranchAnswer)

    def _linked(self, known: SessionStatus) -> SessionStatus:
        return known.model_copy(update={"monitor_url": self.monitor_url(known.session_id)})


def _too_open(egress: EgressMode, at_most: EgressMode) -> str:
    said = (
        f"egress: the worker allows no more network than '{at_most}', and the session wants '{egress}'; choose"
        f" '{at_most}', or start the worker with OVERNIGHT_EGRESS_AT_MOST={egress}"
        f" (overnight down && OVERNIGHT_EGRESS_AT_MOST={egress} overnight up)"
    )
    if egress != "host":
        return said
    return f"{said}: what its sessions run then reaches that machine's own ports, and through Temporal every session"


def _there_already(known: SessionStatus) -> Started:
    return Started(**known.model_dump(), existed=True, warning=exposure(known.sandbox))


def _details(spec: SessionSpec) -> str:
    limits = spec.limits
    iterations = counted(limits.max_iterations, "iteration")
    lines = [
        spec.goal[:4_000],
        "",
        f"- validation: `{spec.validation_command or 'chosen by the plan'}`",
        f"- limits: {iterations}, {limits.max_time_minutes:g} minutes, ${limits.max_cost_usd:g}"
        + (f", {counted(limits.max_tokens, 'token')}" if limits.max_tokens else ""),
        f"- network: {' '.join([spec.egress.mode, *spec.egress.allow])}",
        f"- branch: `{view.branch(spec.session_id)}`",
    ]
    return "\n".join(lines)


def _new_id() -> str:
    return uuid4().hex[:12]
