"""kill -9 of Claude Code, at every moment at which it runs."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.chaos import moments
from tests.chaos.moments import Moment
from tests.chaos.night import Night, kill_claude, peace, strike
from tests.chaos.story import assert_charged, assert_paid_once, assert_same_end
from tests.chaos.yard import Yard
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(500)]

ANSWERS = (moments.PLAN, moments.DIAGNOSE, moments.REFLECT, moments.JUDGE)
"""Moments in which it owes an answer."""
WORKS = (moments.STREAM, moments.TOOL)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(place: Yard) -> Night:
    undisturbed = await peace(place, ["fixed", "stuck"])
    return await strike(place, [*ANSWERS, *WORKS], kill_claude, undisturbed, cut=True)


@pytest.mark.parametrize("moment", ANSWERS, ids=lambda moment: moment.name)
def test_an_answer_that_is_owed_is_asked_for_again(night: Night, moment: Moment) -> None:
    told, undisturbed = night.of(moment)
    assert_same_end(told, undisturbed)
    assert_paid_once(told, undisturbed, moment)
    assert_charged(told)
    assert [step.activity for step in told.work if step.outcome != "completed"] in ([moment.activity], [])


@pytest.mark.parametrize("moment", WORKS, ids=lambda moment: moment.name)
def test_work_that_was_cut_off_is_gone_on_with(night: Night, moment: Moment) -> None:
    told, undisturbed = night.of(moment)
    assert told.known.status is Status.COMPLETED, told.known.reason
    assert told.tree == undisturbed.tree
    assert len(set(told.checkpoints)) == len(told.checkpoints), "a checkpoint was doubled"
    assert_charged(told)


@pytest.mark.parametrize("moment", WORKS, ids=lambda moment: moment.name)
def test_its_iteration_is_not_lost(night: Night, moment: Moment) -> None:
    told, undisturbed = night.of(moment)
    assert told.known.iteration == undisturbed.known.iteration
    assert told.evidence == undisturbed.evidence
    assert_paid_once(told, undisturbed, moment)
