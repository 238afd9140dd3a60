"""Cancel, Temporal's own Cancel and Terminate, at any moment: the end is a result, and the work is kept."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import TerminatedError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Bench, Handle, NewBench, eventually, reaches, until, workers
from tests.workflows.fakes import Working, World, in_turn
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import ExecuteRequest
from workflows.contracts.state import SessionResult, Status


async def cancel(handle: Handle, how: str) -> None:
    if how == "temporal":
        await handle.cancel()
    else:
        await handle.signal("cancel", "enough")


REASONS = {"signal": "enough", "temporal": "cancelled through Temporal"}
HOW = pytest.mark.parametrize("how", ["signal", "temporal"])


async def ended(handle: Handle, how: str) -> SessionResult:
    """The result, which is one: neither a failure nor Temporal's own kind of cancellation."""
    result = await handle.result()
    assert (result.status, result.reason) == (Status.CANCELLED, REASONS[how])
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert result.report.startswith("# Cancelled")
    return result


@HOW
async def test_while_paused(new_bench: NewBench, how: str) -> None:
    world = World()
    handle = await (await new_bench(world)).start(start_signal="pause")
    await reaches(handle, Status.PAUSED)
    await cancel(handle, how)
    result = await ended(handle, how)
    assert (result.iterations, result.commit) == (0, None)
    assert world.requests == []


@HOW
async def test_while_waiting_for_a_usage_limit(new_bench: NewBench, how: str) -> None:
    world = World(before={"execute": in_turn(Outcome.USAGE_LIMIT)})
    handle = await (await new_bench(world)).start(real_time=True)
    await reaches(handle, Status.WAITING_LIMIT)
    await cancel(handle, how)
    await ended(handle, how)


@HOW
@pytest.mark.parametrize("call", ["plan", "execute", "validate", "judge", "diagnose"])
async def test_during_any_call(new_bench: NewBench, how: str, call: str) -> None:
    working = Working()
    world = World(passes_at=2, before={call: working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await cancel(handle, how)
    await ended(handle, how)
    kinds = [e.event_type for e in (await handle.fetch_history()).events]
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED in kinds
    assert kinds[-1] == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


@HOW
async def test_an_execute_that_is_cancelled_leaves_its_work(new_bench: NewBench, how: str) -> None:
    working = Working()
    world = World(before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await cancel(handle, how)
    result = await ended(handle, how)
    assert result.iterations == 1
    assert result.commit != world.seen(ExecuteRequest)[0].site.commit
    assert result.usage.calls == 2, "the plan and the execute that was cut off are charged"


async def test_twice_and_in_both_ways(new_bench: NewBench) -> None:
    working = Working()
    stubborn = asyncio.Event()

    async def slow_to_stop(request: Any) -> Any:
        report = await working(request)
        await stubborn.wait()
        return report

    handle = await (await new_bench(World(before={"execute": slow_to_stop}))).start()
    await working.started.wait()
    await handle.cancel()
    await handle.cancel()
    await handle.signal("cancel", "enough")
    await handle.cancel()
    await eventually(handle, lambda s: s.next.startswith("Ends as soon as the running call has stopped"))
    stubborn.set()
    result = await handle.result()
    assert result.status is Status.CANCELLED
    assert result.reason in REASONS.values(), "whichever came first"


@HOW
async def test_while_a_pause_now_is_stopping_the_call(new_bench: NewBench, how: str) -> None:
    working = Working()
    handle = await (await new_bench(World(before={"execute": working}))).start()
    await working.started.wait()
    await handle.signal("pause", {"when": "now"})
    await cancel(handle, how)
    await ended(handle, how)


@HOW
async def test_before_any_worker_has_seen_the_session(env: WorkflowEnvironment, how: str) -> None:
    world, queue = World(), f"q-{uuid4().hex[:8]}"
    handle = await Bench(env, world, queue).start()
    await cancel(handle, how)
    async with workers(env, queue, world):
        await ended(handle, how)
    assert world.seen(ExecuteRequest) == []


@HOW
async def test_together_with_the_end_of_the_call(env: WorkflowEnvironment, how: str) -> None:
    """The worker that decides is away while the call ends and the Cancel arrives: both come in one task."""
    for first in ("call", "cancel"):
        working = Working()
        world, queue = World(before={"execute": working}), f"q-{uuid4().hex[:8]}"
        bench = Bench(env, world, queue)
        async with workers(env, queue, world, decide=False):
            async with workers(env, queue, world, act=False):
                handle = await bench.start()
                await working.started.wait()
            if first == "cancel":
                await cancel(handle, how)
            working.enough.set()
            await until(partial(idle, handle))
            if first == "call":
                await cancel(handle, how)
            async with workers(env, queue, world, act=False):
                result = await ended(handle, how)
        assert result.usage.calls == 2, "the report that came together with the Cancel counts"
        assert result.commit != world.seen(ExecuteRequest)[0].site.commit


async def idle(handle: Handle) -> bool:
    return not (await handle.describe()).raw_description.pending_activities


async def test_terminate_leaves_nothing_special(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    bench = await new_bench(world)
    handle = await bench.start()
    await working.started.wait()
    await handle.terminate("off with it")
    with pytest.raises(WorkflowFailureError) as told:
        await handle.result()
    assert isinstance(told.value.cause, TerminatedError)
    again = await bench.start()
    assert (await again.result()).status is Status.COMPLETED
