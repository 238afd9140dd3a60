"""A time-skipping Temporal server (the dev server's own) and workers with typed fakes."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest_asyncio
from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.workflows.fakes import World, spec
from workflows.calls import turns_queue
from workflows.contracts.state import SessionResult, SessionStart
from workflows.contracts.status import SessionStatus
from workflows.gated import SEARCH_ATTRIBUTES
from workflows.session import AutonomousSession


def temporal_binary() -> str:
    return shutil.which("temporal") or str(Path(sysconfig.get_path("scripts")) / "temporal")


@pytest_asyncio.fixture(scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    flags = [
        "frontend.WorkflowTimeSkippingEnabled=true",
        "history.transferProcessorMaxPollRPS=1000",
        "history.timerProcessorMaxPollRPS=1000",
        "history.visibilityProcessorMaxPollRPS=1000",
        'history.timerProcessorMaxTimeShift="10ms"',
    ]
    started = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_extra_args=[arg for flag in flags for arg in ("--dynamic-config-value", flag)],
    )
    yield started
    await started.shutdown()


@dataclass
class Bench:
    """A worker with fakes, and a way to start sessions on it."""

    env: WorkflowEnvironment
    world: World
    queue: str

    async def start(self, **changes: Any) -> WorkflowHandle[AutonomousSession, SessionResult]:
        session_id = f"test-{uuid4().hex[:12]}"
        return await self.env.client.start_workflow(
            AutonomousSession.run,
            SessionStart(spec=spec(session_id, **changes)),
            id=session_id,
            task_queue=self.queue,
            memo={"glance": {"goal": "write a poem"}},
            execution_timeout=timedelta(days=30),
        )

    async def run(self, **changes: Any) -> SessionResult:
        handle = await self.start(**changes)
        return await handle.result()


NewBench = Callable[[World], Awaitable[Bench]]


@pytest_asyncio.fixture
async def new_bench(env: WorkflowEnvironment) -> AsyncIterator[NewBench]:
    async with AsyncExitStack() as stack:

        async def make(world: World) -> Bench:
            queue = f"q-{uuid4().hex[:8]}"
            await stack.enter_async_context(_workers(env, queue, world))
            return Bench(env, world, queue)

        yield make


@asynccontextmanager
async def _workers(env: WorkflowEnvironment, queue: str, world: World) -> AsyncIterator[None]:
    workflows = Worker(
        env.client,
        task_queue=queue,
        workflows=[AutonomousSession],
        # A bug in workflow code fails the test instead of hanging it.
        workflow_failure_exception_types=[Exception],
    )
    turns = Worker(
        env.client,
        task_queue=turns_queue(queue),
        activities=world.activities(),
        max_heartbeat_throttle_interval=timedelta(milliseconds=50),
    )
    async with workflows, turns:
        yield


async def eventually(
    handle: WorkflowHandle[AutonomousSession, SessionResult], holds: Callable[[SessionStatus], bool]
) -> SessionStatus:
    """The session's status as soon as ``holds`` is true of it; the test's own time limit is the deadline."""
    import asyncio

    while True:
        status = await handle.query(AutonomousSession.status)
        if holds(status):
            return status
        await asyncio.sleep(0.05)
