"""Worker versioning, by setting: a session goes on with the next version once that is the current one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from overnight.base.settings import Settings
from tests.workflows.conftest import Bench, temporal_binary
from tests.workflows.fakes import Working, World
from worker import versioning
from workflows.calls import turns_queue
from workflows.contracts.state import Status
from workflows.session import AutonomousSession
from workflows.step import PlanStep

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@asynccontextmanager
async def version(env: WorkflowEnvironment, queue: str, world: World, build: str) -> AsyncIterator[None]:
    chosen = versioning(Settings(build_id=build, deployment=queue))
    async with (
        Worker(env.client, task_queue=queue, workflows=[AutonomousSession, PlanStep], **chosen),
        Worker(env.client, task_queue=turns_queue(queue), activities=world.activities(), **chosen),
    ):
        yield


async def make_current(env: WorkflowEnvironment, queue: str, build: str) -> None:
    """What an operator does; the server may not have heard of the version yet."""
    address = env.client.service_client.config.target_host
    command = ["worker", "deployment", "set-current-version", "--deployment-name", queue, "--build-id", build]
    while True:
        done = await asyncio.create_subprocess_exec(
            temporal_binary(),
            *(*command, "--yes", "--address", address),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await done.wait() == 0:
            return
        await asyncio.sleep(0.1)


async def test_a_session_moves_to_the_current_version(env: WorkflowEnvironment) -> None:
    queue = f"q-{uuid4().hex[:8]}"
    working = Working()
    world = World(passes_at=2, before={"execute": working})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(version(env, queue, world, "one"))
        await make_current(env, queue, "one")
        handle = await Bench(env, world, queue).start()
        await working.started.wait()
        await stack.enter_async_context(version(env, queue, world, "two"))
        await make_current(env, queue, "two")
        working.enough.set()
        result = await handle.result()
        history = await handle.fetch_history()
    assert result.status is Status.COMPLETED
    builds = [
        e.workflow_task_completed_event_attributes.deployment_version.build_id
        for e in history.events
        if e.HasField("workflow_task_completed_event_attributes")
    ]
    assert (builds[0], builds[-1]) == ("one", "two")


def test_it_is_off_unless_somebody_asks_for_it() -> None:
    """Nothing at all is dispatched to a version that nobody made the current one."""
    assert versioning(Settings()) == {}
