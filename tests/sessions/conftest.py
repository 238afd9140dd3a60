"""Whole sessions on real parts: dev server, worker, gateway, sandbox, git, Claude Code; only replies are scripted."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
import structlog
from pydantic import SecretStr
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.claude import Gateway
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from overnight.base.credentials import Credential
from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.reply import Fault, Say
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from overnight.errors import UnreachableError
from overnight.request import NewSession
from tests.patience import long_answers
from tests.processes import boxes, left_behind
from tests.sessions.plays import CHECK, GOAL
from tests.workflows.conftest import temporal_binary
from worker import workers
from workflows.contracts.status import SessionStatus
from workflows.gated import SEARCH_ATTRIBUTES

T = TypeVar("T")

log = structlog.get_logger()

SECRET = "sk-ant-the-real-secret-of-the-worker"
_NUMBERS = count(1)
_TAKEN: set[tuple[str, str]] = set()
"""Servers and ids of sessions. One that is there already would be looked at in place of the test's own."""


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` brings, on a machine so busy that nobody answers within the bounds of a client."""
    while True:
        try:
            return await ask()
        except UnreachableError:
            continue


class Stage(Scenario):
    """Plays a scenario of its own for each session."""

    def __init__(self) -> None:
        super().__init__([])
        self.plays: dict[str, Scenario] = {}

    def reply(self, request: Request) -> Say | Fault:
        play = self.plays.get(request.session)
        # An approach is played by its session's play.
        return (play or self.plays[request.session.rpartition("-")[0].rpartition("-")[0]]).reply(request)


@dataclass
class Shop:
    """Everything that a test of whole sessions needs."""

    sessions: Sessions
    model: ScriptedModel
    stage: Stage
    settings: Settings
    host: Host
    env: WorkflowEnvironment
    http_address: str
    """Of the server's HTTP API, which the Web UI talks to."""
    started: list[str] = field(default_factory=list)

    async def start(self, scenario: Scenario, **given: Any) -> str:
        """Start a session with a play of its own; returns its id."""
        session_id: str = given.pop("session_id", "") or f"test-{next(_NUMBERS)}"
        mine = (self.env.client.service_client.config.target_host, session_id)
        assert mine not in _TAKEN, f"another test of this process has a session {session_id} on the same server"
        _TAKEN.add(mine)
        self.stage.plays[session_id] = scenario
        asked = {"goal": GOAL, "validation_command": CHECK, **given}
        await patiently(lambda: self.sessions.start(NewSession.parse(session_id=session_id, **asked)))
        self.started.append(session_id)
        return session_id

    async def until(self, session_id: str, holds: Callable[[SessionStatus], bool]) -> SessionStatus:
        """The status as soon as ``holds`` is true of it; the test's own time limit is the deadline.

        What Temporal alone tells while the worker is busy is not all of it: it knows no more of costs than their sum.
        """
        told: object = None
        while True:
            known = await patiently(lambda: self.sessions.status(session_id))
            if told != (told := (known.status, known.worker, known.phase, known.reason)):
                log.info("seen", session=session_id, status=known.status, worker=known.worker, reason=known.reason)
            whole = known.worker == "online" and bool(known.usage.calls or not known.cost_usd)
            if whole and holds(known):
                return known
            await asyncio.sleep(0.05)

    async def end(self, session_id: str) -> SessionStatus:
        """The status once the session is over or needs a person."""
        return await self.until(
            session_id, lambda s: s.status.is_final or s.status.value in {"paused", "waiting_limit"}
        )

    async def run(self, scenario: Scenario, **given: Any) -> SessionStatus:
        return await self.end(await self.start(scenario, **given))

    def asked(self, session_id: str, phase: str) -> list[Request]:
        """What the model was asked by one session in one phase."""
        return [r for r in self.model.requests if r.session == session_id and r.phase == phase]

    async def history(self, session_id: str) -> str:
        return (await self.env.client.get_workflow_handle(session_id).fetch_history()).to_json()


@asynccontextmanager
async def open_shop(home: Path) -> AsyncIterator[Shop]:
    """Everything, running, with its state in ``home``."""
    settings = Settings(home=home, grace_seconds=1)
    stage = Stage()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        http_port = probe.getsockname()[1]
    async with AsyncExitStack() as stack:
        env = await stack.enter_async_context(
            await WorkflowEnvironment.start_local(
                data_converter=pydantic_data_converter,
                dev_server_existing_path=temporal_binary(),
                dev_server_log_level="error",
                search_attributes=SEARCH_ATTRIBUTES,
                dev_server_extra_args=["--http-port", str(http_port)]
                + [
                    arg
                    for flag in ("transferProcessorMaxPollRPS=1000", "visibilityProcessorMaxPollRPS=1000")
                    for arg in ("--dynamic-config-value", f"history.{flag}")
                ],
            )
        )
        model = await stack.enter_async_context(ScriptedModel(stage, keep=5_000))
        credential = Credential(kind="api_key", secret=SecretStr(SECRET), source="test", upstream=model.url)
        gateway = await stack.enter_async_context(Gateway(lambda: credential).running())
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        stack.callback(host.knowledge.close)
        for worker in workers(env.client, host, settings):
            await stack.enter_async_context(worker)
        yield Shop(
            Sessions(env.client, settings, ui_url=None), model, stage, settings, host, env, f"127.0.0.1:{http_port}"
        )


@pytest_asyncio.fixture(scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(scope="package", autouse=True)
def patient() -> Iterator[None]:
    with long_answers():
        yield


@pytest_asyncio.fixture(autouse=True)
async def no_process_left(shop: Shop) -> AsyncIterator[None]:
    """After each test nothing of a finished session's sandbox runs. What other tests keep for all of them may."""
    before = boxes()
    yield
    assert await left_behind(boxes, before) == set()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A person's project."""
    return make_repository(tmp_path / "project")


def make_repository(path: Path) -> Path:
    """A project with one commit and uncommitted changes."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    (path / "README.md").write_text("# greeter\n")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "Begin")
    (path / "README.md").write_text("# greeter, being edited\n")
    (path / "notes.txt").write_text("not committed\n")
    return path


def git(path: Path, *args: str) -> str:
    """The person's own git."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *args], cwd=path, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def fingerprint(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file under ``path``, ``.git`` included: mode, time of change, content."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for file in sorted(path.rglob("*")):
        stat = file.lstat()
        content = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
        found[str(file.relative_to(path))] = (stat.st_mode, stat.st_mtime_ns, content)
    return found
