"""What to do next, and the brief that hands it to a fresh context."""

from __future__ import annotations

import hashlib
from datetime import datetime

from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.outcome import Outcome
from workflows.contracts.plan import Step, StepStatus
from workflows.contracts.requests import Brief, ExecuteResult, FailedCheck
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import MAX_NOTES, SessionState, Task, Trail
from workflows.policy import advice, best, criteria, failures, ladder, steps, stuck, tamper, tries
from workflows.policy.criteria import left
from workflows.policy.failures import Reaction
from workflows.policy.fingerprint import fingerprint
from workflows.policy.record import event, one_line
from workflows.policy.words import NOTHING_COMMITTED, counted

FINISH = "finish"
AGAIN = "It was done before, and undone when the session went back to an earlier checkpoint. Do it again."
"""Instructions of a step whose own were let go when it was done."""


def next_task(state: SessionState) -> Task:
    """The fix of the last diagnosis, else the next step of the plan, else: close what is unmet."""
    if state.fix is not None:
        return state.fix
    step = next_step(state)
    if step is not None:
        return Task(kind="step", step=step.id, title=step.title, instructions=step.instructions or AGAIN)
    names = ", ".join(left(state))
    if not names:
        return Task(
            kind="finish",
            step=FINISH,
            title="do what a person still asks for",
            instructions="Every step of the plan is done and every criterion is met, but a person did not approve it."
            " Do what their guidance says, and keep the criteria met.",
        )
    return Task(
        kind="finish",
        step=FINISH,
        title=f"meet what is unmet: {names}",
        instructions="Every step of the plan is done, but not every criterion is met. Work on what is unmet.",
    )


def next_step(state: SessionState) -> Step | None:
    """The first step of the plan that is not done."""
    return next(iter(steps.pending(state.plan)), None)


def fix_task(diagnosis: DiagnosisAnswer, number: int) -> Task:
    """The task that a diagnosis asks for."""
    return Task(
        kind="fix",
        step=f"fix-{number}",
        title=one_line(f"fix: {diagnosis.root_cause}", 120),
        instructions=f"Root cause: {diagnosis.root_cause}\n\nFix: {diagnosis.fix}",
    )


def diagnosis_due(spec: SessionSpec, state: SessionState) -> bool:
    """Whether what is not met calls for a diagnosis, and not just for what is still to be done."""
    failed = criteria.failures(spec, state)
    if not failed or state.fix is not None:
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
    if task is not None and task.kind == "step" and result.outcome is Outcome.COMPLETED and state.plan is not None:
        state.plan = steps.mark_done(state.plan, task.step, state.iteration)
    if task is not None and task.kind in {"fix", "recover"}:
        state.fix = None
    state.conversation = None


def outcome_line(result: ExecuteResult) -> str:
    """What an execute left, in a few words."""
    made = result.checkpoint
    if made is None:
        return f"{NOTHING_COMMITTED} ({result.outcome.value})"
    return f"{counted(made.changed_files, 'file')} changed, commit {made.commit[:10]}"


def trail(spec: SessionSpec, state: SessionState) -> Trail | None:
    """What this iteration looked like, for judging whether the session is stuck; whether it rose is not in it yet."""
    if state.checkpoint is None:
        return None
    failed = criteria.failures(spec, state)
    reached = best.mark(state)
    seen = f"{reached.rate:.3f} {reached.passed} " + " ".join(sorted(_recognised(check) for check in failed))
    return Trail(
        iteration=state.iteration,
        tree=state.checkpoint.tree,
        met=reached.met,
        failure=_hash(seen) if failed else None,
        shape=_hash(" ".join(sorted(_shape(check) for check in failed)))[:8] if failed else None,
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _recognised(failed: FailedCheck) -> str:
    """The same for the same failure, wherever and whenever; a judge's wording does not count."""
    if failed.command is None:
        return failed.criterion
    end = "timeout" if failed.timed_out else failed.exit_code
    printed = failed.fingerprint or fingerprint(failed.evidence)
    return f"{failed.criterion}:{end}:{printed.exact}"


def _shape(failed: FailedCheck) -> str:
    """Which tests fail, else what kind of failure it is: values that change from one try to the next do not count."""
    if failed.command is None:
        return failed.criterion
    if failed.tally.failing:
        return f"{failed.criterion}:{failed.tally.failed}:{' '.join(failed.tally.failing)}"
    printed = failed.fingerprint or fingerprint(failed.evidence)
    return f"{failed.criterion}:{printed.kind or printed.template}"


def settle(spec: SessionSpec, state: SessionState, now: datetime) -> None:
    """All evidence on this iteration is in: what came of the last try and rung, and where the session stands."""
    tries.settle(state)
    for text in advice.settle(state):
        event(state, now, "note", text)
    seen = trail(spec, state)
    rose = best.keep(state, counts=seen is None or not stuck.only_more(state, seen))
    if seen:
        stuck.add_trail(state, seen.model_copy(update={"rose": rose}))
    if rose:
        ladder.rose(state)
    met = sum(s.met for s in state.scores)
    event(state, now, "validation", f"#{state.iteration}: {met} of {len(state.criteria)} criteria met")


def brief(spec: SessionSpec, state: SessionState, task: Task) -> Brief:
    """Everything that a fresh context needs; guidance that no prompt has carried yet apart from the rest."""
    standing = [s for s in state.plan.steps if s.status is not StepStatus.DROPPED] if state.plan else []
    return Brief(
        goal=spec.goal,
        task=f"{task.title}\n\n{task.instructions}",
        unmet=criteria.failures(spec, state),
        steps=[f"{steps.MARKS[s.status]} {s.id}: {s.title}" for s in standing],
        strategy=state.strategy,
        dead_ends=[t for t in state.tries if t.result.startswith(tries.DEAD)],
        guidance=[g.text for g in state.guidance if g.iteration is None],
        standing_guidance=[g.text for g in state.guidance if g.iteration is not None],
        notes=state.notes,
        put_back=[tamper.in_words(found) for found in state.put_back],
        taken_back=state.taken_back,
        memories=state.knowledge.memories,
    )
