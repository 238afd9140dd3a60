"""Success is evidence on every criterion, on that commit; whatever is absent, unsure or elsewhere is not met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import CRITERIA, HEAD, NOW, OTHER, SPEC, THRESHOLD, cards, holding, judged, ran, seen, state
from workflows.contracts.answers import PlanAnswer, PlannedCriterion, PlannedStep
from workflows.contracts.evidence import CommandEvidence, Quote, Scorecard, Tally
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import Checkpoint, PlanResult, Try
from workflows.policy import agreed, asks, best, criteria, tasks, tries
from workflows.policy.report import report


@given(cards)
def test_success_is_standing_evidence_on_every_criterion(card: Scorecard) -> None:
    by_command = all(
        [e for e in card.commands if e.criterion == c.id]
        and all(
            e.commit == HEAD
            and not e.timed_out
            and e.rate >= THRESHOLD
            and (e.exit_code == 0 or (e.exit_code is not None and e.explained))
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
    tolerated = [ran("validation"), ran("plan-1", exit_code=1, rate=0.96, explained=True)]
    assert criteria.all_hold(CRITERIA, holding().model_copy(update={"commands": tolerated}), THRESHOLD)


@pytest.mark.parametrize(
    "change",
    [
        {"commands": [ran("validation"), ran("plan-1", commit=OTHER)]},
        {"commands": [ran("validation"), ran("plan-1", timed_out=True)]},
        {"commands": [ran("validation"), ran("plan-1", exit_code=None)]},
        {"commands": [ran("validation"), ran("plan-1", rate=0.94)]},
        {"commands": [ran("validation"), ran("plan-1", exit_code=1, rate=1.0)]},
        {"commands": [ran("validation"), ran("plan-1", exit_code=1, rate=0.94, explained=True)]},
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


def test_what_did_not_hold_again_is_to_hold_more_often() -> None:
    session, wanted = state(card=holding()), [1]
    assert criteria.passes(session) == 1
    for _ in range(12):
        clean = Scorecard(
            commit=HEAD, commands=[ran("validation", passed=False, clean=True), ran("plan-1", clean=True)]
        )
        assert not criteria.confirm(session, clean, THRESHOLD)
        wanted.append(criteria.passes(session))
    assert wanted == [1, 3, 5, 7, 9, *[10] * 8]


def test_a_long_session_confirms_longer() -> None:
    asked = [asks.validate(SPEC, state(active_seconds=s), clean=True).quick_seconds for s in (0, 300, 3_000, 1e6)]
    assert asked == [60, 60, 300, 1_800]


def test_a_clean_clone_that_cannot_be_set_up_says_nothing_of_luck() -> None:
    session = state(card=holding())
    assert not criteria.confirm(session, Scorecard(commit=HEAD, setup=ran("setup", passed=False)), THRESHOLD)
    assert criteria.passes(session) == 1


def test_a_tree_that_failed_before_is_to_hold_more_often() -> None:
    made = Checkpoint(commit=HEAD, tree="1" * 40, parent=OTHER, iteration=2)
    session = state(card=holding(), checkpoint=made, trail=seen(1, trees=["1" * 40], failures=["f"]))
    assert criteria.passes(session) == 3
    session.trail = seen(1, trees=["2" * 40], failures=["f"])
    assert criteria.passes(session) == 1


def test_confirming_keeps_exit_codes_and_leaves_output_to_the_artifacts() -> None:
    session = state()
    criteria.score(session, holding(), THRESHOLD)
    tally = Tally(source="junit", passed=30, failed=1, failing=["test_slow"])
    clean = Scorecard(
        commit=HEAD, commands=[ran(c, clean=True, tail="ok", tally=tally) for c in ("validation", "plan-1")]
    )
    assert criteria.confirm(session, clean, THRESHOLD)
    assert session.confirmed is not None
    assert [(e.exit_code, e.tail) for e in session.confirmed.commands] == [(0, ""), (0, "")]
    assert [(e.tally.passed, e.tally.failing) for e in session.confirmed.commands] == [(30, []), (30, [])]


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


def test_whatever_stands_against_a_commit_is_left_to_do() -> None:
    session = state(iteration=2, tries=[Try(iteration=1, root_cause="c", fix="f")])
    criteria.score(session, holding(), THRESHOLD)
    assert criteria.left(session) == []
    commands = [*holding().commands, ran(criteria.SECRETS, passed=False)]
    session.card = holding().model_copy(update={"commands": commands, "setup": ran("setup", passed=False)})
    assert criteria.left(session) == ["secrets", "setup"]
    tries.settle(session)
    assert session.tries[0].result == "did not help: secrets, setup still unmet"
    session.plan = None
    assert tasks.next_task(session).title == "meet what is unmet: secrets, setup"


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
    plan = agreed.plan_from(answer, spec)
    assert [(c.id, c.command) for c in plan.criteria] == [
        ("validation", "make test"), ("wish-1", None), ("plan-2", "make lint"), ("plan-3", None), ("goal", None),
    ]  # fmt: skip
    assert plan.steps[0].title == "write it"
    session = state(plan=None, criteria=[], base=None)
    agreed.freeze(spec, session, PlanResult(outcome=Outcome.COMPLETED, base=OTHER, plan=plan))
    assert (session.base, session.criteria) == (OTHER, plan.criteria)
    assert criteria.setup_command(spec, session) == "make deps"
    given = spec.model_copy(update={"setup_command": "make mine"})
    assert criteria.setup_command(given, session) == "make mine"


def test_a_planners_own_check_that_passes_before_the_work_is_flagged() -> None:
    session = state()
    criteria.score(session, holding(), THRESHOLD)
    assert criteria.flag_baseline(session) == ["plan-1"]
    assert [s.passed_at_baseline for s in session.scores] == [True, True, True]


def test_a_suite_without_a_test_yet_is_not_met_before_the_work_and_is_nothing_to_go_back_to() -> None:
    empty = Scorecard(
        commit=HEAD, commands=criteria.before_work([ran("validation", tally=Tally(source="text")), ran("plan-1")])
    )
    session = state()
    assert criteria.untested(empty, "validation").startswith("ended well with no tests, before the work began")
    criteria.score(session, empty, THRESHOLD)
    assert criteria.flag_baseline(session) == ["plan-1"]
    assert [s.met for s in session.scores] == [False, True, False]
    assert "NO TEST RAN (printed summary), ended well with no tests, before the work began" in report(
        SPEC, session, NOW
    )
    best.keep(session)
    failing = ran("validation", passed=False, tally=Tally(source="text", failed=2), explained=True)
    for number in (1, 2):
        made = f"{number}" * 40
        session.checkpoint = Checkpoint(commit=made, tree=made, parent=HEAD, iteration=number, changed_files=1)
        commands = [failing, ran("plan-1")]
        criteria.score(
            session,
            Scorecard(commit=made, commands=[e.model_copy(update={"commit": made}) for e in commands]),
            THRESHOLD,
        )
        best.keep(session)
    assert best.fallen_from(session) is None
    assert session.best is not None
    assert session.best.iteration == 2, "real work, of which nothing passes yet, is no step back from nothing"


@pytest.mark.parametrize(
    "shown", [ran("validation"), ran("plan-1", tally=Tally(source="text")), ran("validation", tally=Tally(passed=3))]
)
def test_what_is_no_test_suite_or_has_tests_holds_before_the_work(shown: CommandEvidence) -> None:
    assert criteria.before_work([shown]) == [shown]


def test_a_suite_without_tests_is_flagged_once_and_a_linter_never() -> None:
    session = state()
    empty = ran("validation"), ran("plan-1")
    card = Scorecard(commit=HEAD, commands=list(empty))
    assert criteria.flag_untested(session, card) == ["validation"]
    criteria.score(session, card, THRESHOLD)
    assert criteria.flag_untested(session, card) == [], "once is enough"
    counted = ran("validation", tally=Tally(source="text", passed=3))
    none_ran = ran("plan-1", tally=Tally(source="junit", skipped=9))
    assert criteria.flag_untested(session, Scorecard(commit=HEAD, commands=[counted, none_ran])) == []
    criteria.score(session, Scorecard(commit=HEAD, commands=[counted]), THRESHOLD)
    assert criteria.flag_untested(session, Scorecard(commit=HEAD, commands=[counted, none_ran])) == ["plan-1"]
    failed = ran("plan-1", passed=False)
    assert criteria.flag_untested(session, Scorecard(commit=HEAD, commands=[failed])) == []
