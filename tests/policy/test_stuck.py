"""Stuck is judged by state, and whatever climbs is never stuck."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.making import NOW, SPEC, THRESHOLD, judged, ran, seen, state
from workflows.contracts.answers import DiagnosisAnswer, ReflectionAnswer
from workflows.contracts.evidence import Fingerprint, Scorecard, Tally
from workflows.contracts.plan import Plan
from workflows.contracts.requests import Checkpoint
from workflows.contracts.state import MAX_ALIKE, MAX_TRAIL, SessionState, Task
from workflows.policy import best, criteria, ladder, stuck, tasks, tries

NO_STEPS = Plan(summary="")
trees = st.sampled_from(["1", "2"])


def validated(session: SessionState, number: int, rate: float, tree: str = "1", **seen: Any) -> None:
    """One iteration whose validation command came to ``rate``, printing the same as ever unless told what."""
    session.iteration = number
    session.checkpoint = Checkpoint(
        commit=f"{number:040x}", tree=tree.rjust(40, "0"), parent="b" * 40, iteration=number
    )
    passed = rate >= 1
    evidence = ran("validation", passed=passed, commit=f"{number:040x}", rate=rate, **{"tail": "FAILED", **seen})
    criteria.score(session, Scorecard(commit=f"{number:040x}", commands=[evidence]), 1.0)
    tasks.settle(SPEC, session, NOW)


@given(st.lists(trees, max_size=8), st.integers(0, 5))
def test_a_session_that_meets_one_more_each_time_is_never_stuck(path: list[str], idle: int) -> None:
    session = state(plan=NO_STEPS)
    for n, item in enumerate(seen(*range(1, len(path) + 1), trees=path, failures=["f"] * len(path))):
        stuck.add_trail(session, item)
        session.idle = idle if n else 0
        assert stuck.stuck(session) is None
        assert len(session.trail) <= MAX_TRAIL


@given(
    st.lists(st.tuples(st.floats(0.001, 0.05), trees, st.integers(0, 1)), min_size=1, max_size=20), st.integers(0, 3)
)
def test_a_slow_climb_is_never_stuck(path: list[tuple[float, str, int]], idle: int) -> None:
    """However little the rate grows, and even when every other iteration only stands still."""
    session, rate, number = state(plan=NO_STEPS), 0.0, 0
    for step, tree, rests in path:
        rate = min(0.98, rate + step)
        for _ in range(1 + rests):
            number += 1
            validated(session, number, rate, tree)
            if number == 1 or session.trail[-1].rose:
                session.idle = idle
            if rate < 0.98:
                assert stuck.stuck(session) is None or session.idle >= stuck.MAX_IDLE
                assert best.fallen_from(session) is None
            session.idle = 0


def fails(failed: int, passed: int = 0, first: str = "t.test_greet") -> Tally:
    """So many tests fail, ``first`` of all."""
    return Tally(source="junit", failed=failed, passed=passed, failing=[first])


def says(how: str, number: int) -> dict[str, Any]:
    """A failure that prints another value each time."""
    if how == "test":
        return {"tail": f"{number} is not it", "tally": fails(1)}
    quoted = {"value": f"'x{number}'", "kind": f"x{number}"}[how]
    return {"tail": f"E   AssertionError: assert {quoted} == 'hello ada'"}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["value", "kind", "test"]), min_size=3, max_size=3), st.integers(7, 20))
def test_another_value_each_time_is_no_way_out(ways: list[str], last: int) -> None:
    """Up to three failures in turn, of which each prints something new, on a tree that is new."""
    session, noticed = state(plan=NO_STEPS), list[int]()
    for number in range(1, last + 10):
        validated(session, number, 0.0, f"{number:x}", **says(ways[number % 3], number))
        if (why := stuck.stuck(session)) is not None:
            noticed.append(number)
            assert why.startswith("the same tests or kinds of errors 6 times")
            ladder.climb(SPEC, session, why)
    assert noticed, "it goes on for ever"
    assert noticed[0] <= 10
    assert all(later - before >= MAX_ALIKE for before, later in pairwise(noticed)), "a rung has its chance"


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.sampled_from(["value", "kind", "test"]))
def test_a_climb_with_long_rests_is_never_stuck(path: list[int], how: str) -> None:
    """One test more, five iterations with new values, one test more."""
    session, number = state(plan=NO_STEPS), 0
    for n, rests in enumerate(path, 1):
        for _ in range(1 + rests):
            number += 1
            counted = {"tally": fails(10 - n, n)} if how == "test" else {}
            validated(session, number, n / 10, f"{number:x}", **says(how, number) | counted)
            assert stuck.stuck(session) is None


def padded(session: SessionState, number: int, failing: Tally, kind: str = "fix") -> str | None:
    """An iteration with one more test that passes; why it is stuck then."""
    session.task = Task.model_validate({"kind": kind, "step": "x", "title": "x", "instructions": ""})
    rate = failing.passed / failing.ran
    validated(session, number, rate, f"{number:x}", tail=f"{number} is not it", tally=failing)
    return stuck.stuck(session)


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_a_passing_test_more_each_time_is_no_way_out(failed: int, passed: int, turns: list[int]) -> None:
    """Up to three sets of tests fail in turn, and each iteration adds a test of nothing that passes."""
    session, rungs = state(plan=NO_STEPS), list[str]()
    for number, turn in enumerate([*turns, *[0] * 40], 1):
        if why := padded(session, number, fails(failed, passed + number, f"t.test_{turn}")):
            rungs.append(ladder.climb(SPEC, session, why).name)
        if rungs[-1:] == ["person"]:
            break
    assert rungs[-6:] == [*(rung.name for rung in ladder.OWN), "person"], "rung by rung, within a night"
    assert session.best is not None
    assert session.best.iteration == number, "what passes is kept all the same"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=8))
def test_one_failing_test_less_is_a_way_up_whatever_is_added_between(path: list[tuple[int, bool]]) -> None:
    """Tests of its own for a while, then one of those that failed passes, or another one is the first that fails."""
    session, number, failed = state(plan=NO_STEPS), 0, 20
    for n, (rests, fewer) in enumerate(path):
        failed -= fewer
        for _ in range(1 + rests):
            number += 1
            assert padded(session, number, fails(failed, number, f"t.test_{n}")) is None
        assert session.rung == 0


def test_more_tests_are_a_way_up_while_steps_are_done_and_where_a_judge_says_what_is_missing() -> None:
    session = state(plan=NO_STEPS)
    for number in range(1, 20):
        assert padded(session, number, fails(1, number), kind="step") is None
        assert session.trail[-1].rose
    session = state(plan=NO_STEPS)
    for number in range(1, 20):
        commit = f"{number:040x}"
        session.checkpoint = Checkpoint(commit=commit, tree=commit, parent="b" * 40, iteration=number)
        session.iteration, session.task = number, Task(kind="fix", step="x", title="x", instructions="")
        ends_well = ran("validation", commit=commit, tally=Tally(source="junit", passed=number))
        card = Scorecard(commit=commit, commands=[ends_well, ran("plan-1", commit=commit)])
        verdict = judged("goal", met=False, commit=commit)
        criteria.score(session, card.model_copy(update={"verdicts": [verdict]}), 1.0)
        tasks.settle(SPEC, session, NOW)
        assert stuck.stuck(session) is None


def test_steps_of_the_plan_may_fail_alike() -> None:
    session = state()
    for number in range(1, 12):
        session.task = Task(kind="step", step="s1", title="write", instructions="")
        validated(session, number, 0.0, f"{number:x}", **says("value", number))
        assert stuck.stuck(session) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7]), st.integers(0, 3)), min_size=12, max_size=30))
def test_no_path_goes_on_for_ever_without_getting_further(path: list[tuple[float, int]]) -> None:
    """Four trees, each with one score: sooner or later it is stuck, or falls below its best, or has all of it."""
    scores = dict[int, float]()
    session, noticed = state(plan=NO_STEPS), False
    for number, (rate, tree) in enumerate(path, 1):
        validated(session, number, scores.setdefault(tree, rate), str(tree + 1))
        noticed |= stuck.stuck(session) is not None or best.fallen_from(session) is not None
    high = session.best
    assert high is not None
    assert session.high.rate == pytest.approx(max(scores.values()))
    constant = len({tree for _, tree in path[-3:]}) == 1 and len(path) > 6
    assert noticed or not constant or session.trail[-1].rose or any(t.rose for t in session.trail[-2:])


@pytest.mark.parametrize(
    ("trees", "failures", "expected"),
    [
        ("111", "abc", True),
        ("121", "abc", True),
        ("123", "aaa", True),
        ("123", "aba", False),
        ("112", "abc", False),
        ("11", "aa", False),
    ],
)
def test_what_counts_as_stuck(trees: str, failures: str, expected: bool) -> None:
    session = state(plan=NO_STEPS, trail=seen(*[1] * len(trees), trees=trees, failures=failures))
    assert (stuck.stuck(session) is not None) is expected


def test_the_same_failure_while_steps_are_open_is_what_one_expects() -> None:
    assert stuck.stuck(state(trail=seen(1, 1, 1, failures="aaa"))) is None


def test_a_success_without_failures_is_not_the_same_failure() -> None:
    assert stuck.stuck(state(plan=NO_STEPS, trail=seen(3, 3, 3, failures=[None] * 3))) is None


def test_two_executes_without_work_are_stuck() -> None:
    assert stuck.stuck(state(idle=1)) is None
    assert stuck.stuck(state(idle=2)) is not None


def failure(**changes: Any) -> str | None:
    session = state(checkpoint=Checkpoint(commit="a" * 40, tree="1" * 40, parent="b" * 40, iteration=1), iteration=1)
    card = Scorecard(commit="a" * 40, commands=[ran("validation", passed=False, **changes), ran("plan-1")])
    criteria.score(session, card, THRESHOLD)
    seen_now = tasks.trail(SPEC, session)
    assert seen_now is not None
    return seen_now.failure


def test_which_failures_are_the_same() -> None:
    base = failure(tail="2 failed in 1.23s at 0xdead")
    assert base == failure(tail="2 failed in 0.98s at 0xbeef"), "times and addresses do not count"
    assert base != failure(tail="1 failed in 1.23s at 0xdead"), "how much fails does"
    assert base != failure(tail="2 failed in 1.23s at 0xdead", exit_code=2)
    assert base != failure(tail="2 failed in 1.23s at 0xdead", rate=0.5)
    known = Fingerprint(exact="v1:exact:1", template="v1:template:1")
    assert failure(tail="one end", fingerprint=known) == failure(tail="another end", fingerprint=known)


def reflect(session: SessionState, *, strategy: str | None) -> str | None:
    session.iteration += 1
    why = stuck.reflection_due(session)
    if why:
        answer = ReflectionAnswer(change_approach=strategy is not None, new_strategy=strategy)
        stuck.reflected(session, answer)
    return why


def test_every_fifth_iteration_is_looked_back_on_once() -> None:
    session = state()
    due = [n for n in range(1, 12) if reflect(session, strategy="s") and n]
    assert due == [5, 10]
    assert stuck.reflection_due(session.model_copy(update={"iteration": 10})) is None


def test_a_new_strategy_drops_the_fix_of_the_old_one() -> None:
    session = state(iteration=5, idle=1)
    session.fix = tasks.fix_task(diagnosis(), 5)
    assert not stuck.reflected(session, None)
    assert session.fix is not None
    answer = ReflectionAnswer(change_approach=True, new_strategy="other way")
    assert stuck.reflected(session, answer)
    assert session.fix is None
    assert (session.idle, session.reflected_at) == (0, 5)


def diagnosis() -> DiagnosisAnswer:
    return DiagnosisAnswer(root_cause="why", fix="how", category="logic", confidence="high")


def test_a_try_is_judged_by_the_validation_after_it() -> None:
    session = state(iteration=1)
    tries.remember(SPEC, session, diagnosis())
    tasks.settle(SPEC, session, NOW)
    assert session.tries[-1].result == "", "it was not tried yet"
    session.iteration = 2
    tasks.settle(SPEC, session, NOW)
    assert session.tries[-1].result.startswith("did not help: validation")
