"""A session that outlives its history: everything goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from uuid import uuid4

import pytest

from tests.workflows.conftest import (
    Bench,
    Handle,
    NewBench,
    activities_of,
    eventually,
    said,
    time_skipping_server,
    workers,
)
from tests.workflows.fakes import PRICE, World
from tests.workflows.test_seen_from_outside import attributes, details, glance
from workflows.contracts.requests import ExecuteRequest, PlanRequest
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus
from workflows.session import CONTINUE_AFTER_EVENTS, CONTINUE_AFTER_ITERATIONS, AutonomousSession


async def test_everything_is_carried(new_bench: NewBench) -> None:
    world = World(passes_at=CONTINUE_AFTER_ITERATIONS + 2)
    bench = await new_bench(world)
    first = await bench.start(
        max_cost_usd=1_000, start_signal="steer", signal_args=[{"guidance": "use roses", "id": "m1"}]
    )
    result = await first.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, CONTINUE_AFTER_ITERATIONS + 2)
    handle: Handle = bench.env.client.get_workflow_handle_for(AutonomousSession.run, first.id)
    described = await handle.describe()
    assert described.run_id != first.first_execution_run_id

    # Nothing is done again, nothing is forgotten.
    assert len(world.seen(PlanRequest)) == 1
    executes = world.seen(ExecuteRequest)
    assert [e.site.iteration for e in executes] == list(range(1, CONTINUE_AFTER_ITERATIONS + 3))
    assert [e.site.iteration for e in executes if e.brief.guidance] == [1]
    assert all(e.brief.standing_guidance == ["use roses"] for e in executes[1:])
    assert len({e.site.commit for e in executes}) == len(executes)
    calls = sum(getattr(r, "allowance", None) is not None for r in world.requests)
    assert result.usage.calls == calls
    assert result.usage.cost_usd == PRICE * calls

    # The record goes on counting.
    events = await handle.query(AutonomousSession.events)
    assert [e.seq for e in events.events] == list(range(events.first_seq, events.last_seq + 1))
    assert events.last_seq > 3 * CONTINUE_AFTER_ITERATIONS

    # What others see is still there.
    assert attributes(described)["OvernightIteration"] == result.iterations
    assert attributes(described)["OvernightProject"] == "fake"
    assert (await glance(handle)).progress == 100
    # Temporal does not carry the static summary: the goal is in the details and in the memo.
    assert "**Goal:** write a poem" in await details(handle)
    assert (await glance(handle)).goal == "write a poem"
    histories = [
        await bench.env.client.get_workflow_handle(first.id, run_id=run).fetch_history()
        for run in (first.first_execution_run_id, described.run_id)
    ]
    assert len(histories[0].events) < CONTINUE_AFTER_EVENTS
    assert activities_of(histories[1])[0] == "execute"
    left_open: dict[str, int] = defaultdict(int)
    for event in histories[0].events:
        left_open["scheduled"] += event.HasField("activity_task_scheduled_event_attributes")
        left_open["completed"] += event.HasField("activity_task_completed_event_attributes")
    assert left_open["scheduled"] == left_open["completed"], "no call is left behind"


async def test_a_message_seen_before_is_known_after(new_bench: NewBench) -> None:
    world = World(passes_at=CONTINUE_AFTER_ITERATIONS + 9)
    bench = await new_bench(world)
    handle = await bench.start(
        max_cost_usd=1_000,
        max_iterations=CONTINUE_AFTER_ITERATIONS,
        start_signal="steer",
        signal_args=[{"guidance": "use roses", "id": "m1"}],
    )
    now = bench.env.client.get_workflow_handle_for(AutonomousSession.run, handle.id)
    status = await eventually(now, lambda s: s.status is Status.PAUSED)
    assert status.reason.startswith("limit: iterations: 25 of 25")
    assert (await now.describe()).run_id != handle.first_execution_run_id
    await now.signal("steer", {"guidance": "use roses", "id": "m1"})
    await now.signal("steer", {"guidance": "and lilies", "id": "m2"})
    status = await eventually(now, lambda s: len(s.guidance) > 1)
    assert [(g.id, g.state) for g in status.guidance] == [("m1", "delivered"), ("m2", "waiting")]
    assert any(text.startswith("paused: limit: iterations") for text in await said(now))
    await now.signal("cancel", "enough")
    assert (await now.result()).status is Status.CANCELLED


async def test_messages_that_come_while_it_continues_are_delivered_once() -> None:
    """A server that suggests continue-as-new all the time: many runs, and a person who keeps talking."""
    world, queue = World(passes_at=10_000), f"q-{uuid4().hex[:8]}"
    hints = [f"hint {n}" for n in range(8)]
    async with time_skipping_server("limit.historyCount.suggestContinueAsNew=40") as env, workers(env, queue, world):
        bench = Bench(env, world, queue)
        first = await bench.start(max_cost_usd=10_000, max_iterations=10_000)
        handle = env.client.get_workflow_handle_for(AutonomousSession.run, first.id)
        for n, hint in enumerate(hints):
            await eventually(handle, partial(is_past, 2 * n))
            await handle.signal("steer", {"guidance": hint, "id": f"m{n}"})
            await handle.signal("steer", {"guidance": hint, "id": f"m{n}"})
        await eventually(handle, lambda s: s.guidance[-1].id == "m7" and s.guidance[-1].state == "delivered")
        world.passes_at = 1
        result = await handle.result()
        assert result.status is Status.COMPLETED
        runs = [w async for w in env.client.list_workflows(f"WorkflowId = '{first.id}'")]
        assert len(runs) >= 4
    delivered = [hint for e in world.seen(ExecuteRequest) for hint in e.brief.guidance]
    assert delivered == hints
    assert [e.site.iteration for e in world.seen(ExecuteRequest)] == list(range(1, result.iterations + 1))


def is_past(iteration: int, status: SessionStatus) -> bool:
    return status.iteration > iteration


@pytest.mark.chaos
async def test_a_storm_of_messages_to_one_that_rests_ends_in_a_fresh_history(new_bench: NewBench) -> None:
    bench = await new_bench(World(passes_at=1))
    first = await bench.start(start_signal="pause", signal_args=[{"reason": "lunch"}], real_time=True)
    handle: Handle = bench.env.client.get_workflow_handle_for(AutonomousSession.run, first.id)
    await eventually(handle, lambda s: s.status is Status.PAUSED)
    for _ in range(CONTINUE_AFTER_EVENTS // 40):
        await asyncio.gather(*(handle.signal("pause", {"reason": "still lunch"}) for _ in range(50)))
    while (await handle.describe()).run_id == first.first_execution_run_id:
        await handle.signal("pause", {"reason": "still lunch"})
    assert (await eventually(handle, lambda s: s.status is Status.PAUSED)).reason == "paused by a person: lunch"
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED
