"""What people are told of a session whose worker cannot get on with it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from overnight.base.settings import Settings
from overnight.client import Sessions
from tests.workflows.conftest import Bench, until, workers
from tests.workflows.fakes import Working, World
from workflows.contracts.state import SessionStart, Status
from workflows.contracts.status import SessionStatus


@workflow.defn(name="AutonomousSession", sandboxed=False)
class Broken:
    """A session that its worker fails on, as by a bug."""

    @workflow.run
    async def run(self, start: SessionStart) -> None:
        raise RuntimeError("a bug")


def asking(env: WorkflowEnvironment, home: Path, queue: str) -> Sessions:
    return Sessions(env.client, Settings(home=home), ui_url=None, task_queue=queue)


@pytest.mark.chaos
async def test_a_cancel_that_the_session_cannot_take_says_so(env: WorkflowEnvironment, tmp_path: Path) -> None:
    bench = Bench(env, World(), f"q-{uuid4().hex[:8]}")
    handle = await bench.start(real_time=True)
    sessions = asking(env, tmp_path, bench.queue)

    async def stuck() -> SessionStatus | None:
        known = await sessions.status(handle.id)
        return known if known.reason else None

    failing = Worker(
        env.client, task_queue=bench.queue, workflows=[Broken], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with failing:
        known = await until(stuck)
        told = await sessions.cancel(handle.id)
    assert known.reason.startswith("the worker fails on this session")
    assert "nothing is lost" in known.next
    assert (told.accepted, told.taken) == (True, False)
    assert "has not taken it yet (" in told.next
    assert f"temporal workflow terminate --workflow-id {handle.id} --address" in told.next
    await handle.terminate()


async def test_a_cancel_without_a_worker_is_kept(env: WorkflowEnvironment, tmp_path: Path) -> None:
    bench = Bench(env, World(), f"q-{uuid4().hex[:8]}")
    handle = await bench.start(real_time=True)
    told = await asking(env, tmp_path, bench.queue).cancel(handle.id)
    assert (told.accepted, told.taken) == (True, False)
    assert "when one is back" in told.next
    async with workers(env, bench.queue, bench.world):
        assert (await handle.result()).status is Status.CANCELLED


async def test_a_cancel_that_is_taken_says_that_it_ends(env: WorkflowEnvironment, tmp_path: Path) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    bench = Bench(env, world, f"q-{uuid4().hex[:8]}")
    async with workers(env, bench.queue, world):
        handle = await bench.start()
        await working.started.wait()
        told = await asking(env, tmp_path, bench.queue).cancel(handle.id)
        assert (told.accepted, told.taken) == (True, True)
        assert told.next.startswith("It ends;")
        working.enough.set()
        assert (await handle.result()).status is Status.CANCELLED
