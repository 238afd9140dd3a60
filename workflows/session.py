"""AutonomousSession: the loop. It decides, activities do. Workflow id = session id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.contracts.evidence import Scorecard
    from workflows.contracts.messages import Cancel, Pause, RaiseLimits, Resume, Steer
    from workflows.contracts.outcome import Outcome
    from workflows.contracts.requests import ValidateResult
    from workflows.contracts.spec import SessionSpec
    from workflows.contracts.state import SessionResult, SessionStart, SessionState, Status, Task
    from workflows.contracts.status import Events, SessionStatus
    from workflows.policy import asks, criteria, failures, inbox, limits, record, stuck, tasks, view
    from workflows.policy import report as reports
    from workflows.policy.failures import Reaction
    from workflows.policy.inbox import M
    from workflows.policy.record import EventKind
    from workflows.policy.words import counted

from workflows.gated import Gated, SessionOverError
from workflows.signals import any_payload, plain, several

CONTINUE_AFTER_EVENTS = 2_000
CONTINUE_AFTER_ITERATIONS = 25


@workflow.defn(name="AutonomousSession")
class AutonomousSession(Gated):
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
            while True:
                await self.gate(starting_iteration=True)
                await self.execute(tasks.next_task(self.state))
                succeeded = await self.validate() and await self.judge() and await self.confirm()
                tasks.settle(*self.known)
                if succeeded:
                    return self.end(Status.COMPLETED, "every criterion is met, confirmed in a clean clone")
                if tasks.diagnosis_due(self.spec, self.state):
                    await self.diagnose()
                if why := stuck.reflection_due(self.state):
                    await self.reflect(why)
                await self.continue_as_new_when_due()
        except SessionOverError as over:
            return self.end(over.status, over.reason)

    # ------------------------------------------------------------------ the verbs of the loop

    async def plan(self) -> None:
        """Import the project, plan, and freeze the criteria. Done once in a session's life."""
        if self.state.plan is not None:
            return
        result = await self.owed(
            "plan",
            lambda: calls.plan(asks.plan(self.spec, self.state)),
            lambda r: r.plan is not None and r.base is not None,
        )
        criteria.freeze(self.spec, self.state, result)
        steps = len(result.plan.steps) if result.plan else 0
        self.note(
            "phase", f"planned: {counted(steps, 'step')}, {counted(len(self.state.criteria), 'criterion', 'criteria')}"
        )

    async def baseline(self) -> None:
        """What holds on the base commit, before any work: iteration 0. Done once in a session's life."""
        if self.state.baselined:
            return
        result = await self.owed(
            "baseline", lambda: calls.baseline(asks.validate(self.spec, self.state)), _ran, spends=False
        )
        criteria.score(self.state, self.card(result), self.threshold)
        for flagged in criteria.flag_baseline(self.state):
            self.note("note", f"the planner's own check {flagged} passes already, before any work")
        self.state.baselined = True

    async def execute(self, task: Task) -> None:
        """One task. Interrupted, it goes on where it was, with what came in meanwhile; its work is always kept."""
        self.state.iteration += 1
        # What it is to do travels with the request; the state remembers which task it was.
        self.state.task = task.model_copy(update={"instructions": ""})
        failed = 0
        while True:
            await self.gate()
            self.show("execute", Status.RUNNING, "")
            carried = inbox.waiting_guidance(self.state)
            result = await self.attend(calls.execute(asks.execute(self.spec, self.state, task)), steerable=True)
            record.charge(self.state, "execute", result)
            tasks.advance(self.state, result)
            inbox.deliver_guidance(self.state, workflow.now(), carried if result.usage.responses else [])
            self.note("checkpoint", f"#{self.state.iteration} {task.title}: {tasks.outcome_line(result)}")
            reaction = self.react("execute", result)
            failed += reaction is Reaction.START_AFRESH
            if reaction in failures.ENDS_EXECUTE or failed >= failures.MAX_ATTEMPTS:
                break
        tasks.conclude(self.state, result)

    async def validate(self) -> bool:
        """Run the commands on the checkpoint; whether they all hold."""
        result = await self.owed(
            "validate", lambda: calls.validate(asks.validate(self.spec, self.state)), _ran, spends=False
        )
        card = self.card(result)
        criteria.score(self.state, card, self.threshold)
        return criteria.commands_hold(self.state.criteria, card, self.threshold)

    async def judge(self) -> bool:
        """Verdicts on what no command decides; whether everything holds. A judge that is down means: not yet."""
        result = await self.owed(
            "judge", lambda: calls.judge(asks.judge(self.spec, self.state)), lambda r: bool(r.verdicts)
        )
        card = (self.state.card or asks.new_card(self.state)).model_copy(update={"verdicts": result.verdicts})
        criteria.score(self.state, card, self.threshold)
        return criteria.all_hold(self.state.criteria, card, self.threshold)

    async def confirm(self) -> bool:
        """The commands once more, in a clean clone of the commit with the setup command."""
        result = await self.owed(
            "validate", lambda: calls.validate(asks.validate(self.spec, self.state, clean=True)), _ran, spends=False
        )
        confirmed = criteria.confirm(self.state, self.card(result), self.threshold)
        if not confirmed:
            self.note("validation", "it holds in the worktree, but not in a clean clone of the commit")
        return confirmed

    async def diagnose(self) -> None:
        """Root cause of what is not met, and a fix; without an answer the plan goes on."""
        result = await self.ask("diagnose", lambda: calls.diagnose(asks.diagnose(self.spec, self.state)))
        if result.diagnosis is not None:
            tasks.remember_try(self.state, result.diagnosis)
            self.state.fix = tasks.fix_task(result.diagnosis, self.state.iteration)
            self.note("phase", f"diagnosed: {result.diagnosis.root_cause}")

    async def reflect(self, why: str) -> None:
        """Keep the strategy or change it; when changing it has not helped, ask a person first."""
        if given_up := stuck.gave_up(self.state):
            self.hold(given_up)
        result = await self.ask("reflect", lambda: calls.reflect(asks.reflect(self.spec, self.state, why)))
        changed = stuck.reflected(self.state, why, result.reflection)
        text = f"new strategy: {self.state.strategy}" if changed else "the strategy stays"
        self.note("phase", f"reflected ({why}): {text}")

    def end(self, status: Status, reason: str) -> SessionResult:
        """The session is over: its last word, for lists, the Web UI and whoever waits for the result."""
        self.state.wait_until = None
        self.note("end", f"{status.value}: {reason}")
        self.show(status=status, reason=reason)
        return reports.result(*self.known)

    async def continue_as_new_when_due(self) -> None:
        """At an iteration boundary: a fresh history with the same state, before Temporal would warn."""
        info = workflow.info()
        if not (
            info.is_continue_as_new_suggested()
            or info.get_current_history_length() > CONTINUE_AFTER_EVENTS
            or self.state.iteration - self.first_iteration >= CONTINUE_AFTER_ITERATIONS
        ):
            return
        await self.until(workflow.all_handlers_finished)
        self.state.runs += 1
        workflow.continue_as_new(SessionStart(spec=self.spec, state=self.state))

    # ------------------------------------------------------------------ messages and questions

    @workflow.signal(name="pause", description='a reason, or {"reason": "...", "when": "turn" | "now"}')
    @any_payload
    def on_pause(self, payload: RawValue) -> None:
        if message := self.received(Pause, "pause", payload):
            inbox.pause(self.state, workflow.now(), message)
            self.interrupt_any |= message.when == "now"

    @workflow.signal(name="resume", description='nothing, or {"reason": "..."}')
    @any_payload
    def on_resume(self, payload: RawValue) -> None:
        if message := self.received(Resume, "resume", payload):
            inbox.resume(self.state, workflow.now(), message)
            self.interrupt_any = self.state.cancelled_by is not None

    @workflow.signal(name="steer", description='guidance, or {"guidance": "...", "when": "next_step" | "now"}')
    @any_payload
    def on_steer(self, payload: RawValue) -> None:
        if message := self.received(Steer, "steer", payload):
            taken = inbox.steer(self.state, workflow.now(), message)
            self.interrupt_execute |= taken is not None and message.when == "now"

    @workflow.signal(name="cancel", description='nothing, or {"reason": "..."}')
    @any_payload
    def on_cancel(self, payload: RawValue) -> None:
        if message := self.received(Cancel, "cancel", payload):
            inbox.cancel(self.state, workflow.now(), message)
            self.interrupt_any = True

    @workflow.signal(dynamic=True, description="what nobody knows is put on record")
    def on_unknown(self, name: str, payloads: Sequence[RawValue]) -> None:
        inbox.lost(self.state, workflow.now(), name, "no such signal", inbox.shown(several(payloads)))
        self.show_details()

    @workflow.update(description="max_cost_usd, max_tokens, max_iterations, max_time_minutes: those to change")
    def raise_limits(self, message: RaiseLimits) -> SessionStatus:
        if inbox.is_new(self.state, message):
            inbox.raise_limits(self.state, workflow.now(), message)
            self.show_details()
        return self.status()

    @raise_limits.validator
    def _check_limits(self, message: RaiseLimits) -> None:
        if self.state.status.is_final:
            raise ApplicationError(f"the session is over ({self.state.status.value}); start a new one", type="Closed")
        if why := limits.refusal(self.state, message):
            raise ApplicationError(why, type="Invalid")

    @workflow.query(description="where the session stands")
    def status(self) -> SessionStatus:
        return view.status(*self.known)

    @workflow.query(description="the last events, oldest first")
    def events(self) -> Events:
        kept = self.state.events
        return Events(events=kept, first_seq=kept[0].seq if kept else 0, last_seq=self.state.event_seq)

    @workflow.query(description="the report, as markdown")
    def report(self) -> str:
        return reports.report(*self.known)

    def received(self, kind: type[M], name: str, payload: RawValue) -> M | None:
        """A signal as its model, once; what does not parse becomes an event that says so."""
        message = inbox.parse(self.state, workflow.now(), kind, name, plain(payload))
        return message if message is not None and inbox.is_new(self.state, message) else None

    # ------------------------------------------------------------------ at hand

    @property
    def known(self) -> tuple[SessionSpec, SessionState, datetime]:
        """Everything that a decision may depend on."""
        return self.spec, self.state, workflow.now()

    def card(self, result: ValidateResult) -> Scorecard:
        return asks.new_card(self.state).model_copy(update={"commands": result.evidence, "setup": result.setup})

    def note(self, kind: EventKind, text: str) -> None:
        record.event(self.state, workflow.now(), kind, text)


def _ran(result: ValidateResult) -> bool:
    return result.outcome is Outcome.COMPLETED
