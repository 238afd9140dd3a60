"""Criteria as they come about: from the person and the plan, frozen with it, in iterative mode with its approval."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.contracts.answers import PlanAnswer
from workflows.contracts.approvals import CriterionEdit
from workflows.contracts.plan import Criterion, Plan, Step
from workflows.contracts.requests import PlanRequest, PlanResult
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState
from workflows.contracts.text import ELLIPSIS, clip
from workflows.policy.criteria import VALIDATION
from workflows.policy.globs import problem_of
from workflows.policy.record import one_line

GOAL = "goal"
PLANNED = "plan-"
"""How the ids of the planner's own criteria begin."""


def plan_from(answer: PlanAnswer, spec: SessionSpec | PlanRequest) -> Plan:
    """The plan of the session: the model's steps, and criteria of the person first, the model's after them."""
    # What the person gave travels with the request: it is kept once.
    setup = None if spec.setup_command else _usable(answer.setup_command)
    steps = [
        Step(id=f"s{n}", title=one_line(step.title, 120), instructions=step.instructions)
        for n, step in enumerate(answer.steps, 1)
    ]
    return Plan(
        summary=answer.summary,
        steps=steps,
        criteria=_criteria(answer, spec),
        setup_command=setup,
        may_change=_globs(answer.tests_to_change),
        check_files=_globs(answer.check_files),
        estimated_complexity=answer.estimated_complexity,
    )


def _criteria(answer: PlanAnswer, spec: SessionSpec | PlanRequest) -> list[Criterion]:
    criteria: list[Criterion] = []
    if spec.validation_command:
        criteria.append(
            Criterion(
                id=VALIDATION,
                description="the validation command passes",
                command=spec.validation_command,
                weight=3,
                source="user",
            )
        )
    criteria += [
        Criterion(id=f"wish-{n}", description=wish, source="user") for n, wish in enumerate(spec.success_criteria, 1)
    ]
    taken = {spec.validation_command}
    for n, planned in enumerate(answer.criteria, 1):
        command = _usable(planned.command)
        if command and command in taken:
            continue
        taken.add(command)
        criteria.append(
            Criterion(id=f"{PLANNED}{n}", description=planned.description, command=command, weight=planned.weight)
        )
    # Commands alone can hold on a tree on which nobody did anything: somebody must look at the work itself.
    standing = (
        f"The goal is achieved in full, by work that is general and does not special-case its tests. "
        f"The goal: {clip(spec.goal, 240)}"
    )
    return [*criteria, Criterion(id=GOAL, description=standing, weight=2, source="standing")]


def _globs(named: list[str]) -> list[str]:
    """What a model named, as far as it can match anything."""
    stripped = (name.strip().removeprefix("/workspace/") for name in named)
    return [name for name in stripped if name and not name.endswith(ELLIPSIS) and problem_of(name) is None]


def _usable(command: str | None) -> str | None:
    stripped = (command or "").strip()
    # A command that was clipped on its way is not the command that was meant.
    return stripped if stripped and not stripped.endswith(ELLIPSIS) else None


def freeze(spec: SessionSpec, state: SessionState, result: PlanResult) -> None:
    """Take over a plan that nobody has approved or needs to: from here on the criteria stay, but for ``edit``."""
    if result.plan is None:
        return
    state.base = result.base
    state.plans += 1
    # The person's command as it was given: what comes back from an activity had its secrets taken out.
    state.criteria = [
        c.model_copy(update={"command": spec.validation_command}) if c.id == VALIDATION else c
        for c in result.plan.criteria
    ]
    state.held_out = result.held_out
    # Kept once: the criteria of the session are those beside the plan.
    state.plan = result.plan.model_copy(update={"criteria": []})


def editable(state: SessionState) -> bool:
    """Whether the planner's criteria may still be edited: as long as no plan was approved."""
    waits = state.approval
    return waits is not None and waits.subject == "plan" and all(d.request != waits.request for d in state.decisions)


def edit(state: SessionState, wanted: Sequence[CriterionEdit]) -> bool:
    """Take over the planner's criteria as a person wants them; whether that changed any. All others stay."""
    before = [c for c in state.criteria if c.id.startswith(PLANNED)]
    known = {c.id: c for c in before}
    number, kept = max([0, *(int(c.id.removeprefix(PLANNED)) for c in before)]), list[Criterion]()
    for one in wanted:
        old = known.get(one.id or "")
        if old is not None and (old.description, old.command, old.weight) == _said(one):
            kept.append(old)
            continue
        number += old is None
        made = Criterion(
            id=old.id if old else f"{PLANNED}{number}",
            description=one.description,
            command=one.command,
            weight=one.weight,
            source="user",
        )
        kept.append(made)
    first = [c for c in state.criteria if c.source == "user" and c not in before]
    state.criteria = [*first, *kept, *(c for c in state.criteria if c.source == "standing")]
    return kept != before


def _said(one: CriterionEdit) -> tuple[str, str | None, float]:
    return one.description, one.command, one.weight


def edit_refusal(state: SessionState, wanted: Sequence[CriterionEdit]) -> str | None:
    """Why these cannot be the planner's criteria, in words, or None."""
    known = {c.id for c in state.criteria if c.id.startswith(PLANNED)}
    named = [one.id for one in wanted if one.id is not None]
    if odd := [one for one in named if one not in known]:
        return f"criteria: {', '.join(odd)} is none of the planner's; a new criterion has no id"
    if twice := sorted({one for one in named if named.count(one) > 1}):
        return f"criteria: {', '.join(twice)} stands there twice"
    return None
