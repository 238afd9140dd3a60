"""Criteria: frozen with the first plan, scored by evidence, held to success."""

from __future__ import annotations

from workflows.contracts.answers import PlanAnswer
from workflows.contracts.evidence import CommandEvidence, Scorecard, Verdict
from workflows.contracts.plan import Criterion, Plan, Step
from workflows.contracts.requests import Check, FailedCheck, PlanRequest, PlanResult
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import CriterionState, SessionState
from workflows.contracts.text import ELLIPSIS, clip
from workflows.policy.record import one_line

VALIDATION = "validation"
GOAL = "goal"
NO_SECRETS = (
    "no secret stands in what was added: read it from the environment or a file that is not committed, and replace "
    "what Overnight left in its place"
)
SETUP = "setup"
SECRETS = "secrets"
"""Evidence against a commit that adds secrets: nobody asks for it, and it stops delivery."""


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


def freeze(spec: SessionSpec, state: SessionState, result: PlanResult) -> None:
    """Take over the first plan: from here on the criteria stay as they are."""
    if result.plan is None:
        return
    state.base = result.base
    # The person's command as it was given: what comes back from an activity had its secrets taken out.
    state.criteria = [
        c.model_copy(update={"command": spec.validation_command}) if c.id == VALIDATION else c
        for c in result.plan.criteria
    ]
    # Kept once: the criteria of the session are those beside the plan.
    state.plan = result.plan.model_copy(update={"criteria": []})


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


def met(criterion: Criterion, card: Scorecard, threshold: float) -> bool:
    """Whether the evidence on the card's commit, all of it, shows the criterion met. Absent evidence is not met."""
    if criterion.command:
        ran = [e for e in card.commands if e.criterion == criterion.id]
        return bool(ran) and all(e.commit == card.commit and holds(e, threshold) for e in ran)
    verdicts = [v for v in card.verdicts if v.criterion == criterion.id]
    return bool(verdicts) and all(v.commit == card.commit and stands(v) for v in verdicts)


def rate(criterion: Criterion, card: Scorecard, threshold: float) -> float:
    """How far a criterion is met, from 0 to 1; 1 only when it is met."""
    if met(criterion, card, threshold):
        return 1.0
    return min([0.99, *(e.rate for e in card.commands if e.criterion == criterion.id)]) if criterion.command else 0.0


def commands_hold(criteria: list[Criterion], card: Scorecard, threshold: float) -> bool:
    """Whether every criterion with a command is met, and no secret stands in what was added."""
    kept = all(e.criterion != SECRETS for e in card.commands)
    return kept and all(met(c, card, threshold) for c in criteria if c.command)


def holds_in_clean_clone(criteria: list[Criterion], card: Scorecard, threshold: float) -> bool:
    """Whether the setup command and every other command hold, all of them observed in the clean clone."""
    ready = card.setup is None or (card.setup.exit_code == 0 and not card.setup.timed_out)
    return ready and all(e.clean for e in card.commands) and commands_hold(criteria, card, threshold)


def all_hold(criteria: list[Criterion], card: Scorecard, threshold: float) -> bool:
    """Whether every criterion is met by evidence on this commit; without criteria there is no success."""
    return (
        bool(criteria) and commands_hold(criteria, card, threshold) and all(met(c, card, threshold) for c in criteria)
    )


def score(state: SessionState, card: Scorecard, threshold: float) -> None:
    """Bring the scoreboard up to date with evidence; a criterion that nobody looked at is not met."""
    before = {s.id: s for s in state.scores}
    scores: list[CriterionState] = []
    for criterion in state.criteria:
        is_met = met(criterion, card, threshold)
        earlier = before.get(criterion.id)
        scores.append(
            CriterionState(
                id=criterion.id,
                met=is_met,
                was_met=is_met or (earlier is not None and earlier.was_met),
                rate=rate(criterion, card, threshold) if _looked_at(criterion, card) else 0.0,
                passed_at_baseline=earlier is not None and earlier.passed_at_baseline,
            )
        )
    state.scores = scores
    state.card = card


def _looked_at(criterion: Criterion, card: Scorecard) -> bool:
    evidence = card.commands if criterion.command else card.verdicts
    return any(e.criterion == criterion.id for e in evidence)


def confirm(state: SessionState, card: Scorecard, threshold: float) -> bool:
    """Take over what the clean clone showed of the commit whose verdicts are in; whether it confirms success."""
    if holds_in_clean_clone(state.criteria, card, threshold):
        # What was printed is in the artifacts; the report needs exit codes and times.
        state.confirmed = card.model_copy(
            update={
                "commands": [e.model_copy(update={"tail": "", "log": None}) for e in card.commands],
                "setup": card.setup.model_copy(update={"tail": "", "log": None}) if card.setup else None,
            }
        )
        return True
    verdicts = state.card.verdicts if state.card and state.card.commit == card.commit else []
    score(state, card.model_copy(update={"verdicts": verdicts}), threshold)
    return False


def setup_command(spec: SessionSpec, state: SessionState) -> str | None:
    """What prepares a fresh clone: the person's command, else the planner's."""
    return spec.setup_command or (state.plan.setup_command if state.plan else None)


def failures(spec: SessionSpec, state: SessionState) -> list[FailedCheck]:
    """What is not met on the last validated commit, with its evidence. A judge who was not asked yet says nothing."""
    card, threshold = state.card, spec.success_threshold
    if card is None:
        return []
    failed: list[FailedCheck] = []
    for criterion in state.criteria:
        if met(criterion, card, threshold):
            continue
        if criterion.command:
            ran = [e for e in card.commands if e.criterion == criterion.id]
            worst = min(ran, key=lambda e: (holds(e, threshold), e.rate), default=None)
            failed.append(_failed(criterion.id, criterion.description, criterion.command, worst))
        elif card.verdicts:
            said = next((v for v in card.verdicts if v.criterion == criterion.id and not stands(v)), None)
            reason = (said.reason if said else "") or "no confident verdict with evidence"
            failed.append(
                FailedCheck(
                    criterion=criterion.id,
                    description=criterion.description,
                    evidence=f"a judge found it not met: {reason}",
                )
            )
    failed += [
        FailedCheck(criterion=SECRETS, description=NO_SECRETS, evidence=e.tail, log=e.log)
        for e in card.commands
        if e.criterion == SECRETS
    ]
    if card.setup and card.setup.exit_code != 0:
        failed.append(_failed(SETUP, "the setup command succeeds", setup_command(spec, state), card.setup))
    return failed


def _failed(criterion: str, description: str, command: str | None, ran: CommandEvidence | None) -> FailedCheck:
    if ran is None:
        return FailedCheck(
            criterion=criterion, description=description, command=command, evidence="it was not run on this commit"
        )
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
    met_ids = {s.id for s in state.scores if s.met}
    return [c for c in state.criteria if c.id not in met_ids]


def flag_baseline(state: SessionState) -> list[str]:
    """Mark checks that already pass on the base commit, and name those that the model proposed itself."""
    source = {c.id: c.source for c in state.criteria}
    flagged: list[str] = []
    for item in state.scores:
        item.passed_at_baseline = item.met
        if item.met and source.get(item.id) == "plan":
            flagged.append(item.id)
    return flagged
