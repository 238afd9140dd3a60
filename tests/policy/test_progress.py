"""Progress and estimates: bounded, monotone where they should be, and honest about what they rest on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import CRITERIA, NOW, THRESHOLD, cards, later, state
from workflows.contracts.evidence import Scorecard
from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.plan import Plan, Step, StepStatus
from workflows.contracts.spec import Limits
from workflows.contracts.state import CriterionState, PhaseTimes, SessionState, Status
from workflows.policy import criteria, record, steps
from workflows.policy.progress import estimate, middle, nearest_limit, progress

STATES = st.sampled_from(list(StepStatus))


def plan(*statuses: StepStatus) -> Plan:
    made = [Step(id=f"s{n}", title=f"t{n}", instructions="i", status=s) for n, s in enumerate(statuses, 1)]
    return Plan(summary="", steps=made)


def scored(*met: bool, rate: float = 0.0) -> list[CriterionState]:
    return [CriterionState(id=c.id, met=m, rate=rate) for c, m in zip(CRITERIA, met, strict=False)]


@given(cards, st.lists(STATES, max_size=8), st.sampled_from(list(Status)))
def test_progress_is_a_percentage_and_100_only_when_completed(
    card: Scorecard, statuses: list[StepStatus], status: Status
) -> None:
    session = state(plan=plan(*statuses), status=status)
    criteria.score(session, card, THRESHOLD)
    percent, basis = progress(session)
    assert 0 <= percent <= 100
    assert (percent == 100) is (status is Status.COMPLETED)
    assert status is Status.COMPLETED or f"of {len(CRITERIA)} criteria met" in basis


@given(st.lists(STATES, min_size=1, max_size=8), st.lists(st.booleans(), min_size=3, max_size=3), st.data())
def test_progress_never_falls_for_what_is_gained(
    statuses: list[StepStatus], met: list[bool], data: st.DataObject
) -> None:
    session = state(plan=plan(*statuses), scores=scored(*met))
    before = progress(session)[0]
    which = data.draw(st.integers(0, 2))
    session.scores = scored(*(m or n == which for n, m in enumerate(met)))
    after = progress(session)[0]
    assert after >= before, "a criterion that is met"
    one = data.draw(st.integers(0, len(statuses) - 1))
    for became in (StepStatus.DONE, StepStatus.DROPPED):
        if statuses[one] is StepStatus.PENDING:
            session.plan = plan(*(became if n == one else s for n, s in enumerate(statuses)))
            assert progress(session)[0] >= after, f"a step that is {became}"


def test_steps_that_are_added_make_progress_less() -> None:
    session = state(plan=plan(StepStatus.DONE, StepStatus.PENDING))
    before = progress(session)[0]
    assert session.plan is not None
    wanted = [steps.Wanted(None, f"more {n}", "i") for n in range(4)]
    session.plan, _ = steps.replace(session.plan, wanted, 1, "more")
    assert progress(session)[0] < before


def test_progress_before_there_is_a_plan() -> None:
    assert progress(state(plan=None, criteria=[])) == (0, "not planned yet")


def worked(iterations: int, *, seconds: float = 50, usd: float = 1, **changes: Any) -> SessionState:
    """A session some iterations old, each with an execute and a validation of 10 s."""
    session = state(**changes)
    for _ in range(iterations):
        usage = Usage(calls=1, responses=1, cost_usd=usd, input_tokens=1_000)
        record.charge(session, "execute", CallReport(outcome=Outcome.COMPLETED, seconds=seconds, usage=usage))
        record.charge(session, "validate", CallReport(outcome=Outcome.COMPLETED, seconds=10))
        session.iteration += 1
    return session


def test_an_end_is_estimated_only_from_what_was_measured() -> None:
    session = worked(0)
    assert estimate(session, NOW).basis == "no basis yet: no iteration was measured"
    assert middle(estimate(session, NOW)) is None
    session = worked(2, plan=plan(StepStatus.DONE, StepStatus.PENDING))
    record.charge(session, "execute", CallReport(outcome=Outcome.CRASHED, seconds=9_999))
    record.charge(session, "baseline", CallReport(outcome=Outcome.COMPLETED, seconds=9_999))
    assert session.times["execute"] == PhaseTimes(count=2, seconds=100)
    session.active_seconds = 120
    expected = estimate(session, NOW)
    assert (expected.earliest, expected.latest) == (later(1), later(2)), "one step, which took two iterations before"
    assert expected.basis == "1 to 2 iterations to go at 60 s each (mean of 2)"
    session.wait_until = later(30)
    assert estimate(session, NOW).earliest == later(31)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.WAITING_APPROVAL, Status.COMPLETED, Status.FAILED])
def test_nobody_knows_when_a_person_answers(status: Status) -> None:
    expected = estimate(worked(3, status=status), NOW)
    assert (expected.earliest, expected.latest) == (None, None)
    assert expected.basis.startswith("it is over" if status.is_final else "no estimate while a person is waited for")


@pytest.mark.parametrize(
    ("limits", "name", "after"),
    [
        (Limits(max_cost_usd=5), "max_cost_usd", 3),
        (Limits(max_cost_usd=5, max_iterations=4), "max_iterations", 2),
        (Limits(max_tokens=2_500), "max_tokens", 0.5),
        (Limits(max_time_minutes=5), "max_time_minutes", 3),
    ],
)
def test_the_limit_that_comes_first_is_known(limits: Limits, name: str, after: float) -> None:
    found = nearest_limit(worked(2, limits=limits))
    assert found is not None
    assert (found[0], round(found[1], 6)) == (name, after)


def test_a_limit_that_comes_before_the_end_is_told() -> None:
    six = [StepStatus.DONE, *[StepStatus.PENDING] * 4]
    near = estimate(worked(2, plan=plan(*six), limits=Limits(max_cost_usd=7)), NOW)
    assert near.basis.endswith("; would pass max_cost_usd after about 5 iterations")
    assert near.earliest == later(4)
    short = estimate(worked(2, plan=plan(*six), limits=Limits(max_cost_usd=5)), NOW)
    assert (short.earliest, short.latest) == (None, None)
    assert short.basis.startswith("no end in sight: 4 to 8 iterations to go")
    assert short.basis.endswith("but would pass max_cost_usd after about 3 iterations")
    spent = estimate(worked(2, plan=plan(*six), limits=Limits(max_cost_usd=2.5)), NOW)
    assert spent.basis.endswith("but would pass max_cost_usd with the next iteration")


@given(
    st.integers(0, 40),
    st.lists(STATES, max_size=8),
    st.floats(0, 1e6),
    st.floats(0, 1e3),
    st.sampled_from(list(Status)),
    st.booleans(),
)
def test_an_estimate_is_a_range_in_the_future_or_none(
    iterations: int, statuses: list[StepStatus], seconds: float, usd: float, status: Status, waits: bool
) -> None:
    session = worked(iterations, seconds=seconds, usd=usd, plan=plan(*statuses), status=status)
    session.wait_until = later(7) if waits else None
    expected = estimate(session, NOW)
    assert expected.basis
    assert len(expected.basis) < 200
    assert (expected.earliest is None) is (expected.latest is None)
    if expected.earliest is not None and expected.latest is not None:
        assert NOW + (timedelta(minutes=7) if waits else timedelta(0)) < expected.earliest <= expected.latest
        assert expected.earliest <= (middle(expected) or NOW) <= expected.latest


@given(st.integers(1, 20), st.integers(1, 7))
def test_more_to_do_takes_longer(iterations: int, to_do: int) -> None:
    def ends(number: int) -> timedelta:
        statuses = [StepStatus.DONE, *[StepStatus.PENDING] * number]
        roomy = Limits(max_cost_usd=1e5, max_iterations=10_000, max_time_minutes=1e5)
        found = estimate(worked(iterations, plan=plan(*statuses), limits=roomy), NOW).latest
        assert found is not None
        return found - NOW

    assert ends(to_do) < ends(to_do + 1)
