"""The ladder: which rungs there are, how a session climbs, and what is remembered of each; best and regression."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import HEAD, NOW, SPEC, state
from tests.policy.test_stuck import NO_STEPS, validated
from workflows.contracts.evidence import ArtifactRef, Scorecard, Tampering
from workflows.contracts.plan import Plan, Step, StepStatus
from workflows.contracts.requests import Checkpoint
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import MAX_RUNGS, Mark, SessionState
from workflows.contracts.tamper import KnownTests
from workflows.policy import approaches, asks, best, ladder, report, tasks, view


def asking(*strategies: str) -> SessionSpec:
    return SPEC.model_copy(update={"recovery_strategies": list(strategies)})


def names(spec: SessionSpec) -> list[str]:
    return [rung.name for rung in ladder.ladder(spec, state())]


OWN = [rung.name for rung in ladder.OWN]


def test_what_a_person_wants_leads() -> None:
    assert names(SPEC) == [*OWN, "person"]
    assert names(asking("run make clean first")) == ["given", *OWN, "person"]
    assert names(asking("replan", "delete the lock file"))[:3] == ["replan", "given", "fix"]
    assert sorted(names(asking("Best", "fresh"))) == sorted([*OWN, "person"])
    assert names(asking("person"))[-1] == "person"


@given(st.lists(st.sampled_from(["rise", "climb", "diagnose"]), max_size=60))
def test_one_rung_at_a_time_and_never_beyond_the_last(moves: list[str]) -> None:
    session = state(plan=NO_STEPS)
    top = len(ladder.ladder(SPEC, session))
    for move in moves:
        before = session.rung
        session.iteration += 1
        if move == "climb":
            ladder.climb(SPEC, session, "three times the same failure")
            assert session.rung == min(before + 1, top)
        elif move == "diagnose":
            assert ladder.diagnosing(SPEC, session)
            assert session.rung == max(before, 1)
        else:
            ladder.rose(session)
            assert session.rung == 0
        assert len(session.rungs) <= MAX_RUNGS
        assert sum(not r.result for r in session.rungs) <= 1
        assert bool(ladder.shown(SPEC, session)) == bool(session.rung)


def test_what_came_of_each_rung_is_on_record_and_shown() -> None:
    session = state(plan=NO_STEPS, iteration=3)
    assert ladder.diagnosing(SPEC, session)
    ladder.climb(SPEC, session, "three times the same failure")
    ladder.climb(SPEC, session, "back and forth between two trees")
    assert view.glance(SPEC, session).recovery == f"3/{len(names(SPEC))}: best checkpoint, another approach"
    assert "**Recovery** 3/" in view.scoreboard(SPEC, session, NOW)
    ladder.rose(session)
    told = [(r.title, r.result) for r in view.status(SPEC, session, NOW).recovery_log]
    assert told == [
        ("diagnose and fix", "did not help: three times the same failure"),
        ("fresh context with the dead ends", "did not help: back and forth between two trees"),
        ("best checkpoint, another approach", "helped: 0 of 3 criteria met"),
    ]
    assert "fresh context with the dead ends: did not help" in report.report(SPEC, session, NOW)


def test_a_diagnosis_waits_for_what_a_person_wants_tried_first() -> None:
    session = state(plan=NO_STEPS)
    assert not ladder.diagnosing(asking("run make clean first"), session)
    rung = ladder.climb(asking("run make clean first"), session, "something is not met")
    task = ladder.task(session, rung)
    assert task is not None
    assert "run make clean first" in task.instructions
    assert ladder.diagnosing(asking("run make clean first"), session), "after that, what fails is diagnosed"


# ---------------------------------------------------------------------- best and regression


def walked(*rates: float) -> SessionState:
    session = state(plan=NO_STEPS)
    for number, rate in enumerate(rates, 1):
        validated(session, number, rate, str(number))
    return session


def test_the_best_is_the_furthest_and_of_two_the_later() -> None:
    for rates, expected in (((0.5, 0.2), 1), ((0.5, 0.5), 2), ((0.2, 0.5, 0.4), 2), ((0.0,), 1)):
        session = walked(*rates)
        assert session.best is not None
        assert session.best.iteration == expected, rates


def test_twice_below_the_best_is_a_regression_once_is_not() -> None:
    assert best.fallen_from(walked(0.5, 0.2)) is None
    assert best.fallen_from(walked(0.5, 0.2, 0.5, 0.2)) is None
    fallen = best.fallen_from(walked(0.2, 0.5, 0.4, 0.3))
    assert fallen is not None
    assert fallen.iteration == 2


def test_more_that_passes_is_no_regression_whatever_the_share() -> None:
    high = Mark(met=1, rate=1.0, passed=10)
    assert not best.below(Mark(met=0, rate=0.8, passed=12), high)
    assert best.below(Mark(met=0, rate=0.8, passed=10), high)


def test_the_commit_that_the_session_started_from_is_no_place_to_fall_back_to_by_itself() -> None:
    session = state(plan=NO_STEPS)
    best.keep(session)
    assert session.best is not None
    assert (session.best.commit, session.best.iteration) == (HEAD, 0)
    session.best = session.best.model_copy(update={"mark": Mark(met=1, rate=1.0, passed=1)})
    validated(session, 1, 0.0, "1")
    validated(session, 2, 0.0, "2")
    assert session.falls == 2
    assert best.fallen_from(session) is None


def test_going_back_reopens_what_was_done_since() -> None:
    steps = [Step(id=f"s{n}", title="t", instructions="i", status=StepStatus.DONE, iteration=n) for n in (1, 2, 3)]
    session = state(plan=Plan(summary="", steps=steps), iteration=3, conversation="c")
    made = Checkpoint(commit="c" * 40, tree="1" * 40, parent=HEAD, iteration=3)
    best.take_back(session, made, 1, "below the best")
    assert session.plan is not None
    assert [s.status.value for s in session.plan.steps] == ["done", "pending", "pending"]
    assert best.moved(session)
    assert session.conversation is None
    task = tasks.next_task(session)
    assert task.step == "s2"


def test_a_commit_against_which_tampering_stands_is_no_way_up_and_nothing_to_return_to() -> None:
    session = walked(0.2, 0.5)
    before, session.scores = session.high, [s.model_copy(update={"rate": 1.0, "met": True}) for s in session.scores]
    for number in "34":
        session.checkpoint = Checkpoint(commit=number * 40, tree=number * 40, parent=HEAD, iteration=int(number))
        session.card = Scorecard(commit=number * 40, tampering=[Tampering(kind="vanished", path="tests/a.py")])
        assert best.fallen_from(session) is None, "once may be mended"
        assert not best.keep(session)
    fallen = best.fallen_from(session)
    assert fallen is not None
    assert (fallen.iteration, session.high) == (2, before)


# ---------------------------------------------------------------------- approaches


def test_an_approach_is_guarded_as_its_session_is() -> None:
    spec = SPEC.model_copy(update={"protected_paths": ["api/**"]})
    known = [KnownTests(criterion="validation", tests=ArtifactRef(sha256="a" * 64, size_bytes=1))]
    planned = Plan(summary="", may_change=["tests/a.py"], check_files=["check.sh"])
    session = state(plan=planned, known_tests=known)
    for start in approaches.prepare(spec, session, ["one way", "another"]):
        assert start.state is not None
        assert start.state.fix is not None
        guard = asks.execute(start.spec, start.state, start.state.fix).guard
        assert guard == asks.execute(spec, session, start.state.fix).guard
        assert guard is not None
        assert (guard.protected, guard.planned, guard.check_files) == (["api/**"], ["tests/a.py"], ["check.sh"])
        assert asks.validate(start.spec, start.state).known_tests == known
