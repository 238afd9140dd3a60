"""AutonomousSession: the loop. It decides, activities do. Workflow id = session id."""

from __future__ import annotations

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.contracts.applied import Lessons
    from workflows.contracts.messages import RaiseLimits, Resume, Rollback
    from workflows.contracts.state import SessionResult, SessionStart, SessionState, Status
    from workflows.contracts.status import Events, SessionStatus
    from workflows.policy import (
        absent,
        advice,
        agreed,
        approvals,
        asks,
        best,
        criteria,
        inbox,
        learning,
        limits,
        steps,
        stuck,
        tamper,
        tasks,
        view,
    )
    from workflows.policy import report as reports
    from workflows.policy.words import counted

from workflows.approving import Approving
from workflows.gated import RolledBackError, SessionOverError
from workflows.recovery import Recovering
from workflows.working import ran

CONTINUE_AFTER_EVENTS = 2_000
CONTINUE_AFTER_ITERATIONS = 25


@workflow.defn(name="AutonomousSession")
class AutonomousSession(Recovering, Approving):
    """A goal, worked on until its criteria hold on observed evidence, or a budget, a limit or a person stops it."""

    @workflow.init
    def __init__(self, start: SessionStart) -> None:
        super().__init__()
        self.spec = start.spec
        self.state = start.state or SessionState(limits=start.spec.limits, started_at=workflow.info().start_time)
        self.threshold = start.spec.success_threshold
        self.first_iteration = self.state.iteration

    @workflow.run
    async def run(self, start: SessionStart) -> SessionResult:
        try:
            await self.plan()
            await self.baseline()
            while not await self.accepted():
                with suppress(RolledBackError):
                    await self.gate(starting_iteration=True)
                    if not best.moved(self.state):
                        await self.execute(tasks.next_task(self.state))
                    self.state.succeeded = await self.validate() and await self.judge() and await self.confirm()
                    tasks.settle(*self.known)
                    if missing := absent.pause(self.state):
                        self.hold(missing)
                    if not self.state.succeeded:
                        await self.recover()
                    if why := stuck.reflection_due(self.state) or steps.reflection_due(self.state):
                        await self.reflect(why)
                    approvals.ask(*self.known, "iteration")
            return await self.end(Status.COMPLETED, "every criterion is met, confirmed in a clean clone")
        except SessionOverError as over:
            return await self.end(over.status, over.reason)

    # ------------------------------------------------------------------ the verbs of the loop

    async def plan(self) -> None:
        """Recall, import the project, plan, and freeze the criteria; a plan that a person rejects is made anew."""
        while self.state.plan is None or not await self.approved("plan"):
            await self.make_plan()
            approvals.ask(*self.known, "plan")

    async def make_plan(self) -> None:
        """Steps and criteria, with what earlier sessions learned."""
        given = await self.recall_for_plan()
        carried = steps.guidance_ids(self.state)
        result = await self.owed(
            "plan",
            lambda: calls.plan(asks.plan(self.spec, self.state, given)),
            lambda r: r.plan is not None and r.base is not None,
        )
        agreed.freeze(self.spec, self.state, result)
        advice.outdated(self.state, result.memories)
        if result.plan and result.plan.may_change:
            self.note("note", f"the plan lets these tests change: {', '.join(result.plan.may_change)}")
        approvals.carried_by_plan(self.state, carried)
        to_do = len(steps.pending(self.state.plan))
        wanted = counted(len(self.state.criteria), "criterion", "criteria")
        self.note("phase", f"planned: {counted(to_do, 'step')}, {wanted}")

    async def baseline(self) -> None:
        """What holds on the base commit, before any work: iteration 0. Done once in a session's life."""
        if self.state.baselined:
            return
        result = await self.owed(
            "baseline", lambda: calls.baseline(asks.validate(self.spec, self.state)), ran, spends=False
        )
        self.score(self.card(result))
        for text in absent.of_baseline(self.state.card or asks.new_card(self.state)):
            self.note("note", text)
        for flagged in criteria.flag_baseline(self.state):
            self.note("note", f"the planner's own check {flagged} passes already, before any work")
        best.keep(self.state)
        self.state.baselined = True

    async def confirm(self) -> bool:
        """The commands once more, in a clean clone of the commit with the setup command."""
        result = await self.owed(
            "validate", lambda: calls.validate(asks.validate(self.spec, self.state, clean=True)), ran, spends=False
        )
        confirmed = criteria.confirm(self.state, self.card(result), self.threshold)
        if not confirmed:
            self.note("validation", "it holds in the worktree, but not in a clean clone of the commit")
        return confirmed and await self.hold_out()

    async def hold_out(self) -> bool:
        """The checks that the agent never sees, where the person gave some."""
        request = asks.held_out(self.spec, self.state)
        if request is None:
            return True
        confirmed, told = self.state.confirmed, False
        while True:
            result = await self.owed("validate", lambda: calls.validate(request), ran, spends=False)
            held = criteria.held_out(self.state, self.card(result))
            why = tamper.held_out_pause(self.spec, self.state)
            if not why or told:
                break
            # That the command cannot run is the person's to mend. Who resumes has seen it: then what it says counts.
            self.hold(why)
            self.state.confirmed, told = confirmed, True
            tamper.forget_held_out(self.state)
        self.note("validation", "the held-out checks pass" if held else "the held-out checks do not pass")
        return held

    async def accepted(self) -> bool:
        """Whether the last iteration met every criterion and, where that is asked for, a person approves it."""
        approved = False
        with suppress(RolledBackError):
            approved = await self.approved("iteration")
        state = self.state
        state.succeeded = approved and state.succeeded and state.rollback is None
        return state.succeeded

    async def end(self, status: Status, reason: str) -> SessionResult:
        """The session is over: what it teaches is kept, and its last word is said, for lists and whoever waits."""
        await self.learn(status, reason)
        self.state.wait_until = None
        inbox.too_late(self.state, workflow.now())
        self.note("end", f"{status.value}: {reason}")
        self.show(status=status, reason=reason)
        return reports.result(*self.known)

    def continue_as_new_is_due(self) -> bool:
        """Whether Temporal would soon warn of the history."""
        info = workflow.info()
        return (
            info.is_continue_as_new_suggested()
            or info.get_current_history_length() > CONTINUE_AFTER_EVENTS
            or self.state.iteration - self.first_iteration >= CONTINUE_AFTER_ITERATIONS
        )

    async def continue_as_new_when_due(self) -> None:
        """At an iteration boundary, or while a person is waited for: a fresh history with the same state."""
        if not self.continue_as_new_is_due():
            return
        await self.until(workflow.all_handlers_finished)
        self.state.runs += 1
        workflow.continue_as_new(SessionStart(spec=self.spec, state=self.state))

    # ------------------------------------------------------------------ messages and questions

    @workflow.update(description="max_cost_usd, max_tokens, max_iterations, max_time_minutes: those to change")
    def raise_limits(self, message: RaiseLimits) -> SessionStatus:
        if inbox.is_new(self.state, message):
            inbox.raise_limits(self.state, workflow.now(), message)
            self.show_details()
        return self.status()

    @raise_limits.validator
    def _check_limits(self, message: RaiseLimits) -> None:
        self._check_open()
        if why := limits.refusal(self.state, message):
            raise ApplicationError(why, type="Invalid")

    @workflow.update(description="iteration: the checkpoint to go back to, with a new commit; 0 is the beginning")
    def rollback(self, message: Rollback) -> SessionStatus:
        if inbox.is_new(self.state, message):
            inbox.roll_back(self.state, workflow.now(), message)
            self.show_details()
        return self.status()

    @rollback.validator
    def _check_rollback(self, message: Rollback) -> None:
        self._check_open()
        if why := inbox.no_rollback(self.state, message):
            raise ApplicationError(why, type="Invalid")

    @workflow.update(name="resume", description="as the signal, where a run has had all the signals it can take")
    def on_resume_update(self, message: Resume) -> SessionStatus:
        if inbox.is_new(self.state, message):
            self.let_go_on(message)
        return self.status()

    @on_resume_update.validator
    def _check_resume(self, message: Resume) -> None:
        self._check_open()

    @workflow.query(description="where the session stands")
    def status(self) -> SessionStatus:
        return view.status(*self.known)

    @workflow.query(description="the last events, oldest first")
    def events(self) -> Events:
        kept = self.state.events
        return Events(events=kept, first_seq=kept[0].seq if kept else 0, last_seq=self.state.event_seq)

    @workflow.query(description="what the session teaches, as its history shows it")
    def lessons(self) -> Lessons:
        status = self.state.status
        return learning.lessons(self.spec, self.state, status if status.is_final else Status.FAILED)

    @workflow.query(description="the report, as markdown")
    def report(self) -> str:
        return reports.report(*self.known)

    def _check_open(self) -> None:
        if self.state.status.is_final:
            raise ApplicationError(f"the session is over ({self.state.status.value}); start a new one", type="Closed")
