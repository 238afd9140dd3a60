"""AutonomousSession: the loop. It decides, activities do. Workflow id = session id."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.calls import Call
    from workflows.contracts.evidence import Scorecard
    from workflows.contracts.messages import Cancel, Pause, RaiseLimits, Resume, Steer
    from workflows.contracts.requests import (
        Allowance,
        DiagnoseRequest,
        DiagnoseResult,
        ExecuteRequest,
        ExecuteResult,
        JudgeRequest,
        JudgeResult,
        PlanRequest,
        PlanResult,
        ReflectRequest,
        ReflectResult,
        Site,
        ValidateRequest,
    )
    from workflows.contracts.spec import Role
    from workflows.contracts.state import SessionResult, SessionStart, SessionState, Status, Task
    from workflows.contracts.status import Events, SessionStatus
    from workflows.policy import criteria, failures, inbox, limits, record, stuck, tasks, view
    from workflows.policy.failures import Reaction
    from workflows.policy.inbox import M
    from workflows.policy.record import EventKind
    from workflows.policy.report import report as render_report

from workflows.gated import Gated, SessionOverError

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
        self.first_iteration = self.state.iteration

    @workflow.run
    async def run(self, start: SessionStart) -> SessionResult:
        try:
            if self.state.plan is None:
                await self.plan()
            if not self.state.baselined:
                await self.baseline()
            while True:
                await self.gate(starting_iteration=True)
                await self.execute(tasks.next_task(self.state))
                if await self.validate() and await self.judge() and await self.confirm():
                    return self.end(Status.COMPLETED, "every criterion is met, confirmed in a clean clone")
                if tasks.diagnosis_due(self.state, self.threshold):
                    await self.diagnose()
                if why := stuck.reflection_due(self.state):
                    await self.reflect(why)
                await self.continue_as_new_when_due()
        except SessionOverError as over:
            return self.end(over.status, over.reason)

    # ------------------------------------------------------------------ the verbs of the loop

    async def plan(self) -> None:
        """Import the project, plan, and freeze the criteria."""
        while self.state.plan is None:
            result = await self.ask("plan", self.start_plan)
            self.state.base = self.state.base or result.base
            if result.plan is None:
                self.hold(f"plan: {failures.MAX_ATTEMPTS} attempts brought no plan: {result.detail}")
                continue
            self.state.plan = result.plan
            self.state.criteria = result.plan.criteria
            self.note("phase", f"planned: {len(result.plan.steps)} steps, {len(result.plan.criteria)} criteria")

    async def baseline(self) -> None:
        """What holds on the base commit, before any work: iteration 0."""
        result = await self.ask("baseline", lambda: calls.baseline(self.checks()), spends=False)
        criteria.score(
            self.state, Scorecard(commit=self.head, commands=result.evidence, setup=result.setup), self.threshold
        )
        for flagged in criteria.flag_baseline(self.state):
            self.note("note", f"the planner's own check {flagged} passes already, before any work")
        self.state.baselined = True

    async def execute(self, task: Task) -> None:
        """One task, one checkpoint. Interrupted, it goes on where it was, with what came in meanwhile."""
        self.state.iteration += 1
        self.state.task = task
        failed = 0
        while True:
            await self.gate()
            self.show("execute", Status.RUNNING, "")
            carried = [g.id for g in self.state.guidance if g.iteration is None]
            result = await self.attend(self.start_execute(task), steerable=True)
            record.charge(self.state, "execute", result)
            tasks.advance(self.state, result)
            if result.usage.responses:
                inbox.deliver_guidance(self.state, workflow.now(), carried)
            reaction = self.react("execute", result)
            failed += reaction is Reaction.START_AFRESH
            if reaction in {Reaction.GO_ON, Reaction.KEEP_WORK, Reaction.TRY_AGAIN} or failed >= failures.MAX_ATTEMPTS:
                break
        tasks.conclude(self.state, result)
        self.note("checkpoint", f"#{self.state.iteration} {task.title}: {tasks.outcome_line(result)}")

    async def validate(self) -> bool:
        """Run the commands on the checkpoint; whether they all hold."""
        result = await self.ask("validate", lambda: calls.validate(self.checks()), spends=False)
        card = Scorecard(commit=self.head, commands=result.evidence, setup=result.setup)
        hold = criteria.commands_hold(self.state.criteria, card, self.threshold)
        self.scored(card, settled=not hold)
        return hold

    async def judge(self) -> bool:
        """Verdicts on what no command decides; whether everything holds. A judge that is down means: not yet."""
        card = self.state.card or Scorecard(commit=self.head)
        result = await self.ask("judge", lambda: self.start_judge(card))
        while not result.verdicts:
            self.hold(f"judge: {failures.MAX_ATTEMPTS} attempts brought no verdict: {result.detail}")
            result = await self.ask("judge", lambda: self.start_judge(card))
        card = card.model_copy(update={"verdicts": result.verdicts})
        self.scored(card, settled=True)
        return criteria.all_hold(self.state.criteria, card, self.threshold)

    async def confirm(self) -> bool:
        """The commands once more, in a clean clone of the commit with the setup command."""
        result = await self.ask("validate", lambda: calls.validate(self.checks(clean=True)), spends=False)
        card = Scorecard(commit=self.head, commands=result.evidence, setup=result.setup)
        if criteria.holds_in_clean_clone(self.state.criteria, card, self.threshold):
            self.state.confirmed = card
            return True
        self.note("validation", "it holds in the worktree, but not in a clean clone of the commit")
        criteria.score(self.state, card, self.threshold)
        return False

    async def diagnose(self) -> None:
        """Root cause of what is not met, and a fix; without an answer the plan goes on."""
        result = await self.ask("diagnose", self.start_diagnose)
        if result.diagnosis is not None:
            tasks.remember_try(self.state, result.diagnosis)
            self.state.fix = tasks.fix_task(result.diagnosis, self.state.iteration)
            self.note("phase", f"diagnosed: {result.diagnosis.root_cause}")

    async def reflect(self, why: str) -> None:
        """Keep the strategy or change it; when changing it has not helped, ask a person."""
        if given_up := stuck.gave_up(self.state):
            self.hold(given_up)
            await self.gate()
        result = await self.ask("reflect", lambda: self.start_reflect(why))
        changed = stuck.reflected(self.state, why, result.reflection)
        text = f"new strategy: {self.state.strategy}" if changed else "the strategy stays"
        self.note("phase", f"reflected ({why}): {text}")

    def end(self, status: Status, reason: str) -> SessionResult:
        """The session is over: its last word, for lists, the Web UI and whoever waits for the result."""
        now = workflow.now()
        record.stop_clock(self.state, now)
        self.state.wait_until = None
        self.note("end", f"{status.value}: {reason}")
        self.show(status=status, reason=reason)
        return SessionResult(
            session_id=self.spec.session_id,
            status=status,
            reason=self.state.reason,
            branch=view.branch(self.spec.session_id),
            commit=self.state.checkpoint.commit if self.state.checkpoint else self.state.base,
            iterations=self.state.iteration,
            usage=self.state.usage,
            active_seconds=self.state.active_seconds,
            report=render_report(self.spec, self.state, now),
        )

    async def continue_as_new_when_due(self) -> None:
        """At an iteration boundary: a fresh history with the same state, before Temporal would warn."""
        info = workflow.info()
        if not (
            info.is_continue_as_new_suggested()
            or info.get_current_history_length() > CONTINUE_AFTER_EVENTS
            or self.state.iteration - self.first_iteration >= CONTINUE_AFTER_ITERATIONS
        ):
            return
        await workflow.wait_condition(workflow.all_handlers_finished)
        self.state.runs += 1
        workflow.continue_as_new(SessionStart(spec=self.spec, state=self.state))

    # ------------------------------------------------------------------ messages and questions

    @workflow.signal(name="pause", description='a reason, or {"reason": "...", "when": "turn" | "now"}')
    def on_pause(self, payload: RawValue | None = None) -> None:
        if message := self.received(Pause, "pause", payload):
            inbox.pause(self.state, workflow.now(), message)
            self.interrupt_any |= message.when == "now"

    @workflow.signal(name="resume", description='nothing, or {"reason": "..."}')
    def on_resume(self, payload: RawValue | None = None) -> None:
        if message := self.received(Resume, "resume", payload):
            inbox.resume(self.state, workflow.now(), message)

    @workflow.signal(name="steer", description='guidance, or {"guidance": "...", "when": "next_step" | "now"}')
    def on_steer(self, payload: RawValue | None = None) -> None:
        if message := self.received(Steer, "steer", payload):
            taken = inbox.steer(self.state, workflow.now(), message)
            self.interrupt_execute |= taken is not None and message.when == "now"

    @workflow.signal(name="cancel", description='nothing, or {"reason": "..."}')
    def on_cancel(self, payload: RawValue | None = None) -> None:
        if message := self.received(Cancel, "cancel", payload):
            inbox.cancel(self.state, workflow.now(), message)
            self.interrupt_any = True

    @workflow.update(description='{"max_cost_usd": ..., "max_iterations": ..., "max_time_minutes": ...}')
    def raise_limits(self, message: RaiseLimits) -> SessionStatus:
        if inbox.is_new(self.state, message):
            inbox.raise_limits(self.state, workflow.now(), message)
        return self.status()

    @raise_limits.validator
    def _check_limits(self, message: RaiseLimits) -> None:
        if self.state.status.is_final:
            raise ApplicationError(f"the session is over ({self.state.status.value}); start a new one", type="Closed")
        if not message.model_dump(exclude={"id"}, exclude_none=True):
            raise ApplicationError("no limit is named", type="Invalid")

    @workflow.query(description="where the session stands")
    def status(self) -> SessionStatus:
        return view.status(self.spec, self.state, workflow.now())

    @workflow.query(description="the last events, oldest first")
    def events(self) -> Events:
        kept = self.state.events
        return Events(events=kept, first_seq=kept[0].seq if kept else 0, last_seq=self.state.event_seq)

    @workflow.query(description="the report, as markdown")
    def report(self) -> str:
        return render_report(self.spec, self.state, workflow.now())

    def received(self, kind: type[M], name: str, payload: RawValue | None) -> M | None:
        """A signal as its model, once; what does not parse becomes an event that says so."""
        now = workflow.now()
        message = inbox.parse(self.state, now, kind, name, plain(payload))
        return message if message is not None and inbox.is_new(self.state, message) else None

    # ------------------------------------------------------------------ requests

    @property
    def threshold(self) -> float:
        return self.spec.success_threshold

    @property
    def head(self) -> str:
        """The commit that the session stands on."""
        commit = self.state.checkpoint.commit if self.state.checkpoint else self.state.base
        if commit is None:
            raise ApplicationError("the project was never imported", type="Internal", non_retryable=True)
        return commit

    def note(self, kind: EventKind, text: str) -> None:
        record.event(self.state, workflow.now(), kind, text)

    def scored(self, card: Scorecard, *, settled: bool) -> None:
        """New evidence; when it is all there is on this iteration, also what came of the last try."""
        criteria.score(self.state, card, self.threshold)
        if not settled:
            return
        tasks.judge_tries(self.state)
        if seen := tasks.trail(self.state, self.threshold):
            stuck.add_trail(self.state, seen)
        met = sum(s.met for s in self.state.scores)
        self.note("validation", f"#{self.state.iteration}: {met} of {len(self.state.criteria)} criteria met")

    def site(self, commit: str | None) -> Site:
        return Site(
            session_id=self.spec.session_id,
            project=self.spec.project,
            commit=commit,
            iteration=self.state.iteration,
        )

    def allowance(self, role: Role) -> Allowance:
        return limits.allowance(self.spec, self.state, role, workflow.now())

    def checks(self, *, clean: bool = False) -> ValidateRequest:
        return ValidateRequest(
            site=self.site(self.head),
            checks=criteria.checks(self.state.criteria),
            setup_command=self.state.plan.setup_command if self.state.plan else None,
            clean=clean,
        )

    def start_plan(self) -> Call[PlanResult]:
        return calls.plan(
            PlanRequest(
                site=self.site(self.state.base),
                allowance=self.allowance("plan"),
                goal=self.spec.goal,
                validation_command=self.spec.validation_command,
                setup_command=self.spec.setup_command,
                success_criteria=self.spec.success_criteria,
                guidance=[g.text for g in self.state.guidance],
            )
        )

    def start_execute(self, task: Task) -> Call[ExecuteResult]:
        return calls.execute(
            ExecuteRequest(
                site=self.site(self.head),
                allowance=self.allowance("execute"),
                step=task.step,
                subject=task.title,
                brief=tasks.brief(self.spec, self.state, task),
                conversation=self.state.conversation,
            )
        )

    def start_judge(self, card: Scorecard) -> Call[JudgeResult]:
        return calls.judge(
            JudgeRequest(
                site=self.site(self.head),
                allowance=self.allowance("judge"),
                goal=self.spec.goal,
                base=self.state.base or self.head,
                criteria=criteria.judged(self.state.criteria),
                evidence=card.commands,
            )
        )

    def start_diagnose(self) -> Call[DiagnoseResult]:
        return calls.diagnose(
            DiagnoseRequest(
                site=self.site(self.head),
                allowance=self.allowance("diagnose"),
                goal=self.spec.goal,
                failures=criteria.failures(self.state, self.threshold),
                tries=self.state.tries,
                parent=self.state.checkpoint.parent if self.state.checkpoint else self.head,
            )
        )

    def start_reflect(self, why: str) -> Call[ReflectResult]:
        state = self.state
        return calls.reflect(
            ReflectRequest(
                site=self.site(self.head),
                allowance=self.allowance("reflect"),
                goal=self.spec.goal,
                strategy=state.strategy,
                why=why,
                scoreboard=[f"{c.id}: {c.description}: {view.evidence_of(state, c.id)}" for c in state.criteria],
                tries=state.tries,
                history=[f"#{e.seq} {e.kind}: {e.text}" for e in state.events][-30:],
            )
        )


def plain(payload: RawValue | None) -> Any:
    """A payload as plain data, or as text when it is not JSON: whoever sent it gets to see it again."""
    if payload is None:
        return None
    try:
        return workflow.payload_converter().from_payload(payload.payload)
    except Exception:
        return payload.payload.data.decode("utf-8", "replace")
