"""Records the histories that the replay tests replay.

    python -m tests.replay.record            record all of them anew
    python -m tests.replay.record NAME ...   record some

Each is the history of one whole session with typed fakes, on a dev server that skips waits. Record anew only until
the first release, or beside the old ones (under another name) when a patched branch is added: an old history that no
longer replays is a session in flight that would break.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Bench, Handle, eventually, reaches, time_skipping_server, workers
from tests.workflows.fakes import PRICE, Working, World, in_turn, unavailable
from workflows.contracts.answers import PlannedStep
from workflows.contracts.messages import RaiseLimits, Rollback
from workflows.contracts.outcome import Outcome
from workflows.contracts.state import Status
from workflows.session import CONTINUE_AFTER_ITERATIONS, AutonomousSession

HISTORIES = Path(__file__).parent / "histories"

Scenario = Callable[[Bench], Awaitable[Handle]]


async def completed_after_a_fix(bench: Bench) -> Handle:
    bench.world.steps = 2
    bench.world.passes_at = 3
    return await bench.start()


async def confirmed_at_the_second_try(bench: Bench) -> Handle:
    bench.world.passes_at = 1
    bench.world.clean_passes = lambda iteration: iteration >= 2
    return await bench.start()


async def cancelled_during_execute(bench: Bench) -> Handle:
    handle = await _working(bench)
    await handle.signal("cancel", "enough")
    return handle


async def cancelled_through_temporal(bench: Bench) -> Handle:
    handle = await _working(bench)
    await handle.cancel()
    return handle


async def paused_by_cost_then_raised(bench: Bench) -> Handle:
    handle = await bench.start(max_cost_usd=2 * PRICE)
    await reaches(handle, Status.PAUSED)
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=10))
    return handle


async def usage_limit_waited(bench: Bench) -> Handle:
    bench.world.passes_at = 1
    bench.world.before["execute"] = in_turn(Outcome.USAGE_LIMIT, unavailable())
    return await bench.start()


async def steered_now(bench: Bench) -> Handle:
    handle = await _working(bench)
    await handle.signal("steer", {"guidance": "use roses", "when": "now", "id": "m1"})
    return handle


async def paused_now_and_told_nonsense(bench: Bench) -> Handle:
    handle = await _working(bench)
    await handle.signal("pause", {"when": "now", "reason": "lunch"})
    await reaches(handle, Status.PAUSED)
    await handle.signal("steer", args=["one", "two"])
    await handle.signal("stear", 17)
    await handle.signal("resume")
    return handle


async def stuck_then_helped(bench: Bench) -> Handle:
    world = bench.world
    world.passes_at = 99
    world.changes = lambda _iteration: False
    world.fixes = lambda _iteration: "the same again"
    handle = await bench.start()
    await reaches(handle, Status.PAUSED)
    world.passes_at = 1
    world.changes = lambda _iteration: True
    await handle.signal("resume")
    return handle


async def continued_as_new(bench: Bench) -> Handle:
    bench.world.passes_at = CONTINUE_AFTER_ITERATIONS + 2
    first = await bench.start(max_cost_usd=1_000)
    await first.result()
    return bench.env.client.get_workflow_handle_for(AutonomousSession.run, first.id)


async def failed_at_a_limit(bench: Bench) -> Handle:
    bench.world.passes_at = 5
    return await bench.start(on_limit="fail", max_iterations=1)


async def host_lost(bench: Bench) -> Handle:
    """Every call that goes to the host of the worktree finds nobody there, and is then anybody's."""
    bench.world.passes_at = 1
    bench.world.host = "gone"
    return await bench.start()


async def worker_failed_and_tried_again(bench: Bench) -> Handle:
    bench.world.before["execute"] = in_turn(ApplicationError("a hiccup"), ApplicationError("another"))
    return await bench.start()


async def usage_limit_paused(bench: Bench) -> Handle:
    bench.world.passes_at = 1
    bench.world.before["execute"] = in_turn(Outcome.USAGE_LIMIT)
    handle = await bench.start(on_usage_limit="pause")
    await reaches(handle, Status.PAUSED)
    await handle.signal("resume")
    return handle


async def fell_and_went_back(bench: Bench) -> Handle:
    rates = {1: 0.8, 2: 0.5, 3: 0.4}
    bench.world.passes_at = 4
    bench.world.rates = lambda iteration: rates.get(iteration, 0.0)
    return await bench.start()


async def rolled_back_while_paused(bench: Bench) -> Handle:
    bench.world.passes_at = 3
    handle = await bench.start(max_iterations=2)
    paused = await reaches(handle, Status.PAUSED)
    await handle.execute_update(AutonomousSession.rollback, Rollback(iteration=1))
    await eventually(handle, lambda s: s.status is Status.PAUSED and s.commit != paused.commit)
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_iterations=5))
    return handle


async def several_approaches(bench: Bench) -> Handle:
    """A child for each; the second gets there, the others do not."""
    bench.world.passes_at = 99
    bench.world.approaches = ("rhyme it", "shorten it")
    bench.world.reaches = {"rhyme it": 0.0, "shorten it": 1.0}
    return await bench.start(recovery_strategies=["parallel"])


async def rejected_edited_and_approved(bench: Bench) -> Handle:
    bench.world.passes_at = 1
    handle = await bench.start(mode="iterative")
    await _waits(handle, "plan")
    await handle.execute_update("reject", {"request": "plan", "reason": "shorter", "by": "ada"})
    await _waits(handle, "plan-2")
    plan = {"steps": [{"title": "all of it", "instructions": "write it"}], "criteria": []}
    await handle.execute_update("approve", {"request": "plan-2", "plan": plan, "by": "ada"})
    await _waits(handle, "iteration-1")
    await handle.execute_update("reject", {"request": "iteration-1", "reason": "rhyme it", "by": "ada"})
    await _waits(handle, "iteration-2")
    await handle.execute_update("approve", {"request": "iteration-2", "by": "ada"})
    return handle


async def approval_timed_out(bench: Bench) -> Handle:
    bench.world.passes_at = 1
    return await bench.start(mode="iterative", approval_timeout_minutes=5, on_approval_timeout="continue")


async def steps_changed_by_guidance(bench: Bench) -> Handle:
    working = Working()
    bench.world.before["execute"] = working
    bench.world.steps = bench.world.passes_at = 3
    bench.world.new_steps = [PlannedStep(id="s3", title="step 3", instructions="work")]
    handle = await bench.start()
    await working.started.wait()
    await handle.signal("steer", "no second step")
    await eventually(handle, lambda s: bool(s.guidance))
    working.enough.set()
    return handle


SCENARIOS: list[Scenario] = [
    completed_after_a_fix,
    confirmed_at_the_second_try,
    cancelled_during_execute,
    cancelled_through_temporal,
    paused_by_cost_then_raised,
    usage_limit_waited,
    steered_now,
    paused_now_and_told_nonsense,
    stuck_then_helped,
    continued_as_new,
    failed_at_a_limit,
    host_lost,
    worker_failed_and_tried_again,
    usage_limit_paused,
    fell_and_went_back,
    rolled_back_while_paused,
    several_approaches,
    rejected_edited_and_approved,
    approval_timed_out,
    steps_changed_by_guidance,
]


async def _waits(handle: Handle, request: str) -> None:
    await eventually(handle, lambda s: s.approval is not None and s.approval.request == request)


async def _working(bench: Bench) -> Handle:
    working = Working()
    bench.world.before["execute"] = working
    handle = await bench.start()
    await working.started.wait()
    return handle


def _anonymous(value: Any) -> Any:
    """A history without what names the machine it was recorded on; replay looks at none of it."""
    if isinstance(value, list):
        return [_anonymous(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = {"stackTrace", "workerVersion", "priority"}
    return {
        key: "recorder" if key == "identity" else _anonymous(item) for key, item in value.items() if key not in left_out
    }


async def play(env: WorkflowEnvironment, scenario: Scenario) -> WorkflowHistory:
    """The history of one scenario, with today's code."""
    world, queue = World(), f"recorded-{uuid4().hex[:8]}"
    async with workers(env, queue, world):
        handle = await scenario(Bench(env, world, queue))
        await handle.result()
        return await handle.fetch_history()


def commands(history: WorkflowHistory) -> list[str]:
    """What the workflow told Temporal to do, in order: every decision, with what replay does not look at."""
    found = []
    for event in history.events:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        if event.HasField("activity_task_scheduled_event_attributes"):
            told = event.activity_task_scheduled_event_attributes
            where = re.sub(r"^recorded-[0-9a-f]+", "", told.task_queue.name)
            limits = [
                limit.ToTimedelta().total_seconds()
                for limit in (told.schedule_to_start_timeout, told.start_to_close_timeout, told.heartbeat_timeout)
            ]
            retry = told.retry_policy
            found.append(f"{kind} {told.activity_type.name}{where} {limits} {retry.maximum_attempts}")
        elif kind in ("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", "WORKFLOW_PROPERTIES_MODIFIED", "TIMER_STARTED") or (
            kind.startswith("WORKFLOW_EXECUTION_") and not kind.endswith(("STARTED", "SIGNALED", "CANCEL_REQUESTED"))
        ):
            found.append(kind)
    return found


async def record(names: list[str]) -> None:
    async with time_skipping_server() as env:
        for scenario in SCENARIOS:
            if names and scenario.__name__ not in names:
                continue
            history = await play(env, scenario)
            path = HISTORIES / f"{scenario.__name__}.json"
            path.write_text(json.dumps(_anonymous(history.to_json_dict()), separators=(",", ":")) + "\n")
            sys.stdout.write(f"{path.name}: {len(history.events)} events, {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
