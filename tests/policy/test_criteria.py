"""Success is evidence on every criterion, on that commit; whatever is absent, unsure or elsewhere is not met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import CRITERIA, HEAD, OTHER, SPEC, THRESHOLD, cards, holding, judged, ran, state
from workflows.contracts.answers import PlanAnswer, PlannedCriterion, PlannedStep
from workflows.contracts.evidence import Quote, Scorecard
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import PlanResult
from workflows.policy import criteria


@given(cards)
def test_success_is_standing_evidence_on_every_criterion(card: Scorecard) -> None:
    by_command = all(
        [e for e in card.commands if e.criterion == c.id]
        and all(
            e.commit == HEAD and e.exit_code is not None and not e.timed_out and e.rate >= THRESHOLD
            for e in card.commands
            if e.criterion == c.id
        )
        for c in CRITERIA
        if c.command
    )
    by_judge = all(
        [v for v in card.verdicts if v.criterion == c.id]
        and all(
            v.commit == HEAD and v.met and v.confidence != "low" and v.quotes and all(q.found for q in v.quotes)
            for v in card.verdicts
            if v.criterion == c.id
        )
        for c in CRITERIA
        if not c.command
    )
    assert criteria.commands_hold(CRITERIA, card, THRESHOLD) is by_command
    assert criteria.all_hold(CRITERIA, card, THRESHOLD) is bool(by_command and by_judge)


@given(cards)
def test_the_scoreboard_agrees_with_success(card: Scorecard) -> None:
    session = state()
    criteria.score(session, card, THRESHOLD)
    assert all(s.met for s in session.scores) is criteria.all_hold(CRITERIA, card, THRESHOLD)
    assert all((s.rate == 1) is s.met and 0 <= s.rate <= 1 for s in session.scores)
    missing = {f.criterion for f in criteria.failures(SPEC, session)} - {criteria.SETUP}
    asked = {c.id for c in CRITERIA if c.command or card.verdicts}
    assert missing == {s.id for s in session.scores if not s.met} & asked


@given(cards, st.sampled_from([c.id for c in CRITERIA]))
def test_whatever_else_there_is_absent_evidence_is_not_met(card: Scorecard, absent: str) -> None:
    without = card.model_copy(
        update={
            "commands": [e for e in card.commands if e.criterion != absent],
            "verdicts": [v for v in card.verdicts if v.criterion != absent],
        }
    )
    session = state()
    criteria.score(session, without, THRESHOLD)
    assert not next(s.met for s in session.scores if s.id == absent)
    assert not criteria.all_hold(CRITERIA, without, THRESHOLD)


@given(cards)
def test_the_clean_clone_confirms_only_what_was_seen_in_it(card: Scorecard) -> None:
    if criteria.holds_in_clean_clone(CRITERIA, card, THRESHOLD):
        assert all(e.clean and e.commit == HEAD for e in card.commands if e.criterion != "nobody")
        assert card.setup is None or card.setup.exit_code == 0


def test_without_criteria_there_is_no_success() -> None:
    assert not criteria.all_hold([], Scorecard(commit=HEAD), THRESHOLD)


def test_evidence_that_holds() -> None:
    assert criteria.all_hold(CRITERIA, holding(), THRESHOLD)


@pytest.mark.parametrize(
    "change",
    [
        {"commands": [ran("validation"), ran("plan-1", commit=OTHER)]},
        {"commands": [ran("validation"), ran("plan-1", timed_out=True)]},
        {"commands": [ran("validation"), ran("plan-1", exit_code=None)]},
        {"commands": [ran("validation"), ran("plan-1", rate=0.94)]},
        {"commands": [ran("validation"), ran("plan-1"), ran("plan-1", passed=False)]},
        {"verdicts": [judged("goal", commit=OTHER)]},
        {"verdicts": [judged("goal", confidence="low")]},
        {"verdicts": [judged("goal", quotes=[])]},
        {"verdicts": [judged("goal", quotes=[Quote(file="f", quote="made up", found=False)])]},
        {"verdicts": [judged("goal"), judged("goal", met=False)]},
        {"verdicts": [judged("validation")], "commands": [ran("plan-1")]},
    ],
)
def test_evidence_that_does_not_hold(change: dict[str, object]) -> None:
    assert not criteria.all_hold(CRITERIA, holding().model_copy(update=change), THRESHOLD)


def test_confirming_keeps_exit_codes_and_leaves_output_to_the_artifacts() -> None:
    session = state()
    criteria.score(session, holding(), THRESHOLD)
    clean = Scorecard(commit=HEAD, commands=[ran(c, clean=True, tail="ok") for c in ("validation", "plan-1")])
    assert criteria.confirm(session, clean, THRESHOLD)
    assert session.confirmed is not None
    assert [(e.exit_code, e.tail) for e in session.confirmed.commands] == [(0, ""), (0, "")]


def test_a_clean_clone_that_fails_keeps_the_verdicts_and_names_the_setup() -> None:
    session = state()
    criteria.score(session, holding(), THRESHOLD)
    clean = Scorecard(
        commit=HEAD,
        commands=[ran("validation", clean=True, passed=False), ran("plan-1", clean=True)],
        setup=ran("setup", passed=False, tail="no such package"),
    )
    assert not criteria.confirm(session, clean, THRESHOLD)
    assert session.confirmed is None
    assert {s.id: s.met for s in session.scores} == {"validation": False, "plan-1": True, "goal": True}
    spec = SPEC.model_copy(update={"setup_command": "make install"})
    failed = criteria.failures(spec, session)
    assert [(f.criterion, f.command) for f in failed] == [("validation", "make test"), ("setup", "make install")]


def test_the_plan_puts_the_persons_criteria_first_and_freezes() -> None:
    answer = PlanAnswer(
        summary="do it",
        steps=[PlannedStep(id="x", title="write\nit", instructions="now")],
        criteria=[
            PlannedCriterion(id="c1", description="the same again", command=" make test "),
            PlannedCriterion(id="c2", description="it lints", command="make lint"),
            PlannedCriterion(id="c3", description="it is clipped", command="x" * 401),
        ],
        setup_command="make deps",
    )
    spec = SPEC.model_copy(update={"success_criteria": ["it rhymes"]})
    plan = criteria.plan_from(answer, spec)
    assert [(c.id, c.command) for c in plan.criteria] == [
        ("validation", "make test"), ("wish-1", None), ("plan-2", "make lint"), ("plan-3", None), ("goal", None),
    ]  # fmt: skip
    assert plan.steps[0].title == "write it"
    session = state(plan=None, criteria=[], base=None)
    criteria.freeze(spec, session, PlanResult(outcome=Outcome.COMPLETED, base=OTHER, plan=plan))
    assert (session.base, session.criteria) == (OTHER, plan.criteria)
    assert criteria.setup_command(spec, session) == "make deps"
    given = spec.model_copy(update={"setup_command": "make mine"})
    assert criteria.setup_command(given, session) == "make mine"


def test_a_planners_own_check_that_passes_before_the_work_is_flagged() -> None:
    session = state()
    criteria.score(session, holding(), THRESHOLD)
    assert criteria.flag_baseline(session) == ["plan-1"]
    assert [s.passed_at_baseline for s in session.scores] == [True, True, True]
