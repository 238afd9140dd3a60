"""A real stack with a scripted model, and clients in front of the MCP server: in memory and over stdio."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
import pytest_asyncio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

import mcp_server
from overnight import stack
from overnight.base.settings import Settings
from overnight.demo.reply import Fault, Say
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from overnight.mcp.engine import Engine
from overnight.stack import Process
from overnight.stack.processes import end
from tests.processes import left_behind, named
from tests.sessions.plays import CHECK, GOAL, WRITES_IT, by_iteration, play

ROOT = Path(__file__).parent.parent.parent

Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = ("auto", "legacy")
LONG = [pytest.mark.chaos, pytest.mark.timeout(300)]
"""For what takes many seconds."""
NEWEST_FIRST = ["auto", pytest.param("legacy", marks=LONG)]
"""Each time with the newest protocol, and with the older one when there is time."""

FOREIGN = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OVERNIGHT_TRACES",
)
"""What the person who runs the tests may have set, and the tests must not see."""


class Stage(Scenario):
    """Plays a scenario of its own for each session, the usual one for any other."""

    def __init__(self) -> None:
        super().__init__([])
        self.plays: dict[str, Scenario] = {}
        self.ids = count(1)
        """For all homes whose sessions play here: two of one name would play the same and be taken for one."""
        self.usual = play(by_iteration(WRITES_IT))

    def reply(self, request: Request) -> Say | Fault:
        return self.plays.get(request.session, self.usual).reply(request)


@dataclass
class Place:
    """A home, the model that its worker talks to, and clients."""

    settings: Settings
    model: ScriptedModel
    stage: Stage

    def name(self, scenario: Scenario | None = None) -> str:
        """A session id that nobody has, with a play of its own."""
        name = f"session-{next(self.stage.ids)}"
        if scenario is not None:
            self.stage.plays[name] = scenario
        return name

    @asynccontextmanager
    async def client(self, mode: Mode = "auto", engine: Engine | None = None) -> AsyncIterator[Client]:
        """A client of a server in this process."""
        server = mcp_server.build(engine or Engine(self.settings))
        async with Client(server, mode=mode) as client:
            yield client

    @asynccontextmanager
    async def stdio(self, mode: Mode = "auto") -> AsyncIterator[Client]:
        """A client of a server process of its own."""
        async with Client(self.parameters(), mode=mode) as client:
            yield client

    def parameters(self, *args: str) -> StdioServerParameters:
        return StdioServerParameters(
            command=sys.executable, args=list(args) or [str(ROOT / "mcp_server.py")], env=self.environment(), cwd=ROOT
        )

    def environment(self) -> dict[str, str]:
        return {**os.environ, "OVERNIGHT_HOME": str(self.settings.home), "PYTHONPATH": str(ROOT)}

    def asked(self, session_id: str, phase: str) -> list[Request]:
        """What the model was asked by one session in one phase."""
        return [r for r in self.model.requests if r.session == session_id and r.phase == phase]


@pytest_asyncio.fixture(scope="session")
async def credentials() -> AsyncIterator[tuple[ScriptedModel, Stage]]:
    """A scripted model, and an environment whose credential leads to it."""
    stage = Stage()
    async with ScriptedModel(stage, keep=5_000) as model:
        with pytest.MonkeyPatch.context() as patch:
            of_nobody(patch, model)
            yield model, stage


def of_nobody(patch: pytest.MonkeyPatch, model: ScriptedModel) -> None:
    """Put an environment in place in which nobody has chosen anything, and whose credential leads to ``model``."""
    for name in FOREIGN:
        patch.delenv(name, raising=False)
    patch.setenv("ANTHROPIC_API_KEY", "sk-test")
    patch.setenv("ANTHROPIC_BASE_URL", model.url)


@asynccontextmanager
async def a_place(model: ScriptedModel, stage: Stage) -> AsyncIterator[Place]:
    """A home that nobody used, whose stack is ended in the end."""
    home = Path(tempfile.mkdtemp(prefix="ov-", dir="/tmp")).resolve()
    settings = Settings(home=home / "h", grace_seconds=1)
    try:
        yield Place(settings, model, stage)
    finally:
        found = stack.find(settings)
        for process in (found.supervisor, found.worker, found.server) if found else ():
            await asyncio.to_thread(end, process, 3.0)
        await asyncio.to_thread(stack.down, settings)
        left = await left_behind(lambda: named(home))
        for one in left:
            os.kill(one, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)
        assert left == set()


@pytest_asyncio.fixture(scope="session")
async def place(credentials: tuple[ScriptedModel, Stage]) -> AsyncIterator[Place]:
    """The home that most tests share, with its stack up."""
    async with a_place(*credentials) as place:
        await asyncio.to_thread(stack.ensure_up, place.settings, wait_seconds=180)
        yield place


@pytest_asyncio.fixture(scope="session")
async def done(place: Place) -> str:
    """A session that has reached its goal, for all who only look at it."""
    sid = place.name()
    async with place.client() as client:
        await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK, session_id=sid)
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], until="end", timeout_seconds=240)
    assert waited["status"] == "completed", waited
    return sid


@pytest_asyncio.fixture(scope="module")
async def empty_place(credentials: tuple[ScriptedModel, Stage]) -> AsyncIterator[Place]:
    """A home of the module's own, in which nothing runs yet."""
    async with a_place(*credentials) as place:
        yield place


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project with one commit."""
    path = tmp_path / "project"
    path.mkdir()
    (path / "README.md").write_text("# greeter\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *author, *command], cwd=path, check=True)
    (path / "notes.txt").write_text("not committed\n")
    return path


NOT_YET = r"call again in|Temporal does not answer \(no answer within|worker offline or busy|away or busy"
LATE = "got no answer in time|no worker answered within"
"""What may have been done all the same: nothing for what is not to be done twice."""


async def call(client: Client, tool: str, meta: Any = None, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool that must succeed, now or when it says that it is to be called again."""
    result = await patiently(client, tool, arguments, meta)
    assert not result.is_error, text_of(result)
    answer = result.structured_content
    assert isinstance(answer, dict)
    assert len(text_of(result)) <= 40_000
    assert answer["next"]
    return answer


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that must fail; that nobody has the time to look is believed the third time only."""
    for _ in range(3):
        result = await patiently(client, tool, arguments, not_yet="is still being started")
        if not (result.is_error and re.search(NOT_YET, text_of(result))):
            break
    assert result.is_error, result.structured_content
    said = text_of(result)
    assert "Traceback" not in said
    assert "errors.pydantic.dev" not in said
    return said


async def patiently(
    client: Client, tool: str, arguments: dict[str, Any], meta: Any = None, not_yet: str = NOT_YET
) -> CallToolResult:
    """The result of a call; on a busy machine that of a later one, for as long as it says ``not_yet``, a pattern."""
    once = tool == "claude_autonomous_steer" or (tool == "claude_autonomous" and "session_id" not in arguments)
    later = not_yet if once else f"{not_yet}|{LATE}"
    async with asyncio.timeout(180):
        while (result := await client.call_tool(tool, arguments, meta=meta)).is_error and re.search(
            later, text_of(result)
        ):
            if named := re.search(r"with session_id='([^']+)'", text_of(result)):
                arguments = {**arguments, "session_id": named[1]}
            await asyncio.sleep(0.2)
    return result


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


async def until(look: Callable[[], Any], *, seconds: float = 120, what: str = "") -> Any:
    """What ``look`` returns as soon as it is truthy."""
    async with asyncio.timeout(seconds):
        while not (result := look()):
            await asyncio.sleep(0.02)
    return result


def kill(process: Process | None) -> None:
    """End one process of a stack at once."""
    assert process is not None
    psutil.Process(process.pid).kill()
    assert end(process, 5.0)
