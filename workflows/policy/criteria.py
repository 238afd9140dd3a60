"""Criteria: scored by evidence, held to success."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.contracts.evidence import CommandEvidence, HeldOutRun, Scorecard, Verdict
from workflows.contracts.plan import Criterion
from workflows.contracts.requests import MAX_PASSES, Check, FailedCheck
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import CriterionState, SessionState
from workflows.policy import tamper
from workflows.policy.rates import holds
from workflows.policy.words import BEFORE_WORK

VALIDATION = "validation"
NO_SECRETS = (
    "no secret stands in what was added: read it from the environment or a file that is not committed, and replace "
    "what Overnight left in its place"
)
SETUP = "setup"
QUICK_PASSES = 5
"""Times in a row that a command is to hold in a clean clone, as far as they fit in ``quick_seconds``."""
QUICK_SECONDS, QUICK_SHARE, QUICK_MOST = 60.0, 0.1, 1_800.0
SECRETS = "secrets"
"""Evidence against a commit that adds secrets: nobody asks for it, and it stops delivery."""


def checks(criteria: list[Criterion]) -> list[Check]:
    """The criteria that a command decides."""
    return [Check(criterion=c.id, command=c.command) for c in criteria if c.command]


def judged(criteria: list[Criterion]) -> list[Criterion]:
    """The criteria that only a judge can decide."""
    return [c for c in criteria if not c.command]


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
    """Whether every criterion with a command is met, and neither secrets nor tampering stand against the commit."""
    kept = all(e.criterion != SECRETS for e in card.commands) and not tamper.stands(card)
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


def passes(state: SessionState) -> int:
    """Times in a row that commands are to hold in a clean clone: more, each time that they did not.

    As often as where they held, and did not when they were run again: in the clean clone, or on the same tree.
    """
    tree = state.checkpoint.tree if state.checkpoint else None
    fell = any(t.tree == tree and t.failure is not None for t in state.trail)
    return min(MAX_PASSES, 1 + 2 * max(state.flaky, int(fell)))


def quick_seconds(state: SessionState) -> float:
    """Seconds of runs that cost nobody much: a minute, or a tenth of the session's active time up to half an hour."""
    return min(QUICK_MOST, max(QUICK_SECONDS, QUICK_SHARE * state.active_seconds))


def confirm(state: SessionState, card: Scorecard, threshold: float) -> bool:
    """Take over what the clean clone showed of the commit whose verdicts are in; whether it confirms success."""
    if holds_in_clean_clone(state.criteria, card, threshold):
        # What was printed is in the artifacts; the report needs exit codes, counts and times.
        state.confirmed = card.model_copy(
            update={
                "commands": [_bare(e) for e in card.commands],
                "setup": _bare(card.setup) if card.setup else None,
            }
        )
        return True
    if card.setup is None or card.setup.exit_code == 0:
        state.flaky = min(state.flaky + 1, MAX_PASSES)
    verdicts = state.card.verdicts if state.card and state.card.commit == card.commit else []
    score(state, card.model_copy(update={"verdicts": verdicts}), threshold)
    return False


def held_out(state: SessionState, card: Scorecard) -> bool:
    """Take over what the held-out checks showed of a confirmed commit; whether they, too, hold."""
    ran = [e for e in card.commands if e.criterion == tamper.HELD_OUT]
    ready = card.setup is None or (card.setup.exit_code == 0 and not card.setup.timed_out)
    state.held_out_run = None
    for one in ran[-1:]:
        state.held_out_run = HeldOutRun(
            commit=one.commit,
            passed=ready and tamper.held_out_pass(one),
            exit_code=one.exit_code,
            timed_out=one.timed_out,
            trouble=tamper.held_out_trouble(one) if ready else "",
        )
    if ready and ran and all(tamper.held_out_pass(e) and e.commit == card.commit for e in ran) and state.confirmed:
        quiet = [_bare(e) for e in ran]
        state.confirmed = state.confirmed.model_copy(update={"commands": [*state.confirmed.commands, *quiet]})
        return True
    state.confirmed = None
    if state.card is not None:
        state.card = state.card.model_copy(update={"commands": [*state.card.commands, *ran]})
    return False


def _bare(ran: CommandEvidence) -> CommandEvidence:
    tally = ran.tally.model_copy(update={"failing": []})
    return ran.model_copy(update={"tail": "", "log": None, "tests": None, "fingerprint": None, "tally": tally})


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
    failed += tamper.failed(card)
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
        explained=ran.explained,
        rate=ran.rate,
        tally=ran.tally,
        tests=ran.tests,
        steps=ran.steps,
        evidence=ran.tail,
        log=ran.log,
        fingerprint=ran.fingerprint,
    )


def unmet(state: SessionState) -> list[Criterion]:
    """Criteria that are not met, as far as anybody has looked."""
    met_ids = {s.id for s in state.scores if s.met}
    return [c for c in state.criteria if c.id not in met_ids]


def left(state: SessionState) -> list[str]:
    """What keeps the session from its end: criteria that are not met, and what else stands against its commit."""
    card = state.card
    if card is None:
        return [c.id for c in unmet(state)]
    secrets = [SECRETS] if any(e.criterion == SECRETS for e in card.commands) else []
    # What did not set up the worktree may set up a clean clone, and then it is none.
    setup = [SETUP] if card.setup and card.setup.exit_code != 0 and not state.succeeded else []
    return [*(c.id for c in unmet(state)), *secrets, *(f.criterion for f in tamper.failed(card)), *setup]


def flag_baseline(state: SessionState) -> list[str]:
    """Mark checks that already pass on the base commit, and name those that the model proposed itself."""
    source = {c.id: c.source for c in state.criteria}
    flagged: list[str] = []
    for item in state.scores:
        item.passed_at_baseline = item.met
        if item.met and source.get(item.id) == "plan":
            flagged.append(item.id)
    return flagged


def before_work(seen: Sequence[CommandEvidence]) -> list[CommandEvidence]:
    """What commands showed on the commit that the work begins from: a test suite that has no test yet shows nothing.

    The person's command counts as one where it is heard to say that it ran none; any other goes by its exit code.
    """
    return [
        e.model_copy(update={"rate": 0.0})
        if e.criterion == VALIDATION and e.no_tests and e.tally.source != "exit"
        else e
        for e in seen
    ]


def untested(card: Scorecard, criterion: str) -> str:
    """How a command ended of which no test was seen, in words."""
    unknown = any(e.criterion == criterion and e.no_tests and not e.rate for e in card.commands)
    return BEFORE_WORK if unknown else "ended well, but no test was seen to run"


def flag_untested(state: SessionState, card: Scorecard) -> list[str]:
    """Suites that ended well on ``card`` without a test that ran, and did not on the last one.

    Commands of which no test is ever seen may be linters and builds; the person's own is taken for a test suite.
    """
    before = {e.criterion for e in (state.card.commands if state.card else []) if e.no_tests}
    suites = (e for e in card.commands if e.no_tests and (e.tally.source != "exit" or e.criterion == VALIDATION))
    return [e.criterion for e in suites if e.criterion not in before]
