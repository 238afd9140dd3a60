"""Thousands of messages that come at once: the session hears what matters, and goes on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

import worker as program
from activities.claude import Gateway
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from overnight.base.settings import Settings
from overnight.base.thinking import patient
from tests.workflows.conftest import Bench, Handle, reaches, said, workers
from tests.workflows.fakes import World
from workflows.contracts.state import Status
from workflows.heard import CROWD

MORE = 60
GARBAGE = {"when": "x" * 50}


async def crowd(env: WorkflowEnvironment, world: World, *signals: tuple[str, Any]) -> tuple[Bench, Handle]:
    """A session that has got all these messages, in this order, before anybody listens."""
    bench = Bench(env, world, f"q-{uuid4().hex[:8]}")
    handle = await bench.start(real_time=True)
    for name, payload in signals:
        await handle.signal(name, payload)
    return bench, handle


async def test_what_changes_nothing_is_counted_in_one_event(env: WorkflowEnvironment) -> None:
    world = World(passes_at=1)
    sent = [("pause", GARBAGE), ("resume", None), ("nonsense", "?")]
    messages = [sent[i % 3] for i in range(CROWD + MORE)]
    bench, handle = await crowd(env, world, *messages)
    async with workers(env, bench.queue, world):
        assert (await handle.result()).status is Status.COMPLETED
        texts = await said(handle)
        assert [t for t in texts if "at the same moment" in t] == [
            f"and {MORE} more messages at the same moment, which changed nothing"
        ]


@pytest.mark.parametrize(
    ("last", "ends"),
    [
        (("cancel", {"reason": "enough"}), Status.CANCELLED),
        (("pause", {"reason": "lunch", "when": "now"}), Status.PAUSED),
    ],
)
async def test_what_matters_is_heard_behind_a_crowd(
    env: WorkflowEnvironment, last: tuple[str, Any], ends: Status
) -> None:
    world = World(passes_at=1)
    bench, handle = await crowd(env, world, *[("pause", GARBAGE)] * (CROWD + 5), last, ("pause", GARBAGE))
    async with workers(env, bench.queue, world):
        status = await reaches(handle, ends)
        assert status.reason.endswith(last[1]["reason"])
        if ends is Status.PAUSED:
            await handle.signal("resume")
            assert (await handle.result()).status is Status.COMPLETED


async def test_a_resume_behind_a_crowd_ends_the_pause(env: WorkflowEnvironment) -> None:
    world = World(passes_at=1)
    bench, handle = await crowd(env, world, *[("pause", None)] * (CROWD + 5), ("resume", {"reason": "back"}))
    async with workers(env, bench.queue, world):
        assert (await handle.result()).status is Status.COMPLETED
        texts = await said(handle)
        assert any(t.startswith("resume: back") for t in texts)
        assert sum(t.startswith("pause (turn)") for t in texts) <= CROWD


def think() -> None:
    time.sleep(2.2)


@workflow.defn(sandboxed=False)
class Thinks:
    """Longer than the SDK lets a workflow think."""

    @workflow.run
    async def run(self) -> None:
        think()


async def test_a_workflow_that_thinks_for_long_is_not_taken_for_hung(env: WorkflowEnvironment) -> None:
    queue = f"q-{uuid4().hex[:8]}"
    deciding = Worker(env.client, task_queue=queue, workflows=[Thinks], workflow_runner=UnsandboxedWorkflowRunner())
    async with patient(deciding):
        handle = await env.client.start_workflow(Thinks.run, id=queue, task_queue=queue)
        await handle.result()
        history = await handle.fetch_history()
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in {e.event_type for e in history.events}


async def test_the_worker_that_decides_is_patient(env: WorkflowEnvironment, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    host = Host.of(settings, Gateway(lambda: None), Launcher(settings, await asyncio.to_thread(find_isolation)))
    deciding = [w._workflow_worker for w in program.workers(env.client, host, settings, f"q-{uuid4().hex[:8]}")]
    assert [d._deadlock_timeout_seconds for d in deciding if d is not None] == [60]
