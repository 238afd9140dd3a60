"""Calls go where the session's worktree is, as long as that host answers; else any host may take them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.testing import WorkflowEnvironment

from activities.workspace import VaultAwayError
from tests.workflows.conftest import Bench, NewBench, eventually, workers
from tests.workflows.fakes import PRICE, World
from workflows.calls import RETRY, failure_report, turns_queue
from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.requests import Beat, ExecuteResult
from workflows.contracts.state import Status
from workflows.session import AutonomousSession


async def queues(bench: Bench, session_id: str) -> list[tuple[str, str]]:
    """Which call went where."""
    history = await bench.env.client.get_workflow_handle(session_id).fetch_history()
    scheduled = [e.activity_task_scheduled_event_attributes for e in history.events]
    calls = [(s.activity_type.name, s.task_queue.name) for s in scheduled if s.activity_type.name]
    # What is asked of the store of knowledge needs no worktree.
    return [(name, where) for name, where in calls if name not in {"recall", "learn"}]


async def test_a_session_stays_where_its_worktree_is(env: WorkflowEnvironment) -> None:
    world, queue = World(passes_at=2, host="one"), f"q-{uuid4().hex[:8]}"
    async with workers(env, queue, world), workers(env, queue, world, decide=False, host="one"):
        bench = Bench(env, world, queue)
        result = await bench.run()
        found = await queues(bench, result.session_id)
    assert result.status is Status.COMPLETED
    assert found[0] == ("plan", turns_queue(queue))
    assert {where for _, where in found[1:]} == {turns_queue(queue, "one")}


@pytest.mark.chaos
async def test_a_host_that_is_gone_is_not_waited_for(new_bench: NewBench) -> None:
    world = World(passes_at=1, host="gone")
    bench = await new_bench(world)
    handle = await bench.start()
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert result.iterations == 1
    assert {turns_queue(bench.queue, "gone"), turns_queue(bench.queue)} == {
        q for _, q in await queues(bench, handle.id)
    }


@pytest.mark.chaos
async def test_what_was_used_at_a_host_that_died_is_charged(env: WorkflowEnvironment) -> None:
    """The attempt began there, and no worker of that host takes the next one."""
    began = asyncio.Event()
    world, queue = World(passes_at=1, host="one"), f"q-{uuid4().hex[:8]}"
    died = Usage(calls=1, responses=3, cost_usd=1.0)

    async def dies(_request: object) -> CallReport | None:
        if activity.info().task_queue != turns_queue(queue, "one"):
            return None
        activity.heartbeat(Beat(usage=died, open_usd=0.125))
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # Its worker leaves; the beat goes with what it says at last.
            raise ApplicationError("it was killed") from None
        return None

    world.before["execute"] = dies
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(workers(env, queue, world))
        gone = AsyncExitStack()
        await gone.enter_async_context(workers(env, queue, world, decide=False, host="one"))
        bench = Bench(env, world, queue)
        handle = await bench.start(real_time=True)
        await began.wait()
        await gone.aclose()
        status = await eventually(handle, lambda s: s.status.is_final)
    assert status.status is Status.COMPLETED
    others = world.requests
    calls = sum(getattr(r, "allowance", None) is not None for r in others)
    assert status.usage.estimated_usd == 0.125
    assert status.usage.cost_usd == PRICE * (calls - 1) + 1.125
    assert status.usage.responses == 2 * (calls - 1) + 3


def test_a_host_that_falls_silent_again_and_again_is_left() -> None:
    silent = ActivityTimeoutError("no beat", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[])
    error = ActivityError(
        "lost",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="execute",
        activity_id="1",
        retry_state=None,
    )
    error.__cause__ = silent
    assert failure_report(error, ExecuteResult, "one").outcome is Outcome.HOST_LOST
    assert failure_report(error, ExecuteResult).outcome is Outcome.UNAVAILABLE


async def test_a_vault_that_is_away_is_waited_for(new_bench: NewBench) -> None:
    """Its activity fails each time that Temporal makes it again; then the session waits, and goes on by itself."""
    tries = 0

    async def away(_request: object) -> CallReport | None:
        nonlocal tries
        tries += 1
        if tries > RETRY.maximum_attempts:
            return None
        raise ApplicationError("git push: could not resolve host vault.example", type=VaultAwayError.__name__)

    bench = await new_bench(World(passes_at=1, before={"execute": away}))
    handle = await bench.start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)
    said = [e.text for e in (await handle.query(AutonomousSession.events)).events]
    assert any(text.startswith("the vault is away: tries again at ") for text in said), said
