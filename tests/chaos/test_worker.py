"""kill -9 of the worker at every moment of a session: it goes on in another one, as if nothing had happened."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.chaos.moments import EARLY, LATE, Moment
from tests.chaos.night import Night, kill_worker, peace, strike
from tests.chaos.story import assert_charged, assert_paid_once, assert_same_end, assert_tried
from tests.chaos.yard import Yard

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(500)]

every_moment = pytest.mark.parametrize("moment", [*EARLY, *LATE], ids=lambda moment: moment.name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(place: Yard) -> Night:
    undisturbed = await peace(place, ["fixed", "stuck"])
    whole = Night(undisturbed)
    for some in (EARLY, LATE):
        part = await strike(place, some, kill_worker, undisturbed, cut=True, cuts_attempts=True)
        whole.add(part)
    return whole


@every_moment
def test_same_end(night: Night, moment: Moment) -> None:
    assert_same_end(*night.of(moment))


@every_moment
def test_one_attempt_is_lost_and_no_finished_step_is_run_again(night: Night, moment: Moment) -> None:
    assert_tried(*night.of(moment), moment)


@every_moment
def test_only_the_call_that_was_cut_off_is_paid_again(night: Night, moment: Moment) -> None:
    assert_paid_once(*night.of(moment), moment)


@every_moment
def test_what_was_cut_off_is_charged(night: Night, moment: Moment) -> None:
    assert_charged(night.of(moment)[0])


@every_moment
def test_goes_on_in_time(night: Night, moment: Moment) -> None:
    assert night.recovered[moment.name] < night.due[moment.name]


@every_moment
def test_nothing_of_it_runs_when_the_next_attempt_begins(night: Night, moment: Moment) -> None:
    assert night.orphaned[moment.name] < night.recovered[moment.name]
