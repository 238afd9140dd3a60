"""Budgets: never negative, never more than is left; time that does not count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import NOW, SPEC, money, reports, state, usages
from workflows.contracts.applied import Given
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.outcome import Account, CallReport, Outcome, Usage
from workflows.contracts.spec import Limits, Role
from workflows.policy import asks, inbox, limits, record

ROLES: list[Role] = ["plan", "execute", "judge", "diagnose", "reflect"]


@given(st.lists(reports, max_size=8), st.floats(0.01, 1_000), st.sampled_from(ROLES))
def test_no_call_gets_more_than_is_left(calls: list[CallReport], budget: float, role: Role) -> None:
    session = state(limits=Limits(max_cost_usd=budget))
    for call in calls:
        record.charge(session, "execute", call)
    given = limits.allowance(SPEC, session, role)
    spent = sum(c.usage.cost_usd for c in calls)
    assert abs(session.usage.cost_usd - spent) < 1e-6
    assert 0 <= given.cost_usd <= max(0.0, budget - session.usage.cost_usd)
    assert 0 <= given.seconds <= max(0.0, 60 * session.limits.max_time_minutes - session.active_seconds) + 1e-6
    if limits.spent(session, starting_iteration=False) is None:
        assert given.cost_usd > 0
        assert given.seconds > 0


@given(st.lists(reports, max_size=4), usages, usages)
def test_what_a_call_that_never_answered_used_is_charged_once(
    others: list[CallReport], heard: Usage, more: Usage
) -> None:
    """What Temporal heard of is charged at once; what its host knows takes the place of that, however often told."""
    session, account = state(), Account(run="a-run", activity="7", attempt=1, usage=heard)
    record.charge(session, "execute", CallReport(outcome=Outcome.HOST_LOST, usage=heard))
    record.unsettled(session, account)
    told = [account.model_copy(update={"usage": heard + more}), Account(run="a-run", activity="8", usage=more)]
    for other in others:
        record.charge(session, "execute", other.model_copy(update={"settled": told}))
    expected = sum((other.usage for other in others), heard + more if others else heard)
    for name in Usage.model_fields:
        assert getattr(session.usage, name) == pytest.approx(getattr(expected, name))
    assert session.unsettled == ([] if others else [account])


def test_the_calls_that_are_asked_for_are_the_last_ones() -> None:
    session = state()
    for number in range(1, 10):
        record.unsettled(session, Account(run="a-run", activity=str(number)))
    assert [one.activity for one in session.unsettled] == ["7", "8", "9"]
    assert asks.plan(SPEC, session, Given()).site.unsettled == session.unsettled


@given(money, money)
def test_usage_adds_up(a: float, b: float) -> None:
    both = Usage(calls=1, responses=2, cost_usd=a) + Usage(calls=3, estimated_usd=b, cost_usd=b)
    assert (both.calls, both.responses, both.cost_usd, both.estimated_usd) == (4, 2, a + b, b)


def test_each_limit_says_which_it_is() -> None:
    tight = Limits(max_cost_usd=1, max_time_minutes=10, max_iterations=3)
    fine = state(limits=tight, iteration=3)
    assert limits.spent(fine, starting_iteration=False) is None
    assert limits.spent(fine, starting_iteration=True) == "limit: iterations: 3 of 3 are done"
    dear = state(limits=tight, usage=Usage(cost_usd=1))
    assert limits.spent(dear, starting_iteration=False) == "limit: cost: $1.00 of $1.00 spent"
    counted = state(limits=Limits(max_tokens=1_000), usage=Usage(input_tokens=400, cache_read_tokens=600))
    assert limits.spent(counted, starting_iteration=False) == "limit: tokens: 1,000 of 1,000 used"
    slow = state(limits=tight, active_seconds=600)
    assert limits.spent(slow, starting_iteration=False) == "limit: time: 10 active minutes are over"
    nearly = state(limits=tight, exhausted=True)
    assert limits.spent(nearly, starting_iteration=False) is not None
    inbox.raise_limits(nearly, NOW, RaiseLimits(max_cost_usd=2))
    assert limits.spent(nearly, starting_iteration=False) is None


@given(st.lists(st.floats(0, 600), max_size=12))
def test_active_time_is_the_time_that_calls_ran(spans: list[float]) -> None:
    session = state()
    for seconds in spans:
        record.charge(session, "execute", CallReport(outcome=Outcome.INTERRUPTED, seconds=seconds))
    assert abs(session.active_seconds - sum(spans)) < 1e-6


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"max_cost_usd": 2.49}, "max_cost_usd: $2.5000 is spent already"),
        ({"max_tokens": 1_000}, "max_tokens: 1500 tokens used already"),
        ({"max_iterations": 3}, "max_iterations: iteration 4 has begun already"),
        ({"max_time_minutes": 30}, "max_time_minutes: 30.5 active minutes are over already"),
        ({"max_cost_usd": 1, "max_iterations": 50}, "max_cost_usd: "),
        ({}, "no limit is named"),
        ({"max_cost_usd": 2.5, "max_iterations": 4}, None),
        ({"max_tokens": 10_000, "max_time_minutes": 31}, None),
    ],
)
def test_limits_below_what_is_spent_are_refused(wanted: dict[str, Any], words: str | None) -> None:
    used = Usage(cost_usd=2.5, input_tokens=1_500)
    refused = limits.refusal(state(usage=used, iteration=4, active_seconds=1_830), RaiseLimits(**wanted))
    assert refused is None if words is None else (refused or "").startswith(words)
    assert refused is None or "max_iterations: " not in refused or "max_cost_usd" not in wanted
