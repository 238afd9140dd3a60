"""The gate of a session, and calls behind it: durable waits, interruption, the failure table at work."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.calls import Call, R, failure_report, unanswered
    from workflows.contracts.messages import Cancel
    from workflows.contracts.outcome import CallReport, Outcome
    from workflows.contracts.requests import Phase
    from workflows.contracts.spec import SessionSpec
    from workflows.contracts.state import SessionState, Status
    from workflows.contracts.status import Glance
    from workflows.policy import approvals, asks, best, failures, inbox, ladder, limits, record, view
    from workflows.policy.failures import Reaction
    from workflows.policy.record import EventKind

STATUS = SearchAttributeKey.for_keyword("OvernightStatus")
PHASE = SearchAttributeKey.for_keyword("OvernightPhase")
PROJECT = SearchAttributeKey.for_keyword("OvernightProject")
ITERATION = SearchAttributeKey.for_int("OvernightIteration")
COST = SearchAttributeKey.for_float("OvernightCostUsd")
RECOVERY = SearchAttributeKey.for_keyword("OvernightRecovery")
"""The rung of the recovery ladder, ``3/6: best checkpoint, another approach``; ``none`` on the ground."""
OWNER = SearchAttributeKey.for_keyword("OvernightOwner")
"""Who started the session with a token over HTTP, and alone sees it there; absent for one of this machine."""
SEARCH_ATTRIBUTES = (STATUS, PHASE, PROJECT, ITERATION, COST, RECOVERY, OWNER)

GLANCE = "glance"
"""Name of the memo that lists show."""


class SessionOverError(Exception):
    """The session ends here, with this status and for this reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RolledBackError(Exception):
    """A person put the session on another commit: whatever it was about is over, and the next iteration begins."""


class Gated:
    """A workflow that people can pause, steer and cancel at any moment, and that limits hold up."""

    spec: SessionSpec
    state: SessionState

    def __init__(self) -> None:
        self.interrupt_any = False
        """Stop whatever runs: pause now, cancel. The gate forgets it."""
        self.interrupt_execute = False
        """Stop an execute that runs: steer now."""
        self._rolled_back = False
        """The gate has gone back to another commit, and the session does not know it yet."""
        self._to_draw = False
        self._attributes: tuple[object, ...] = ()
        self._glance: Glance | None = None

    @abstractmethod
    def continue_as_new_is_due(self) -> bool:
        """Whether the history is to end here, and the session to go on in a fresh one."""

    @abstractmethod
    async def continue_as_new_when_due(self) -> None:
        """Go on in a fresh history, when that is due."""

    # ------------------------------------------------------------------ the gate

    async def gate(self, *, spends: bool = True, starting_iteration: bool = False, leaves: bool = True) -> None:
        """Cancel, pause, limits and back-off, as waits that hold no slot and survive everything.

        ``spends`` is False before work that costs no money: what is done already is still looked at. Where the state
        tells how to go on, a history that grows while it waits, by messages say, is left for a fresh one; ``leaves`` is
        False where it does not, in the midst of something. A person may go back to an earlier iteration here, also
        while the session is paused. Raises ``RolledBackError`` after that.
        """
        state = self.state
        while True:
            now = workflow.now()
            at_boundary = leaves and (starting_iteration or not state.baselined)
            if at_boundary:
                await self.continue_as_new_when_due()
            if workflow.cancellation_reason() is not None:
                self._cancelled_by_temporal()
            if state.cancelled_by is not None:
                raise SessionOverError(Status.CANCELLED, state.cancelled_by)
            if state.rollback is not None:
                await self._roll_back(state.rollback)
                continue
            over = limits.spent(state, starting_iteration=starting_iteration) if spends else None
            if over is not None and state.paused_by is None:
                if self.spec.on_limit == "fail":
                    raise SessionOverError(Status.FAILED, over)
                self.hold(over)
            if state.paused_by is not None:
                self.show(status=Status.PAUSED, reason=state.paused_by)
                await self._rest(lambda: state.paused_by is None or state.rollback is not None, at_boundary=at_boundary)
            elif state.wait_until is not None and state.wait_until > now:
                self.show(status=Status.WAITING_LIMIT, reason=state.wait_reason)
                await self._rest(self._called, state.wait_until, at_boundary=at_boundary)
            else:
                break
        state.wait_until = None
        self.interrupt_any = self.interrupt_execute = False
        if self._rolled_back:
            self._rolled_back = False
            raise RolledBackError

    async def _roll_back(self, iteration: int) -> None:
        """Do what a person asked for: back to an iteration's tree. What cannot be done is said, not tried again."""
        state = self.state
        self.interrupt_any = self.interrupt_execute = False
        self.show("integrate", Status.RUNNING, f"going back to iteration {iteration}")
        result = await self.attend(calls.restore(asks.restore(self.spec, state, iteration=iteration)))
        record.charge(state, "integrate", result)
        reaction = self.react("integrate", result)
        if reaction in {Reaction.CONTINUE_LATER, Reaction.GO_ELSEWHERE}:
            return
        state.rollback = None if state.rollback == iteration else state.rollback
        if result.checkpoint is None:
            self.note("note", f"rollback: not done: {result.detail}")
            return
        best.take_back(state, result.checkpoint, iteration, f"a person went back to iteration {iteration}")
        best.chosen_by_a_person(state)
        ladder.begin_anew(state)
        approvals.withdraw(state, workflow.now(), f"went back to iteration {iteration}")
        self._rolled_back = True
        self.note("checkpoint", f"went back to iteration {iteration}, commit {result.checkpoint.commit[:10]}")

    def note(self, kind: EventKind, text: str) -> None:
        """Put something on record."""
        record.event(self.state, workflow.now(), kind, text)

    @property
    def known(self) -> tuple[SessionSpec, SessionState, datetime]:
        """Everything that a decision may depend on."""
        return self.spec, self.state, workflow.now()

    def hold(self, reason: str) -> None:
        """Hold the session at the next gate until a person resumes it."""
        self.state.paused_by = record.one_line(reason)
        record.event(self.state, workflow.now(), "limit", f"paused: {self.state.paused_by}")

    def _called(self) -> bool:
        """Whether a waiting session is called to something else at once."""
        state = self.state
        return state.wait_until is None or state.paused_by is not None or state.rollback is not None

    async def _rest(self, over: Callable[[], bool], until: datetime | None = None, *, at_boundary: bool) -> None:
        """Wait for a person, or for a time: no slot is held, and it is not active time."""
        longest = until - workflow.now() if until else None

        def moved() -> bool:
            due = at_boundary and self.continue_as_new_is_due()
            return over() or due or self.state.cancelled_by is not None

        if not await self.until(moved, longest):
            self.state.wait_until = None

    async def until(self, condition: Callable[[], bool], longest: timedelta | None = None) -> bool:
        """The one way to wait: until ``condition``, ``longest`` (then False), or Temporal's Cancel, which is noted."""
        summary = record.one_line(self.state.reason, 120) if longest else None
        try:
            await workflow.wait_condition(condition, timeout=longest, timeout_summary=summary)
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._cancelled_by_temporal()
            # What came together with the Cancel, a call's report say, is to be seen before anybody acts on it.
            await workflow.wait_condition(lambda: True)
        return True

    # ------------------------------------------------------------------ calls

    async def ask(self, phase: Phase, start: Callable[[], Call[R]], *, spends: bool = True) -> R:
        """A call that is gated, charged, and made again as the failure table says.

        The last of too many failed attempts is returned as it is: without an answer.
        """
        failed = 0
        while True:
            await self.gate(spends=spends)
            self.show(phase, Status.RUNNING, "")
            result = await self.attend(start())
            record.charge(self.state, phase, result)
            reaction = self.react(phase, result)
            failed += reaction in failures.FAILED_ATTEMPTS
            if reaction is Reaction.GO_ON or failed >= failures.MAX_ATTEMPTS:
                return result

    async def owed(
        self, phase: Phase, start: Callable[[], Call[R]], answers: Callable[[R], bool], *, spends: bool = True
    ) -> R:
        """An answer that the session cannot go on without: when attempts are used up, it pauses for a person."""
        while not answers(result := await self.ask(phase, start, spends=spends)):
            self.hold(failures.no_answer(phase, result))
        return result

    async def attend(self, call: Call[R], *, steerable: bool = False) -> R:
        """The report of a call, which messages may interrupt: then it says what it did so far."""
        host = None if self.state.roams else self.state.host
        handle = call.start(host)

        def interrupted() -> bool:
            return self.interrupt_any or (steerable and self.interrupt_execute)

        await self.until(lambda: handle.done() or interrupted())
        if not handle.done():
            handle.cancel()
        while not handle.done():
            await self.until(handle.done)
        try:
            result = await handle
        except ActivityError as error:
            if (account := unanswered(call, error)) is not None:
                record.unsettled(self.state, account)
            return failure_report(error, call.result, host)
        except asyncio.CancelledError:
            return call.result(outcome=Outcome.INTERRUPTED, detail="stopped before it began")
        record.observed(self.state, workflow.now(), result)
        return result

    def react(self, phase: Phase, result: CallReport) -> Reaction:
        """Do what the failure table says about a report; the caller decides whether to make the call again."""
        state, now = self.state, workflow.now()
        asked = self.interrupt_any or self.interrupt_execute
        reaction = failures.weigh(state, result, asked=asked)
        if reaction is Reaction.GO_ON:
            return reaction
        if reaction is Reaction.GO_ELSEWHERE:
            state.roams = True
            return reaction
        if reaction is Reaction.CONTINUE_LATER:
            record.event(state, now, "note", f"{phase} interrupted: {result.detail}")
            return reaction
        record.error(state, now, phase, result.outcome.value, result.detail)
        if reaction is Reaction.WAIT_FOR_RESET and self.spec.on_usage_limit == "pause":
            self.hold(failures.usage_limit_reason(result))
        elif reaction in {Reaction.WAIT_FOR_RESET, Reaction.BACK_OFF}:
            failures.wait(state, result, now, workflow.random().random())
            record.event(state, now, "limit", state.wait_reason)
        elif reaction is Reaction.PAUSE:
            self.hold(failures.pause_reason(result))
        return reaction

    def _cancelled_by_temporal(self) -> None:
        """Temporal's own Cancel does what ``cancel`` does: the session ends in order and says how."""
        inbox.cancel(self.state, workflow.now(), Cancel(reason=inbox.BY_TEMPORAL))
        self.interrupt_any = True

    # ------------------------------------------------------------------ showing

    def show(self, phase: Phase | None = None, status: Status | None = None, reason: str | None = None) -> None:
        """Bring what the Web UI and lists see up to date: one event per kind of change, none when nothing changed."""
        state = self.state
        state.phase = phase or state.phase
        state.status = status or state.status
        state.reason = state.reason if reason is None else record.one_line(reason)
        state.updated_at = workflow.now()
        cost = float(round(state.usage.cost_usd, 4))
        rung = ladder.shown(self.spec, state) or "none"
        attributes = (state.status, state.phase, state.iteration, cost, rung)
        if attributes != self._attributes:
            self._attributes = attributes
            workflow.upsert_search_attributes(
                [
                    STATUS.value_set(state.status.value),
                    PHASE.value_set(state.phase),
                    PROJECT.value_set(self.spec.project.key),
                    ITERATION.value_set(state.iteration),
                    COST.value_set(cost),
                    RECOVERY.value_set(rung),
                ]
            )
        glance = view.glance(self.spec, state)
        if glance != self._glance:
            self._glance = glance
            workflow.upsert_memo({GLANCE: glance})
        self.show_details()

    def show_details(self) -> None:
        """The scoreboard in the Web UI; it costs no event. Of a thousand messages that come at once, one draws it."""
        if not self._to_draw:
            self._to_draw = True
            asyncio.get_running_loop().call_soon(self._draw)

    def _draw(self) -> None:
        self._to_draw = False
        workflow.set_current_details(view.scoreboard(self.spec, self.state, workflow.now()))
