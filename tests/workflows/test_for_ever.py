"""Hundreds of iterations: one continuous session over many histories, each of them small."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from temporalio.client import WorkflowHistory

from tests.workflows.conftest import Bench, Handle, NewBench
from tests.workflows.fakes import PRICE, World
from workflows.contracts.requests import ExecuteRequest, PlanRequest
from workflows.contracts.state import Status
from workflows.session import CONTINUE_AFTER_EVENTS, CONTINUE_AFTER_ITERATIONS, AutonomousSession

ITERATIONS = 500
PAYLOAD_BYTES = 256 * 1024
WARNED_BYTES = 10 * 1024 * 1024
"""Of a whole history; Temporal warns from here on, and from 10,240 events on."""


async def runs_of(bench: Bench, first: Handle) -> list[WorkflowHistory]:
    """The histories of all runs, oldest first."""
    found, run = [], first.first_execution_run_id
    while run:
        history = await bench.env.client.get_workflow_handle(first.id, run_id=run).fetch_history()
        found.append(history)
        run = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return found


@pytest.mark.timeout(480)
async def test_five_hundred_iterations(new_bench: NewBench) -> None:
    world = World(passes_at=ITERATIONS)
    bench = await new_bench(world)
    handle = await bench.start(max_cost_usd=100_000, max_iterations=ITERATIONS, max_time_minutes=100_000)
    latest: Handle = bench.env.client.get_workflow_handle_for(AutonomousSession.run, handle.id)
    told, asked = 0, 0
    finishing = asyncio.create_task(handle.result())
    while not finishing.done():
        # Messages and questions go on all the while, across every change of runs.
        if len(world.requests) >= asked:
            asked = len(world.requests) + 120
            told += 1
            await latest.signal("steer", {"guidance": f"verse {told}", "id": f"m{told}"})
        await asyncio.sleep(0.01)
    result = await finishing
    assert (result.status, result.iterations) == (Status.COMPLETED, ITERATIONS)

    executes = world.seen(ExecuteRequest)
    assert [e.site.iteration for e in executes] == list(range(1, ITERATIONS + 1))
    assert len(world.seen(PlanRequest)) == 1
    assert all(later.site.commit != before.site.commit for before, later in pairwise(executes))
    delivered = [text for e in executes for text in e.brief.guidance]
    assert sorted(set(delivered)) == sorted(delivered), "guidance was delivered twice"
    assert len(delivered) >= told - 1 > 5, "guidance was lost"
    calls = sum(getattr(r, "allowance", None) is not None for r in world.requests)
    assert result.usage.cost_usd == PRICE * calls

    histories = await runs_of(bench, handle)
    assert len(histories) >= ITERATIONS // CONTINUE_AFTER_ITERATIONS
    for history in histories:
        assert len(history.events) < 1.5 * CONTINUE_AFTER_EVENTS
        assert sum(e.ByteSize() for e in history.events) < WARNED_BYTES
        assert max(e.ByteSize() for e in history.events) < PAYLOAD_BYTES
    record = await latest.query(AutonomousSession.events)
    assert [e.seq for e in record.events] == list(range(record.first_seq, record.last_seq + 1))
    assert record.last_seq > 3 * ITERATIONS
