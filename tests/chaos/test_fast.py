"""What kill -9 and SIGTERM do to sessions in flight: the part of the chaos suite that every `make test` runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from tests.chaos import moments
from tests.chaos.moments import Moment
from tests.chaos.story import (
    Story,
    assert_charged,
    assert_handed_over,
    assert_paid_once,
    assert_same_end,
    assert_tried,
)
from tests.chaos.yard import POLL_SECONDS, Held, Yard, command_lines

pytestmark = pytest.mark.timeout(240)

STREAM, TOOL, COMPLETION = (
    replace(moment, kind="right") for moment in (moments.STREAM, moments.TOOL, moments.COMPLETION)
)
"""In the shortest play."""


@dataclass
class Night:
    undisturbed: Story
    server_killed: Story
    worker_killed: dict[Moment, Story]
    recovered: dict[Moment, float]
    due: float
    drained: Story
    left_at_once: list[str]
    """Of what ran in the sandboxes of the worker that drained, when it was gone."""


async def gone(held: Held) -> None:
    while any(command_lines(held.gate(which)) for which in held.gates):
        await asyncio.sleep(POLL_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(place: Yard) -> Night:
    """One session in peace, three that are hit one way or another, and one whose worker is told to leave."""
    peace = await place.start(None, "peace", kind="right")
    server = await place.start(STREAM, "server", cut=False)
    worker = [await place.start(moment, f"worker-{moment.name}") for moment in (TOOL, COMPLETION)]
    undisturbed = await place.end(peace)
    await place.reached(server, *worker)

    [dead] = place.kill("server")
    await place.healthy(but=dead)
    place.release(server)
    server_killed = await place.end(server)

    [dead] = place.kill("worker")
    await gone(worker[0])
    for held in worker:
        place.release(held)
    drain = await place.start(TOOL, "drain")
    recovered = [await place.next_attempt(held) for held in worker]
    due = place.due()
    worker_killed = [await place.end(held) for held in worker]

    await place.reached(drain)
    leaving = place.terminate_worker()
    await place.healthy(but=leaving)
    left = [line for which in drain.gates for line in command_lines(drain.gate(which))]
    place.release(drain)
    return Night(
        undisturbed,
        server_killed,
        dict(zip((TOOL, COMPLETION), worker_killed, strict=True)),
        dict(zip((TOOL, COMPLETION), recovered, strict=True)),
        due,
        await place.end(drain),
        left,
    )


@pytest.mark.chaos
def test_a_killed_server_costs_nothing(night: Night) -> None:
    """kill -9 of Temporal in the middle of an answer: no attempt is lost, no call is paid twice."""
    assert_same_end(night.server_killed, night.undisturbed)
    assert_tried(night.server_killed, night.undisturbed, None)
    assert_paid_once(night.server_killed, night.undisturbed, None)
    assert_charged(night.server_killed)


@pytest.mark.parametrize("moment", [TOOL, COMPLETION], ids=lambda moment: moment.name)
def test_a_killed_worker_costs_one_attempt(night: Night, moment: Moment) -> None:
    """kill -9 of the worker: in a tool, and between a published checkpoint and its report to Temporal."""
    told = night.worker_killed[moment]
    assert_same_end(told, night.undisturbed)
    assert_tried(told, night.undisturbed, moment)
    assert_paid_once(told, night.undisturbed, moment)
    assert_charged(told)
    assert night.recovered[moment] < night.due


def test_a_worker_that_is_told_to_leave_hands_over(night: Night) -> None:
    """SIGTERM: what runs says how far it came, its work is published, and the next worker goes on with it."""
    assert_handed_over(night.drained, night.undisturbed, TOOL)
    assert_paid_once(night.drained, night.undisturbed, TOOL)
    assert_charged(night.drained)
    assert night.left_at_once == []
