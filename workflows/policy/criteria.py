"""Criteria: frozen with the first plan, scored by evidence, held to success."""

from __future__ import annotations

from workflows.contracts.answers import PlanAnswer
from workflows.contracts.evidence import CommandEvidence, Scorecard, Verdict
from workflows.contracts.plan import Criterion, Plan, Step
from workflows.contracts.requests import Check, FailedCheck
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import CriterionState, SessionState
from workflows.contracts.text import ELLIPSIS, clip

VALIDATION = "validation"
GOAL = "goal"
SETUP = "setup"


def plan_from(answer: PlanAnswer, spec: SessionSpec) -> Plan:
    """The plan of the session: the model's steps, and criteria of the person first, the model's after them."""
    setup = spec.setup_command or _usable(answer.setup_command)
    steps = [
        Step(id=f"s{n}", title=step.title, instructions=step.instructions) for n, step in enumerate(answer.steps, 1)
    ]
    return Plan(
        summary=answer.summary,
        steps=steps,
        criteria=_criteria(answer, spec),
        setup_command=setup,
        estimated_complexity=answer.estimated_complexity,
    )


def _criteria(answer: PlanAnswer, spec: SessionSpec) -> list[Criterion]:
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
            Criterion(id=f"plan-{n}", description=planned.description, command=command, weight=planned.weight)
        )
    # Commands alone can hold on a tree on which nobody did anything: somebody must look at the work itself.
    standing = (
        f"The goal is achieved in full, by work that is general and does not special-case its tests. "
        f"The goal: {clip(spec.goal, 240)}"
    )
    return [*criteria, Criterion(id=GOAL, description=standing, weight=2, source="standing")]


def _usable(command: str | None) -> str | None:
    stripped = (command or "").strip()
    # A command that was clipped on its way is not the command that was meant.
    return stripped if stripped and not stripped.endswith(ELLIPSIS) else None


def checks(criteria: list[Criterion]) -> list[Check]:
    """The criteria that a command decides."""
    return [Check(criterion=c.id, command=c.command) for c in criteria if c.command]


def judged(criteria: list[Criterion]) -> list[Criterion]:
    """The criteria that only a judge can decide."""
    return [c for c in criteria if not c.command]


def holds(evidence: CommandEvidence, threshold: float) -> bool:
    """Whether a command's evidence meets its rate."""
    return not evidence.timed_out and evidence.exit_code is not None and evidence.rate >= threshold


def stands(verdict: Verdict) -> bool:
    """Whether a verdict counts as met: a confident yes with at least one quote, and none that does not exist."""
    return (
        verdict.met
        and verdict.confidence != "low"
        and bool(verdict.quotes)
        and all(quote.found for quote in verdict.quotes)
    )


def met_by(card: Scorecard, threshold: float) -> dict[str, float]:
    """Rate per criterion that the evidence speaks of; 1 and 0 for verdicts."""
    rates = {e.criterion: e.rate if holds(e, threshold) else min(e.rate, 0.99) for e in card.commands}
    rates |= {v.criterion: 1.0 if stands(v) else 0.0 for v in card.verdicts}
    return rates


def commands_hold(criteria: list[Criterion], card: Scorecard, threshold: float) -> bool:
    """Whether every criterion with a command has evidence that holds. Absent evidence is not met."""
    holding = {e.criterion for e in card.commands if holds(e, threshold)}
    return all(c.id in holding for c in criteria if c.command)


def holds_in_clean_clone(criteria: list[Criterion], card: Scorecard, threshold: float) -> bool:
    """Whether the setup command and every other command hold in the clean clone."""
    ready = card.setup is None or card.setup.exit_code == 0
    return ready and commands_hold(criteria, card, threshold)


def all_hold(criteria: list[Criterion], card: Scorecard, threshold: float) -> bool:
    """Whether every criterion is met by evidence on this commit. Absent evidence is not met."""
    standing = {v.criterion for v in card.verdicts if v.commit == card.commit and stands(v)}
    return commands_hold(criteria, card, threshold) and all(c.id in standing for c in criteria if not c.command)


def score(state: SessionState, card: Scorecard, threshold: float) -> None:
    """Bring the scoreboard up to date with evidence; a criterion that nobody looked at is not met."""
    holding = {e.criterion for e in card.commands if holds(e, threshold)}
    holding |= {v.criterion for v in card.verdicts if stands(v)}
    rates = met_by(card, threshold)
    before = {s.id: s for s in state.scores}
    state.scores = [
        CriterionState(
            id=c.id,
            met=c.id in holding,
            was_met=c.id in holding or (c.id in before and before[c.id].was_met),
            rate=rates.get(c.id, 0.0),
            passed_at_baseline=before[c.id].passed_at_baseline if c.id in before else False,
        )
        for c in state.criteria
    ]
    state.card = card


def failures(state: SessionState, threshold: float) -> list[FailedCheck]:
    """What is not met on the last validated commit, with its evidence, commands first."""
    card = state.card
    if card is None:
        return []
    by_command = {e.criterion: e for e in card.commands}
    by_judge = {v.criterion: v for v in card.verdicts}
    failed: list[FailedCheck] = []
    for criterion in state.criteria:
        ran, verdict = by_command.get(criterion.id), by_judge.get(criterion.id)
        if ran and not holds(ran, threshold):
            failed.append(_failed(criterion.id, criterion.description, criterion.command, ran))
        elif verdict and not stands(verdict):
            failed.append(
                FailedCheck(
                    criterion=criterion.id,
                    description=criterion.description,
                    evidence=f"a judge found it not met: {verdict.reason or 'no confident verdict with evidence'}",
                )
            )
    if card.setup and card.setup.exit_code != 0:
        command = state.plan.setup_command if state.plan else None
        failed.append(_failed(SETUP, "the setup command succeeds", command, card.setup))
    return failed


def _failed(criterion: str, description: str, command: str | None, ran: CommandEvidence) -> FailedCheck:
    return FailedCheck(
        criterion=criterion,
        description=description,
        command=command,
        exit_code=ran.exit_code,
        timed_out=ran.timed_out,
        evidence=ran.tail,
        log=ran.log,
    )


def unmet(state: SessionState) -> list[Criterion]:
    """Criteria that are not met, as far as anybody has looked."""
    met = {s.id for s in state.scores if s.met}
    return [c for c in state.criteria if c.id not in met]


def flag_baseline(state: SessionState) -> list[str]:
    """Mark checks that already pass on the base commit, and name those that the model proposed itself."""
    source = {c.id: c.source for c in state.criteria}
    flagged: list[str] = []
    for item in state.scores:
        item.passed_at_baseline = item.met
        if item.met and source.get(item.id) == "plan":
            flagged.append(item.id)
    return flagged
