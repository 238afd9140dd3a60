"""A run of a workflow that can take no more signals: Temporal's own limit, made small."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.errors import SignalsExhaustedError
from tests.workflows.conftest import Bench, eventually, temporal_binary, workers
from tests.workflows.fakes import Working, World
from workflows.contracts.state import Status
from workflows.gated import SEARCH_ATTRIBUTES

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

MOST = 5


@asynccontextmanager
async def few(home: Path, world: World) -> AsyncIterator[tuple[WorkflowEnvironment, Sessions]]:
    """A server that lets a run take ``MOST`` signals, with workers."""
    started = await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_extra_args=["--dynamic-config-value", f"history.maximumSignalsPerExecution={MOST}"],
    )
    async with started as env, workers(env, "few", world):
        yield env, Sessions(env.client, Settings(home=home), ui_url=None, task_queue="few")


async def test_a_session_that_takes_no_more_messages_can_be_cancelled(tmp_path: Path) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    async with few(tmp_path, world) as (env, sessions):
        handle = await Bench(env, world, "few").start()
        name = handle.id
        await working.started.wait()
        for _ in range(MOST):
            await sessions.steer(name, "Be quick.")
        with pytest.raises(SignalsExhaustedError, match=f"overnight cancel {name}"):
            await sessions.steer(name, "Be quicker.")
        assert (await sessions.cancel(name)).accepted
        working.enough.set()
        assert (await handle.result()).status is Status.CANCELLED


async def test_one_that_was_paused_in_the_midst_of_something_can_be_resumed(tmp_path: Path) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    async with few(tmp_path, world) as (env, sessions):
        handle = await Bench(env, world, "few").start()
        name = handle.id
        await working.started.wait()
        for _ in range(MOST - 1):
            await sessions.steer(name, "Be quick.")
        await sessions.pause(name, when="now")
        await eventually(handle, lambda status: status.status is Status.PAUSED)
        working.enough.set()
        assert (await sessions.resume(name)).accepted
        assert (await handle.result()).status is Status.COMPLETED
