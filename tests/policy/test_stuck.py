"""Stuck is judged by state, and progress is never stuck."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import NOW, SPEC, THRESHOLD, ran, seen, state
from workflows.contracts.answers import DiagnosisAnswer, ReflectionAnswer
from workflows.contracts.evidence import Scorecard
from workflows.contracts.plan import Plan
from workflows.contracts.requests import Checkpoint
from workflows.contracts.state import MAX_TRAIL, SessionState
from workflows.policy import criteria, stuck, tasks

NO_STEPS = Plan(summary="")
trees = st.sampled_from(["1", "2"])


@given(st.lists(trees, max_size=8), st.integers(0, 5))
def test_a_climbing_session_is_never_stuck(path: list[str], idle: int) -> None:
    session = state(plan=NO_STEPS)
    for n, item in enumerate(seen(*range(1, len(path) + 1), trees=path, failures=["f"] * len(path))):
        stuck.add_trail(session, item)
        session.idle = idle if n else 0
        assert not stuck.is_stuck(session)
        assert session.stuck_reflections == 0
        assert len(session.trail) <= MAX_TRAIL


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
    assert stuck.is_stuck(session) is expected


def test_the_same_failure_while_steps_are_open_is_what_one_expects() -> None:
    assert not stuck.is_stuck(state(trail=seen(1, 1, 1, failures="aaa")))


def test_a_success_without_failures_is_not_the_same_failure() -> None:
    assert not stuck.is_stuck(state(plan=NO_STEPS, trail=seen(3, 3, 3, failures=[None] * 3)))


def test_two_executes_without_work_are_stuck() -> None:
    assert not stuck.is_stuck(state(idle=1))
    assert stuck.is_stuck(state(idle=2))


def fingerprint(**changes: Any) -> str | None:
    session = state(checkpoint=Checkpoint(commit="a" * 40, tree="1" * 40, parent="b" * 40, iteration=1), iteration=1)
    card = Scorecard(commit="a" * 40, commands=[ran("validation", passed=False, **changes), ran("plan-1")])
    criteria.score(session, card, THRESHOLD)
    seen_now = tasks.trail(SPEC, session)
    assert seen_now is not None
    return seen_now.failure


def test_the_fingerprint_of_a_failure() -> None:
    base = fingerprint(tail="2 failed in 1.23s at 0xdead")
    assert base == fingerprint(tail="2 failed in 0.98s at 0xbeef"), "times and addresses do not count"
    assert base != fingerprint(tail="1 failed in 1.23s at 0xdead"), "how much fails does"
    assert base != fingerprint(tail="2 failed in 1.23s at 0xdead", exit_code=2)
    assert base != fingerprint(tail="2 failed in 1.23s at 0xdead", rate=0.5)


def reflect(session: SessionState, *, strategy: str | None) -> str | None:
    session.iteration += 1
    why = stuck.reflection_due(session)
    if why:
        answer = ReflectionAnswer(change_approach=strategy is not None, new_strategy=strategy)
        stuck.reflected(session, why, answer)
    return why


def test_two_new_strategies_that_do_not_help_are_enough() -> None:
    session = state(plan=NO_STEPS, trail=seen(1, 1, 1, trees="111"))
    assert stuck.gave_up(session) is None
    assert str(reflect(session, strategy="other way")).startswith(stuck.STUCK)
    assert (session.strategy, session.stuck_reflections) == ("other way", 1)
    assert stuck.gave_up(session) is None
    reflect(session, strategy=None)
    assert str(stuck.gave_up(session)).startswith("stuck: 2 new strategies did not help")
    stuck.add_trail(session, seen(2, trees="9")[0])
    assert stuck.gave_up(session) is None
    assert session.stuck_reflections == 0


def test_every_fifth_iteration_is_looked_back_on_once() -> None:
    session = state()
    due = [n for n in range(1, 12) if reflect(session, strategy="s") and n]
    assert due == [5, 10]
    assert stuck.reflection_due(session.model_copy(update={"iteration": 10})) is None


def test_a_new_strategy_drops_the_fix_of_the_old_one() -> None:
    session = state(iteration=5, idle=1)
    session.fix = tasks.fix_task(diagnosis(), 5)
    assert not stuck.reflected(session, "look back", None)
    assert session.fix is not None
    answer = ReflectionAnswer(change_approach=True, new_strategy="other way")
    assert stuck.reflected(session, "look back", answer)
    assert session.fix is None
    assert (session.idle, session.reflected_at) == (0, 5)


def diagnosis() -> DiagnosisAnswer:
    return DiagnosisAnswer(root_cause="why", fix="how", category="logic", confidence="high")


def test_a_try_is_judged_by_the_validation_after_it() -> None:
    session = state(iteration=1)
    tasks.remember_try(session, diagnosis())
    tasks.settle(SPEC, session, NOW)
    assert session.tries[-1].result == "", "it was not tried yet"
    session.iteration = 2
    tasks.settle(SPEC, session, NOW)
    assert session.tries[-1].result.startswith("did not help: validation")
