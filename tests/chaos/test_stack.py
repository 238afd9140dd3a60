"""The supervisor is killed, the worker is told to leave, the stack goes down and up, the machine starts anew."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import pytest_asyncio

from tests.chaos import night as nights
from tests.chaos.moments import (
    CONFIRM,
    DIAGNOSE,
    PLAN,
    PUBLISH,
    STREAM,
    TOOL,
    VALIDATE,
    Kind,
)
from tests.chaos.night import peace, strike
from tests.chaos.story import (
    Story,
    assert_charged,
    assert_handed_over,
    assert_paid_once,
    assert_same_end,
    assert_tried,
)
from tests.chaos.yard import Yard

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def undisturbed(place: Yard) -> Mapping[Kind, Story]:
    return await peace(place, ["fixed"])


async def test_sessions_do_not_need_the_supervisor(place: Yard, undisturbed: Mapping[Kind, Story]) -> None:
    """It is killed and nobody starts another one; the next start adopts what runs."""
    spared = [TOOL, VALIDATE]
    night = await strike(place, spared, nights.kill_supervisor, undisturbed, cut=False)
    for moment in spared:
        assert_same_end(*night.of(moment))
        assert_tried(*night.of(moment), None)
        assert_paid_once(*night.of(moment), None)
        assert_charged(night.of(moment)[0])
    await place.up()


async def test_a_start_mends_what_lost_its_supervisor(place: Yard, undisturbed: Mapping[Kind, Story]) -> None:
    """Supervisor and worker are killed together; whoever starts anything next brings both back."""
    cut = [STREAM, VALIDATE]
    night = await strike(place, cut, nights.kill_supervisor_and_worker, undisturbed, cut=True, cuts_attempts=True)
    for moment in cut:
        assert_same_end(*night.of(moment))
        assert_tried(*night.of(moment), moment)
        assert_paid_once(*night.of(moment), moment)
        assert night.orphaned[moment.name] < night.recovered[moment.name] < night.due[moment.name]


async def test_a_reboot_costs_one_attempt(place: Yard, undisturbed: Mapping[Kind, Story]) -> None:
    """All processes at once, the home is kept; then any start."""
    cut = [PLAN, TOOL, PUBLISH, CONFIRM]
    night = await strike(place, cut, nights.reboot, undisturbed, cut=True, cuts_attempts=True)
    for moment in cut:
        assert_same_end(*night.of(moment))
        assert_tried(*night.of(moment), moment)
        assert_paid_once(*night.of(moment), moment)
        assert_charged(night.of(moment)[0])


async def test_a_host_that_stays_away_loses_no_cent(place: Yard, undisturbed: Mapping[Kind, Story]) -> None:
    """Its call goes to any host meanwhile; what Temporal had not heard of its cost yet is on this one's disk.

    One alone: while others are on their way to their moments, Temporal hears of it.
    """
    night = await strike(place, [STREAM], nights.stay_away, undisturbed, cut=True)
    assert_same_end(*night.of(STREAM))
    assert_tried(*night.of(STREAM), STREAM)
    assert_paid_once(*night.of(STREAM), STREAM)
    assert_charged(night.of(STREAM)[0])


async def test_a_worker_that_is_told_to_leave_hands_over(place: Yard, undisturbed: Mapping[Kind, Story]) -> None:
    moments = [PLAN, STREAM, TOOL, PUBLISH, VALIDATE, DIAGNOSE]
    night = await strike(place, moments, nights.terminate_worker, undisturbed, cut=True)
    for moment in moments:
        assert_handed_over(*night.of(moment), moment)
        assert_paid_once(*night.of(moment), moment)
        assert_charged(night.of(moment)[0])


async def test_down_and_up_goes_on_by_itself(place: Yard, undisturbed: Mapping[Kind, Story]) -> None:
    moments = [STREAM, TOOL, VALIDATE, DIAGNOSE]
    night = await strike(place, moments, nights.down_and_up, undisturbed, cut=True)
    for moment in moments:
        assert_handed_over(*night.of(moment), moment)
        assert_paid_once(*night.of(moment), moment)
        assert_charged(night.of(moment)[0])
