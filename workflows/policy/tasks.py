"""What to do next, and the brief that hands it to a fresh context."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.outcome import Outcome
from workflows.contracts.plan import Step, StepStatus
from workflows.contracts.requests import Brief, ExecuteResult, FailedCheck, Try
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import MAX_NOTES, MAX_TRIES, SessionState, Task, Trail
from workflows.policy import criteria, failures, stuck
from workflows.policy.criteria import unmet
from workflows.policy.failures import Reaction
from workflows.policy.record import event, one_line
from workflows.policy.words import counted

FINISH = "finish"


def next_task(state: SessionState) -> Task:
    """The fix of the last diagnosis, else the next step of the plan, else: close what is unmet."""
    if state.fix is not None:
        return state.fix
    step = next_step(state)
    if step is not None:
        return Task(kind="step", step=step.id, title=step.title, instructions=step.instructions)
    names = ", ".join(c.id for c in unmet(state)) or "all criteria"
    return Task(
        kind="finish",
        step=FINISH,
        title=f"meet what is unmet: {names}",
        instructions="Every step of the plan is done, but not every criterion is met. Work on what is unmet.",
    )


def next_step(state: SessionState) -> Step | None:
    """The first step of the plan that is not done."""
    steps = state.plan.steps if state.plan else []
    return next((step for step in steps if step.status is StepStatus.PENDING), None)


def fix_task(diagnosis: DiagnosisAnswer, number: int) -> Task:
    """The task that a diagnosis asks for."""
    return Task(
        kind="fix",
        step=f"fix-{number}",
        title=one_line(f"fix: {diagnosis.root_cause}", 120),
        instructions=f"Root cause: {diagnosis.root_cause}\n\nFix: {diagnosis.fix}",
    )


def diagnosis_due(spec: SessionSpec, state: SessionState) -> bool:
    """Whether what is not met calls for a diagnosis, and not just for the steps that are still to be done."""
    failed = criteria.failures(spec, state)
    if not failed:
        return False
    regressed = {s.id for s in state.scores if s.was_met and not s.met}
    return next_step(state) is None or any(f.criterion in regressed for f in failed)


def advance(state: SessionState, result: ExecuteResult) -> None:
    """The branch has grown by this execute's checkpoint, however the execute ended."""
    made, before = result.checkpoint, state.checkpoint
    if made is not None and before is not None and before.iteration == made.iteration:
        # An execute that was interrupted and went on: what it did is the whole of it.
        made = made.model_copy(
            update={"parent": before.parent, "changed_files": before.changed_files + made.changed_files}
        )
    if made is not None:
        state.checkpoint = made
    if failures.reaction(result.outcome) is Reaction.START_AFRESH:
        state.conversation = None
    else:
        # A call that was stopped before it could speak leaves the conversation where it was.
        state.conversation = result.conversation or state.conversation


def conclude(state: SessionState, result: ExecuteResult) -> None:
    """Remember what a finished execute did: its words, and the step or fix that it did."""
    task = state.task
    made = state.checkpoint if state.checkpoint and state.checkpoint.iteration == state.iteration else None
    state.idle = 0 if made and made.changed_files else state.idle + 1
    state.summary = result.summary
    state.notes = result.notes[:MAX_NOTES]
    if task is not None and task.kind == "step" and result.outcome is Outcome.COMPLETED:
        _mark_done(state, task.step)
    if task is not None and task.kind == "fix":
        state.fix = None
    state.conversation = None


def outcome_line(result: ExecuteResult) -> str:
    """What an execute left, in a few words."""
    made = result.checkpoint
    return f"{counted(made.changed_files, 'file')} changed, commit {made.commit[:10]}" if made else "no checkpoint"


def _mark_done(state: SessionState, step_id: str) -> None:
    if state.plan is None:
        return
    steps = [s.model_copy(update={"status": StepStatus.DONE}) if s.id == step_id else s for s in state.plan.steps]
    state.plan = state.plan.model_copy(update={"steps": steps})


def remember_try(state: SessionState, diagnosis: DiagnosisAnswer) -> None:
    """Put a diagnosis on record; its result comes with the next validation."""
    tried = Try(
        iteration=state.iteration,
        root_cause=one_line(diagnosis.root_cause),
        fix=one_line(diagnosis.fix, 300),
        result="",
    )
    state.tries = [*state.tries, tried][-MAX_TRIES:]


def judge_tries(state: SessionState) -> None:
    """Write beside the last try what the validation after it showed."""
    if not state.tries or state.tries[-1].result or state.tries[-1].iteration >= state.iteration:
        return
    still = ", ".join(c.id for c in unmet(state))
    result = f"did not help: {still} still unmet" if still else "worked"
    state.tries = [*state.tries[:-1], state.tries[-1].model_copy(update={"result": one_line(result)})]


def trail(spec: SessionSpec, state: SessionState) -> Trail | None:
    """What this iteration looked like, for judging whether the session is stuck."""
    if state.checkpoint is None:
        return None
    failed = criteria.failures(spec, state)
    rate = sum(s.rate for s in state.scores)
    seen = f"{rate:.3f} " + " ".join(sorted(_fingerprint(check) for check in failed))
    return Trail(
        iteration=state.iteration,
        tree=state.checkpoint.tree,
        met=sum(s.met for s in state.scores),
        failure=hashlib.sha256(seen.encode()).hexdigest()[:16] if failed else None,
    )


def _fingerprint(failed: FailedCheck) -> str:
    """The same for the same failure: times and addresses in what was printed do not count, nor a judge's wording."""
    if failed.command is None:
        return failed.criterion
    end = "timeout" if failed.timed_out else failed.exit_code
    printed = re.sub(r"0x[0-9a-fA-F]+|[0-9]+\.[0-9]+", "#", failed.evidence)
    return f"{failed.criterion}:{end}:{printed}"


def settle(spec: SessionSpec, state: SessionState, now: datetime) -> None:
    """All evidence on this iteration is in: what came of the last try, and where the session stands."""
    judge_tries(state)
    if seen := trail(spec, state):
        stuck.add_trail(state, seen)
    met = sum(s.met for s in state.scores)
    event(state, now, "validation", f"#{state.iteration}: {met} of {len(state.criteria)} criteria met")


def brief(spec: SessionSpec, state: SessionState, task: Task) -> Brief:
    """Everything that a fresh context needs; guidance that no prompt has carried yet apart from the rest."""
    marks = {StepStatus.DONE: "[x]", StepStatus.PENDING: "[ ]"}
    steps = [f"{marks[s.status]} {s.id}: {s.title}" for s in state.plan.steps] if state.plan else []
    return Brief(
        goal=spec.goal,
        task=f"{task.title}\n\n{task.instructions}",
        unmet=criteria.failures(spec, state),
        steps=steps,
        strategy=state.strategy,
        dead_ends=[t for t in state.tries if t.result.startswith("did not help")],
        guidance=[g.text for g in state.guidance if g.iteration is None],
        standing_guidance=[g.text for g in state.guidance if g.iteration is not None],
        notes=state.notes,
    )
