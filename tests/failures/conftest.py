"""Whole sessions with the real Claude Code, and a model's service that misbehaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.claude import Gateway, exchange, options, runner
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from overnight.base.credentials import Credential
from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.server import ScriptedModel
from tests.demo.prices import PRICES
from tests.failures.misbehaviour import Log
from tests.patience import long_answers
from tests.processes import boxes, left_behind
from tests.sessions.conftest import SECRET, Shop, patiently
from tests.workflows.conftest import temporal_binary
from worker import workers
from workflows import calls
from workflows.gated import SEARCH_ATTRIBUTES
from workflows.policy import limits

HEADERS_SECONDS = 6.0
"""What Claude Code waits for the head of an answer."""
SILENCE_SECONDS = 10.0
"""What Claude Code waits for the next byte of an answer: it knows no shorter time."""
MOST_TURNS = 6
"""Of an execute."""


@pytest_asyncio.fixture(scope="session")
async def engine() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server, with a namespace for workers in processes of their own."""
    flags = ("transferProcessorMaxPollRPS=1000", "visibilityProcessorMaxPollRPS=1000")
    started = await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_extra_args=["--namespace", "apart"]
        + [arg for flag in flags for arg in ("--dynamic-config-value", f"history.{flag}")],
    )
    async with started:
        yield started


@pytest.fixture(scope="session")
def impatient() -> Iterator[None]:
    """The same bounds as always, but shorter: tries that Temporal makes again, and what counts as silence."""

    def environment(access: dict[str, str], config: Path) -> dict[str, str]:
        return {
            **options.environment(access, config),
            "API_TIMEOUT_MS": f"{HEADERS_SECONDS * 1000:.0f}",
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": f"{SILENCE_SECONDS * 1000:.0f}",
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "RETRY", replace(calls.RETRY, initial_interval=timedelta(milliseconds=200)))
        # Where many sessions share a few slots, a busy host is not a lost one.
        patch.setattr(calls, "AT_HOST", timedelta(minutes=5))
        patch.setattr(runner, "environment", environment)
        patch.setattr(exchange, "PATIENCE_SECONDS", HEADERS_SECONDS / 2)
        patch.setitem(limits.MAX_TURNS, "execute", MOST_TURNS)
        yield


class Installation(Shop):
    """A shop whose customers have patience."""

    async def resume(self, session_id: str) -> None:
        await patiently(lambda: self.sessions.resume(session_id))

    async def told(self, session_id: str) -> list[str]:
        """The texts of a session's events."""
        return [event.text for event in (await patiently(lambda: self.sessions.events(session_id))).events]

    def billed(self, session_id: str) -> float:
        """USD that the service told of, for all requests of a session."""
        asked = [x for x in self.model.exchanges if x.request.session == session_id]
        return sum(x.usage.cost_usd(PRICES[x.request.model]) for x in asked)


@asynccontextmanager
async def install(
    engine: WorkflowEnvironment, home: Path, queue: str, *, upstream: str = "", **chosen: Any
) -> AsyncIterator[Installation]:
    """An installation in this process with a task queue of its own; ``upstream`` in place of its scripted model."""
    settings = Settings(home=home, grace_seconds=1, **chosen)
    stage = Log()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage, keep=5_000))
        credential = Credential(kind="api_key", secret=SecretStr(SECRET), source="test", upstream=upstream or model.url)
        gateway = await stack.enter_async_context(Gateway(lambda: credential).running())
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        stack.callback(host.knowledge.close)
        for worker in workers(engine.client, host, settings, queue):
            await stack.enter_async_context(worker)
        sessions = Sessions(engine.client, settings, ui_url=None, task_queue=queue)
        yield Installation(sessions, model, stage, settings, host, engine, "")


@pytest_asyncio.fixture(scope="module")
async def shop(
    request: pytest.FixtureRequest,
    engine: WorkflowEnvironment,
    impatient: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    """An installation for the tests of a module; several calls at once, since most of them wait."""
    del impatient
    name = request.module.__name__.rpartition("_")[2]
    async with install(engine, tmp_path_factory.mktemp(name), name, turn_slots=6) as opened:
        yield opened


@pytest.fixture(scope="package", autouse=True)
def patient() -> Iterator[None]:
    with long_answers():
        yield


@pytest_asyncio.fixture(scope="module", autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """After each module no sandbox of its own runs."""
    before = boxes()
    yield
    assert await left_behind(boxes, before) == set()
