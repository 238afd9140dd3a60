"""A time-skipping Temporal server (the dev server's own) and workers with typed fakes."""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest_asyncio
from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from overnight.base.thinking import patient
from tests.workflows.fakes import World, spec
from workflows.calls import turns_queue
from workflows.contracts.state import SessionResult, SessionStart, Status
from workflows.contracts.status import SessionStatus
from workflows.gated import OWNER, SEARCH_ATTRIBUTES
from workflows.session import AutonomousSession
from workflows.step import PlanStep

T = TypeVar("T")
Handle = WorkflowHandle[AutonomousSession, SessionResult]

FLAGS = [
    "frontend.WorkflowTimeSkippingEnabled=true",
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    "history.visibilityProcessorMaxPollRPS=1000",
    'history.timerProcessorMaxTimeShift="10ms"',
]


def temporal_binary() -> str:
    return shutil.which("temporal") or str(Path(sysconfig.get_path("scripts")) / "temporal")


@asynccontextmanager
async def time_skipping_server(*more_flags: str) -> AsyncIterator[WorkflowEnvironment]:
    started = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_extra_args=[arg for flag in [*FLAGS, *more_flags] for arg in ("--dynamic-config-value", flag)],
    )
    async with started:
        yield started


@pytest_asyncio.fixture(scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with time_skipping_server() as started:
        yield started


@dataclass
class Bench:
    """A worker with fakes, and a way to start sessions on it."""

    env: WorkflowEnvironment
    world: World
    queue: str

    async def start(
        self,
        *,
        real_time: bool = False,
        start_signal: str | None = None,
        signal_args: list[Any] | None = None,
        owner: str | None = None,
        **changes: Any,
    ) -> Handle:
        """A session; with ``real_time`` its timers are real, to look at it while it waits."""
        with self.env.with_time_skipping_disabled() if real_time else nullcontext():
            return await self._start(start_signal, signal_args or [], owner, changes)

    async def _start(
        self, start_signal: str | None, signal_args: list[Any], owner: str | None, changes: dict[str, Any]
    ) -> Handle:
        session_id = f"test-{uuid4().hex[:12]}"
        return await self.env.client.start_workflow(
            AutonomousSession.run,
            SessionStart(spec=spec(session_id, **changes)),
            id=session_id,
            task_queue=self.queue,
            memo={"glance": {"goal": "write a poem"}},
            static_summary="write a poem",
            static_details="# the goal\n\nwrite a poem",
            start_signal=start_signal,
            start_signal_args=signal_args,
            search_attributes=TypedSearchAttributes([SearchAttributePair(OWNER, owner)] if owner else []),
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
            await stack.enter_async_context(workers(env, queue, world))
            return Bench(env, world, queue)

        yield make


@asynccontextmanager
async def workers(
    env: WorkflowEnvironment,
    queue: str,
    world: World,
    *,
    decide: bool = True,
    act: bool = True,
    host: str | None = None,
) -> AsyncIterator[None]:
    """Whoever decides, and whoever acts: on calls that any host may take, or on those of one ``host``."""
    async with AsyncExitStack() as stack:
        if decide:
            decides = Worker(
                env.client,
                task_queue=queue,
                workflows=[AutonomousSession, PlanStep],
                activities=world.light(),
                # A bug in workflow code fails the test instead of hanging it.
                workflow_failure_exception_types=[Exception],
            )
            await stack.enter_async_context(patient(decides))
        if act:
            acts = Worker(
                env.client,
                task_queue=turns_queue(queue, host),
                activities=world.activities(),
                max_heartbeat_throttle_interval=timedelta(milliseconds=50),
            )
            await stack.enter_async_context(acts)
        yield


async def until(holds: Callable[[], Awaitable[T | None]]) -> T:
    """The answer as soon as there is one; the test's own time limit is the deadline."""
    while True:
        if answer := await holds():
            return answer
        await asyncio.sleep(0.03)


async def eventually(handle: Handle, holds: Callable[[SessionStatus], bool]) -> SessionStatus:
    """The session's status as soon as ``holds`` is true of it."""

    async def asked() -> SessionStatus | None:
        try:
            status = await handle.query(AutonomousSession.status)
        except RPCError as problem:
            if problem.status is RPCStatusCode.FAILED_PRECONDITION:
                return None  # a run that was continued just now has not begun yet
            raise
        return status if holds(status) else None

    return await until(asked)


async def reaches(handle: Handle, wanted: Status) -> SessionStatus:
    return await eventually(handle, lambda s: s.status is wanted)


async def said(handle: Handle) -> list[str]:
    """The texts of the session's events."""
    return [e.text for e in (await handle.query(AutonomousSession.events)).events]


def activities_of(history: WorkflowHistory) -> list[str]:
    """The activities that a history shows, in order."""
    return [
        e.activity_task_scheduled_event_attributes.activity_type.name
        for e in history.events
        if e.HasField("activity_task_scheduled_event_attributes")
    ]


def timers_of(history: WorkflowHistory) -> list[float]:
    """Seconds of the timers that a history shows, in order."""
    return [
        e.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
        for e in history.events
        if e.HasField("timer_started_event_attributes")
    ]
