"""The server over HTTP as processes: two behind one address, and the end of one with calls under way."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ElicitRequestParams, ElicitResult, ToolAnnotations
from pydantic import BaseModel

import mcp_server
from overnight.base.settings import Settings
from overnight.demo.reply import Hang
from overnight.errors import UnreachableError
from overnight.mcp import access, callers, guard, http
from overnight.mcp.engine import Engine
from overnight.mcp.server import OvernightServer
from overnight.mcp.tokens import Registry
from tests.mcp.conftest import MODES, ROOT, Mode, Place, call, text_of
from tests.mcp.over_http import LIST, Served, caller, client_of, given, served, token_of
from tests.sessions.plays import CHECK, GOAL, WRITES_IT, by_iteration, play

ADA = token_of("ada", "read+control")


@dataclass
class Up:
    """A server process that listens."""

    process: asyncio.subprocess.Process
    url: str
    said: list[str]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])


@asynccontextmanager
async def a_process(place: Place, **variables: str) -> AsyncIterator[Up]:
    tokens = {"OVERNIGHT_MCP_TOKENS": ",".join(given(("ada", "read+control"))), "OVERNIGHT_MCP_HOSTS": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "overnight.cli", "mcp", "--http", "--port", "0"),
        cwd=ROOT,
        env={**place.environment(), **tokens, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said: list[str] = []
    assert process.stderr is not None
    try:
        url = None
        async with asyncio.timeout(120):
            while url is None:
                line = (await process.stderr.readline()).decode()
                assert line, said
                said.append(line)
                url = json.loads(line).get("url") if line.startswith("{") else None
        reading = asyncio.create_task(_read(process.stderr, said))
        yield Up(process, url, said)
        reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Traceback" not in "".join(said)


async def _read(stream: asyncio.StreamReader, said: list[str]) -> None:
    while line := await stream.readline():
        said.append(line.decode())


@asynccontextmanager
async def balanced(*ports: int) -> AsyncIterator[tuple[str, Counter[int]]]:
    """One address before several, which gives each connection to the next; how many each one got."""
    turns, got = itertools.cycle(ports), Counter[int]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = next(turns)
        got[port] += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp", got
    finally:
        server.close()


@asynccontextmanager
async def restless(url: str, mode: Mode, **options: Any) -> AsyncIterator[Client]:
    """A client with a connection of its own for each request."""
    headers = {"Authorization": f"Bearer {ADA}", "Connection": "close"}
    async with caller(headers=headers, timeout=60) as requests:
        async with Client(streamable_http_client(url, http_client=requests), mode=mode, **options) as client:
            yield client


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_two_processes_behind_one_address_are_one_server(place: Place) -> None:
    async with a_process(place) as one, a_process(place) as other:
        async with balanced(one.port, other.port) as (url, got):
            sid = place.name()
            asked = {"goal": GOAL, "validation_command": CHECK, "session_id": sid}
            async with restless(url, "auto") as client:
                for existed in (False, True, True):
                    assert (await call(client, "claude_autonomous", **asked))["existed"] is existed
                waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=55)
                assert waited["status"] == "completed", waited
            for mode in MODES:
                async with restless(url, mode) as client:
                    for tool in ("status", "status", "diff", "diff"):
                        known = await call(client, f"claude_autonomous_{tool}", session_id=sid)
                        assert known["status"] == "completed"
            assert min(got[one.port], got[other.port]) >= 6
            assert set(got) == {one.port, other.port}
        assert any("callers can start new projects only" in line for line in one.said)
        assert ADA not in "".join([*one.said, *other.said])


class Decision(BaseModel):
    yes: bool


def question(name: str) -> Elicit[Decision]:
    return Elicit(f"Deploy {name}?", Decision)


async def deploy(name: str, answer: Annotated[ElicitationResult[Decision], Resolve(question)]) -> str:
    return f"{name}: {isinstance(answer, AcceptedElicitation) and answer.data.yes}"


async def test_what_one_server_asked_the_other_takes_the_answer_to(place: Place) -> None:
    """A question comes back to the client with sealed state; the answer may reach any server with the same key."""
    settings = place.settings.model_copy(
        update={"mcp_tokens": given(("ada", "read+control")), "mcp_hosts": ["127.0.0.1"]}
    )
    asked: list[str] = []

    async def answering(_: object, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"yes": True})

    def made(key: str | None) -> OvernightServer:
        own = settings.model_copy(update={"mcp_state_key": key})
        server = mcp_server.build(Engine(own), http.request_state(own))
        server.add_tool(deploy, annotations=ToolAnnotations(read_only_hint=True))
        return server

    for keys, right in (((None, None), True), (("k" * 32, "k" * 32), True), (("k" * 32, "q" * 32), False)):
        async with served(settings, made(keys[0])) as one, served(settings, made(keys[1])) as other:
            async with balanced(one.port, other.port) as (url, _):
                async with restless(url, "auto", elicitation_callback=answering) as client:
                    for _ in range(2):  # whichever of them begins
                        said = ""
                        with suppress(MCPError):
                            said = text_of(await client.call_tool("deploy", {"name": "build 7"}))
                        assert (said == "build 7: True") == right, said
    assert set(asked) == {"Deploy build 7?"}


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
async def test_sigterm_answers_waits_and_leaves_sessions_alone(place: Place, mode: Mode) -> None:
    sid = place.name(play(by_iteration(WRITES_IT), plan=Hang()))
    async with a_process(place) as up:
        async with client_of(up.url, ADA, mode) as client:
            await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK, session_id=sid)
            began = asyncio.Event()

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                began.set()

            waiting = asyncio.create_task(
                client.call_tool(
                    "claude_autonomous_wait",
                    {"session_ids": [sid], "timeout_seconds": 600},
                    progress_callback=on_progress,
                )
            )
            await asyncio.wait_for(began.wait(), 120)
            up.process.send_signal(signal.SIGTERM)
            result = await asyncio.wait_for(waiting, 120)
            assert result.is_error
            assert "Nothing has happened to the sessions: wait again in 5 seconds." in text_of(result)
            assert await asyncio.wait_for(up.process.wait(), 120) == 0
    async with place.client() as local:
        assert (await call(local, "claude_autonomous_status", session_id=sid))["status"] in {"queued", "running"}
        await call(local, "claude_autonomous_cancel", session_id=sid)


@asynccontextmanager
async def listening(up: Served, token: str | None = None) -> AsyncIterator[AsyncIterator[str]]:
    """The lines that somebody hears who listens for changes, once the first of them is there."""
    version = "2026-07-28"
    meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
    listen = {**LIST, "method": "subscriptions/listen", "params": {"notifications": {}, "_meta": meta}}
    headers = {
        **up.bearer(token),
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "subscriptions/listen",
    }
    async with caller(timeout=60) as requests:
        async with requests.stream("POST", up.url, json=listen, headers=headers) as stream:
            assert stream.status_code == 200, await stream.aread()
            lines = stream.aiter_lines()
            assert await anext(lines)
            yield lines


async def cut(lines: AsyncIterator[str]) -> None:
    """Returns when a stream that has no end of its own was cut."""
    with pytest.raises(Exception, match=r"closed|incomplete") as broken:
        _ = [line async for line in lines]
    assert "Timeout" not in type(broken.value).__name__


async def test_listeners_do_not_hold_a_server_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LEAVE_SECONDS", 600)
    async with served(place.settings) as up, listening(up) as lines:
        up.serving.leave()  # and served waits for its end, for 15 s
        await cut(lines)


async def test_who_listens_hears_nothing_more_when_the_token_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guard.HOLDS_SECONDS <= 5
    monkeypatch.setattr(guard, "HOLDS_SECONDS", 0.05)
    settings = Settings(home=tmp_path / "home")
    registry = Registry(settings)
    async with served(settings) as up, listening(up) as open_to_all:
        _, hers = registry.add("ada", ["read"])
        await cut(open_to_all)  # from now on nobody listens without a token
        _, his = registry.add("bob", ["read"])
        async with listening(up, hers) as lines, listening(up, his) as others:
            registry.revoke("ada")
            await cut(lines)
            goes_on = asyncio.create_task(cut(others))
            await asyncio.wait({goes_on}, timeout=10 * guard.HOLDS_SECONDS)
            assert not goes_on.done(), "somebody else's stream was cut"
            registry.revoke("bob")
            await goes_on


async def test_a_wait_ends_when_its_token_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.HOLDS_SECONDS <= 5
    monkeypatch.setattr(access, "HOLDS_SECONDS", 0.05)
    settings = Settings(home=tmp_path / "home")
    registry = Registry(settings)
    _, plain = registry.add("ada", ["read"])

    async def sessions() -> None:
        """As while the engine is away: the wait goes on."""
        looked.set()
        raise UnreachableError("not there")

    looked = asyncio.Event()
    engine = Engine(settings)
    monkeypatch.setattr(engine, "sessions", sessions)
    async with served(settings, mcp_server.build(engine, http.request_state(settings))) as up:
        async with up.client(plain) as ada:
            arguments = {"session_ids": ["hers"], "timeout_seconds": 50}
            waiting = asyncio.create_task(ada.call_tool("claude_autonomous_wait", arguments))
            await asyncio.wait_for(looked.wait(), 120)
            registry.revoke("ada")
            told = await asyncio.wait_for(waiting, 120)
            assert (told.is_error, "revoked, or its time is over" in text_of(told)) == (True, True)


async def test_a_wait_tells_nothing_that_came_after_its_token_was_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "HOLDS_SECONDS", 600)
    tool = (await mcp_server.build(Engine(Settings())).list_tools())[0].model_copy(update={"name": "x_wait"})
    tool = tool.model_copy(update={"annotations": ToolAnnotations(read_only_hint=True)})
    there = True

    async def work() -> str:
        nonlocal there
        there = False
        return "a whole status"

    with callers.calling(callers.LOCAL, lambda: there), pytest.raises(ToolError, match="does not hold any more"):
        await access.Access().call(tool, work)


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_what_is_wrong_is_told_before_anything_listens(place: Place) -> None:
    async def ended(*arguments: str, **variables: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "overnight.cli", "mcp", *arguments),
            cwd=ROOT,
            env={**place.environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert out == b""
        assert b"Traceback" not in err
        return process.returncode, err.decode()

    for arguments, variables, code, words in (
        (("--http", "--host", "0.0.0.0"), {}, 6, "refusing to listen: 0.0.0.0 is reached from other machines"),  # noqa: S104
        (("--http",), {"OVERNIGHT_MCP_TOKENS": "x"}, 6, "OVERNIGHT_MCP_TOKENS: entry 1"),
    ):
        done = await ended(*arguments, **variables)
        assert (done[0], words in re.sub(r"\s+", " ", done[1])) == (code, True), done


async def test_the_command_line_starts_the_server_of_one_client(place: Place) -> None:
    async with Client(place.parameters("-m", "overnight.cli", "mcp")) as client:
        tools = await client.list_tools()
        assert "claude_autonomous" in {tool.name for tool in tools.tools}
        await call(client, "claude_autonomous_list")
