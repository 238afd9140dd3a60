"""kill -9 of Temporal with its file database, at every moment of a session: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.chaos.moments import EARLY, LATE, Moment
from tests.chaos.night import Night, kill_server, peace, strike
from tests.chaos.story import assert_charged, assert_paid_once, assert_same_end, assert_tried
from tests.chaos.yard import Yard

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(500)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(place: Yard) -> Night:
    undisturbed = await peace(place, ["fixed", "stuck"])
    whole = Night(undisturbed)
    for some in (EARLY, LATE):
        whole.add(await strike(place, some, kill_server, undisturbed, cut=False))
    return whole


@pytest.mark.parametrize("moment", [*EARLY, *LATE], ids=lambda moment: moment.name)
def test_the_session_does_not_notice(night: Night, moment: Moment) -> None:
    told, undisturbed = night.of(moment)
    assert_same_end(told, undisturbed)
    assert_tried(told, undisturbed, None)
    assert_paid_once(told, undisturbed, None)
    assert_charged(told)
