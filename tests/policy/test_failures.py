"""The failure table: exhaustive, and nothing in it repeats without end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import NOW, later, outcomes, state
from workflows.contracts.messages import Resume
from workflows.contracts.outcome import NO_CREDENTIAL, CallReport, Outcome, Usage
from workflows.policy import failures, inbox
from workflows.policy.failures import BACK_OFF_LONGEST, PAUSE_REASONS, TABLE, Reaction


def test_the_table_knows_every_outcome_and_every_reaction() -> None:
    assert set(TABLE) == set(Outcome)
    assert set(TABLE.values()) == set(Reaction)
    assert [o for o in Outcome if TABLE[o] is Reaction.GO_ON] == [Outcome.COMPLETED]


def test_every_pause_has_a_reason_with_a_way_on() -> None:
    assert set(PAUSE_REASONS) == {o for o, r in TABLE.items() if r is Reaction.PAUSE}
    for outcome in PAUSE_REASONS:
        assert "resume" in failures.pause_reason(CallReport(outcome=outcome))
        assert failures.pause_reason(CallReport(outcome=outcome, detail="401")).endswith("(401)")


@given(st.integers(0, 10_000))
def test_back_off_grows_up_to_an_hour(waits: int) -> None:
    now, next_ = failures.back_off(waits), failures.back_off(waits + 1)
    assert timedelta(minutes=5) <= now <= next_ <= BACK_OFF_LONGEST


moments = st.none() | st.floats(-1e5, 1e6).map(later)


@given(st.sampled_from([Outcome.USAGE_LIMIT, Outcome.UNAVAILABLE]), moments, st.integers(0, 50), st.floats(0, 1))
def test_every_wait_ends_and_gets_longer_when_it_was_in_vain(
    outcome: Outcome, resets_at: object, waits: int, jitter: float
) -> None:
    session = state(waits=waits)
    failures.wait(session, CallReport(outcome=outcome, resets_at=resets_at), NOW, jitter)
    assert session.waits == waits + 1
    assert session.wait_until is not None
    assert NOW < session.wait_until <= NOW + failures.LONGEST_RESET + timedelta(seconds=30)
    if waits:
        assert session.wait_until >= NOW + failures.back_off(waits - 1)
    assert f"{session.wait_until:%Y-%m-%d %H:%M:%S} UTC" in session.wait_reason


def test_a_stated_reset_is_waited_for_with_jitter() -> None:
    session = state()
    report = CallReport(outcome=Outcome.USAGE_LIMIT, resets_at=later(90))
    failures.wait(session, report, NOW, 0.5)
    assert session.wait_until == later(90) + timedelta(seconds=15)
    assert session.wait_reason == "usage limit: goes on by itself at 2026-01-01 23:30:15 UTC"


def test_an_unknown_reset_is_shown_as_unknown() -> None:
    session = state()
    failures.wait(session, CallReport(outcome=Outcome.USAGE_LIMIT), NOW, 0.5)
    assert session.wait_until == later(5)
    assert session.wait_reason.endswith("(the reset is unknown: backing off)")


@given(st.lists(st.tuples(outcomes, st.booleans(), st.integers(0, 1)), max_size=30))
def test_interruptions_that_nobody_asked_for_back_off(calls: list[tuple[Outcome, bool, int]]) -> None:
    session, in_a_row = state(), 0
    for outcome, asked, responses in calls:
        report = CallReport(outcome=outcome, usage=Usage(responses=responses))
        reaction = failures.weigh(session, report, asked=asked)
        if outcome is not Outcome.INTERRUPTED:
            assert reaction is TABLE[outcome]
        elif not asked and not responses:
            assert session.interruptions > 0
            in_a_row += 1
            assert (reaction is Reaction.BACK_OFF) is (session.interruptions > failures.MAX_INTERRUPTIONS)
        else:
            assert reaction is Reaction.CONTINUE_LATER


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.NO_ANSWER, Outcome.MAX_TURNS])
def test_a_call_that_got_through_ends_the_count_of_waits(outcome: Outcome) -> None:
    session = state(waits=4)
    failures.weigh(session, CallReport(outcome=outcome), asked=False)
    assert session.waits == 0


@pytest.mark.parametrize("outcome", [Outcome.USAGE_LIMIT, Outcome.UNAVAILABLE, Outcome.INTERRUPTED, Outcome.AUTH])
def test_a_call_that_did_not_get_through_keeps_it(outcome: Outcome) -> None:
    session = state(waits=4)
    failures.weigh(session, CallReport(outcome=outcome), asked=False)
    assert session.waits == 4


def test_a_person_s_try_during_a_back_off_makes_nothing_later() -> None:
    session = state(waits=3)
    limited = CallReport(outcome=Outcome.USAGE_LIMIT)
    failures.wait(session, limited, NOW, 0)
    assert session.wait_until == later(40)
    inbox.resume(session, later(1), Resume())
    failures.wait(session, limited, later(1), 0)
    assert session.wait_until == later(6)


def test_a_model_that_was_never_asked_has_refused_nothing() -> None:
    reason = failures.pause_reason(CallReport(outcome=Outcome.AUTH, detail=f"HTTP 401: {NO_CREDENTIAL}"))
    assert "the model was not asked" in reason
    assert "refused" not in reason
    assert "`overnight down && overnight up` in a shell that has one" in reason
    assert len(reason.encode()) <= 200
