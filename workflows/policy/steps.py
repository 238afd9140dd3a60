"""The steps of a plan as it changes: what is done stays done, what is dropped stays on record, no id is used twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from workflows.contracts.answers import ReflectionAnswer
from workflows.contracts.approvals import PlanEdit
from workflows.contracts.plan import MAX_LISTED, MAX_STEPS, Plan, Step, StepStatus
from workflows.contracts.state import SessionState
from workflows.policy.record import one_line

MARKS = {StepStatus.DONE: "[x]", StepStatus.PENDING: "[ ]", StepStatus.DROPPED: "[-]"}


@dataclass(frozen=True)
class Wanted:
    """A step as somebody wants it; its id, if any, is what they call it."""

    id: str | None
    title: str
    instructions: str


@dataclass
class Changes:
    """What became of the steps that were to be done."""

    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.dropped or self.changed or self.reordered)

    def __str__(self) -> str:
        parts = [
            f"{what} {', '.join(ids)}"
            for what, ids in (("new", self.added), ("changed", self.changed), ("dropped", self.dropped))
            if ids
        ]
        return "; ".join([*parts, *(["reordered"] if self.reordered else [])])


def pending(plan: Plan | None) -> list[Step]:
    """What is still to be done, in order."""
    return [step for step in plan.steps if step.status is StepStatus.PENDING] if plan else []


def done(plan: Plan | None) -> int:
    """How many steps are done, the forgotten ones included."""
    return plan.done_before + sum(step.status is StepStatus.DONE for step in plan.steps) if plan else 0


def mark_done(plan: Plan, step_id: str, iteration: int) -> Plan:
    """``plan`` with a pending step done in ``iteration``; it then stands before what is still to be done."""
    done_now = {"status": StepStatus.DONE, "iteration": iteration}
    finished = [s.model_copy(update=done_now) for s in pending(plan) if s.id == step_id]
    return _listed(plan, [*_past(plan), *finished], [s for s in pending(plan) if s.id != step_id])


def reopen(plan: Plan, iteration: int) -> Plan:
    """``plan`` with what was done after ``iteration`` to be done again, before everything else, in the same order."""
    again = [s for s in plan.steps if s.status is StepStatus.DONE and s.iteration > iteration]
    anew = {"status": StepStatus.PENDING, "iteration": 0}
    past = [s for s in _past(plan) if s not in again]
    return _listed(plan, past, [*(s.model_copy(update=anew) for s in again), *pending(plan)])


def replace(plan: Plan, wanted: Sequence[Wanted], iteration: int, why: str) -> tuple[Plan, Changes]:
    """``plan`` with ``wanted``, at most ``MAX_STEPS`` of them, as what is to be done.

    A pending step is known again by its id, else by its title; one that is not wanted any more is dropped. What calls
    itself by the id of a step that is done is that step, and stays done.
    """
    before, why = pending(plan), one_line(why, 120)
    left = {step.id: step for step in before}
    finished = {step.id for step in plan.steps if step.status is StepStatus.DONE}
    named = {one.id for one in wanted}
    numbered, kept, changes = _numbered(plan), list[Step](), Changes()
    for one in [one for one in wanted if one.id not in finished][:MAX_STEPS]:
        known = left.pop(one.id or "", None) or _by_title(left, one.title, named)
        if known is None:
            numbered += 1
            title = one_line(one.title, 120)
            made = Step(id=f"s{numbered}", title=title, instructions=one.instructions, added_in=iteration, why=why)
            kept.append(made)
            changes.added.append(made.id)
            continue
        left.pop(known.id, None)
        now = known.model_copy(
            update={"title": one_line(one.title, 120), "instructions": one.instructions or known.instructions}
        )
        kept.append(now)
        if (now.title, now.instructions) != (known.title, known.instructions):
            changes.changed.append(now.id)
    dropped = [
        step.model_copy(update={"status": StepStatus.DROPPED, "dropped_in": iteration, "why": why, "instructions": ""})
        for step in left.values()
    ]
    changes.dropped = [step.id for step in dropped]
    stayed = [step.id for step in kept if step.id not in changes.added]
    changes.reordered = stayed != [step.id for step in before if step.id in stayed]
    made_of = plan.model_copy(update={"numbered": numbered})
    return _listed(made_of, [*_past(plan), *dropped], kept), changes


def _by_title(left: dict[str, Step], title: str, named: set[str | None]) -> Step | None:
    """The step of the same title, unless it is wanted under its id."""
    same = [s for s in left.values() if s.title.casefold() == one_line(title, 120).casefold() and s.id not in named]
    return left.pop(same[0].id) if same else None


def _past(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.status is not StepStatus.PENDING]


def _numbered(plan: Plan) -> int:
    numbers = [int(found[1]) for s in plan.steps if (found := re.fullmatch(r"s(\d{1,6})", s.id))]
    return max([plan.numbered, len(plan.steps), *numbers])


def _listed(plan: Plan, past: list[Step], to_do: list[Step]) -> Plan:
    """``plan`` with these steps; the oldest beyond what is remembered are counted, and their words are let go."""
    room = MAX_LISTED - len(to_do)
    forgotten = past[: max(0, len(past) - room)]
    kept = [step.model_copy(update={"instructions": ""}) for step in past[len(forgotten) :]]
    return plan.model_copy(
        update={
            "steps": [*kept, *to_do],
            "numbered": _numbered(plan),
            "done_before": plan.done_before + sum(s.status is StepStatus.DONE for s in forgotten),
        }
    )


# ---------------------------------------------------------------------- who changes them


def adapt(state: SessionState, why: str, reflection: ReflectionAnswer | None) -> Changes:
    """Take over the steps that a reflection wants; none named, or an empty list, leaves them as they are."""
    if state.plan is None or reflection is None or not reflection.steps:
        return Changes()
    wanted = [Wanted(step.id, step.title, step.instructions) for step in reflection.steps]
    state.plan, changes = replace(state.plan, wanted, state.iteration, f"reflection: {why}")
    return changes


def replan(state: SessionState, why: str, made: Plan) -> Changes:
    """Take over the steps of a new plan for what is left, and its summary; nothing else of it."""
    if state.plan is None or not made.steps:
        return Changes()
    # Its planner numbers from the start: its ids say nothing about steps that are there.
    wanted = [Wanted(None, step.title, step.instructions) for step in made.steps]
    plan = state.plan.model_copy(update={"summary": made.summary})
    state.plan, changes = replace(plan, wanted, state.iteration, f"planned anew: {why}")
    return changes


def edit(state: SessionState, wanted: PlanEdit, by: str) -> Changes:
    """Take over the steps that a person wants, which lead: a fix that a diagnosis asked for is not due any more."""
    if state.plan is None:
        return Changes()
    steps = [Wanted(step.id, step.title, step.instructions) for step in wanted.steps]
    state.plan, changes = replace(state.plan, steps, state.iteration, f"edited by {by}")
    state.fix = None
    return changes


def refusal(state: SessionState, wanted: PlanEdit) -> str | None:
    """Why these steps cannot be taken over, in words, or None."""
    open_ids = {step.id for step in pending(state.plan)}
    named = [step.id for step in wanted.steps if step.id is not None]
    if odd := [one for one in named if one not in open_ids]:
        return f"steps: {', '.join(odd)} is no step that is to be done; a new step has no id"
    if twice := sorted({one for one in named if named.count(one) > 1}):
        return f"steps: {', '.join(twice)} stands there twice"
    return None


# ---------------------------------------------------------------------- guidance and the steps

GUIDANCE = "guidance"
"""How the reason of a reflection begins that guidance calls for."""


def reflection_due(state: SessionState) -> str | None:
    """Why the steps are to be looked at again, or None: a person's guidance may mean others than are still to be done.

    Once for all that came in since, at the end of an iteration: whatever runs is not disturbed, and an execute that
    comes first has the guidance in its own brief. With nothing left to be done there is nothing to re-plan.
    """
    if state.succeeded or state.reflected_at == state.iteration or not pending(state.plan):
        return None
    new = [item.id for item in state.guidance if not item.weighed]
    return one_line(f"{GUIDANCE}: {', '.join(new)} may change what is to be done") if new else None


def weigh(state: SessionState, ids: Sequence[str]) -> None:
    """Guidance that a plan or a reflection has taken into account."""
    for item in state.guidance:
        if item.id in ids:
            item.weighed = True


def guidance_ids(state: SessionState) -> list[str]:
    """All guidance that a call made now would be told."""
    return [item.id for item in state.guidance]


# ---------------------------------------------------------------------- in words


def line(step: Step) -> str:
    """A step with its mark, and what became of it, in one line."""
    note = note_of(step)
    return f"{MARKS[step.status]} {step.id}: {step.title}{f' ({note})' if note else ''}"


def note_of(step: Step) -> str:
    """When and why the plan was changed by this step; empty for one of the plan as it was made."""
    if step.status is StepStatus.DROPPED:
        return f"dropped after #{step.dropped_in}: {step.why}"
    return f"new after #{step.added_in}: {step.why}" if step.added_in is not None else ""


def told(state: SessionState) -> list[str]:
    """The plan for a model that is to change it: what is to be done with its instructions."""
    steps = state.plan.steps if state.plan else []
    return [
        f"{line(step)}: {one_line(step.instructions, 240)}" if step.status is StepStatus.PENDING else line(step)
        for step in steps
    ]
