"""Daemons that do not want to end (``setsid``, double forks, deaf ones): none outlives its call, however that ends.

What becomes of them when the worker is killed or told to leave is in ``test_worker.py`` and ``test_stack.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.chaos import moments
from tests.chaos.night import kill_supervisor_and_server, peace, strike
from tests.chaos.story import assert_paid_once
from tests.chaos.yard import Held, Yard, command_lines
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

TOOL = replace(moments.TOOL, kind="right")
CHECK = replace(moments.VALIDATE, kind="right")


def left(held: Held) -> Sequence[str]:
    """What still carries a mark of the session."""
    return [line for which in held.gates for line in command_lines(held.gate(which))]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited(place: Yard) -> Held:
    """A session in the middle of a tool, with little time to live. Started first: it takes that long."""
    held = await place.start(TOOL, "limited", max_time_minutes=1.5)
    await place.reached(held)
    return held


async def test_they_end_with_a_command_that_succeeds(place: Yard, limited: Held) -> None:
    del limited
    sessions = [await place.start(moment, f"success-{moment.name}") for moment in (TOOL, CHECK)]
    await place.reached(*sessions)
    for held in sessions:
        place.release(held)
    for held in sessions:
        assert (await place.end(held)).known.status is Status.COMPLETED
        assert left(held) == []


@pytest.mark.parametrize("moment", [TOOL, CHECK], ids=["tool", "check"])
async def test_they_end_when_a_person_cancels(place: Yard, limited: Held, moment: moments.Moment) -> None:
    del limited
    held = await place.start(moment, f"cancel-{moment.name}")
    await place.reached(held)
    await place.sessions.cancel(held.name, reason="enough")
    told = await place.end(held)
    assert told.known.status is Status.CANCELLED
    assert left(held) == []


async def test_they_end_when_its_time_is_over(place: Yard, limited: Held) -> None:
    told = await place.end(limited)
    assert told.known.reason.startswith("limit: time"), told.known.reason
    assert left(limited) == []


async def test_they_end_when_temporal_is_out_of_reach(place: Yard, limited: Held) -> None:
    """A worker that cannot reach Temporal stops what it does: another one may have begun the same."""
    del limited
    undisturbed = await peace(place, ["right"])
    night = await strike(place, [TOOL], kill_supervisor_and_server, undisturbed, cut=True)
    told, reference = night.of(TOOL)
    assert told.known.status is Status.COMPLETED, told.known.reason
    assert (told.tree, told.evidence) == (reference.tree, reference.evidence)
    assert_paid_once(told, reference, TOOL)
