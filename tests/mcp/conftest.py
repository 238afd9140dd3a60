"""A real stack with a scripted model, and clients in front of the MCP server: in memory and over stdio."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
from tests.sessions.plays import WRITES_IT, by_iteration, play

ROOT = Path(__file__).parent.parent.parent

Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = ("auto", "legacy")

FOREIGN = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_PROFILE",
    "TEMPORAL_CONFIG_FILE",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
)
"""What the person who runs the tests may have set, and the tests must not see."""


class Stage(Scenario):
    """Plays a scenario of its own for each session, the usual one for any other."""

    def __init__(self) -> None:
        super().__init__([])
        self.plays: dict[str, Scenario] = {}
        self.usual = play(by_iteration(WRITES_IT))

    def reply(self, request: Request) -> Say | Fault:
        return self.plays.get(request.session, self.usual).reply(request)


@dataclass
class Place:
    """A home, the model that its worker talks to, and clients."""

    settings: Settings
    model: ScriptedModel
    stage: Stage
    ids: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000)))

    def name(self, scenario: Scenario | None = None) -> str:
        """A session id that nobody has, with a play of its own."""
        name = f"session-{next(self.ids)}"
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
            for name in FOREIGN:
                patch.delenv(name, raising=False)
            patch.setenv("ANTHROPIC_API_KEY", "sk-test")
            patch.setenv("ANTHROPIC_BASE_URL", model.url)
            yield model, stage


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
        left = [p for p in psutil.process_iter(["cmdline"]) if any(str(home) in a for a in p.info["cmdline"] or [])]
        for one in left:
            one.kill()
        shutil.rmtree(home, ignore_errors=True)
        assert left == []


@pytest_asyncio.fixture(scope="session")
async def place(credentials: tuple[ScriptedModel, Stage]) -> AsyncIterator[Place]:
    """The home that most tests share, with its stack up."""
    async with a_place(*credentials) as place:
        await asyncio.to_thread(stack.ensure_up, place.settings, wait_seconds=60)
        yield place


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


async def call(client: Client, tool: str, meta: Any = None, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool that must succeed."""
    result = await client.call_tool(tool, arguments, meta=meta)
    assert not result.is_error, text_of(result)
    answer = result.structured_content
    assert isinstance(answer, dict)
    assert len(text_of(result)) <= 40_000
    assert answer["next"]
    return answer


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that must fail."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    said = text_of(result)
    assert "Traceback" not in said
    assert "errors.pydantic.dev" not in said
    return said


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


async def until(look: Callable[[], Any], *, seconds: float = 20, what: str = "") -> Any:
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
