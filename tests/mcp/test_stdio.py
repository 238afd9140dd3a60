"""The server as a process: a clean standard output, and an end as soon as its client is gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.mcp.conftest import ROOT, Place

SERVER = [sys.executable, str(ROOT / "mcp_server.py")]
NOISY = [sys.executable, "-m", "tests.mcp.noisy"]

INITIALIZE = {
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
WAIT = {"name": "claude_autonomous_wait", "arguments": {"session_ids": ["session-of-stdio"], "timeout_seconds": 600}}


class Wire:
    """A server process, spoken to line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[bytes] = []
        self._ids = iter(range(1, 100))

    async def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await self.process.stdin.drain()

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        wanted = next(self._ids)
        await self.send({**message, "id": wanted})
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                self.lines.append(line)
                answer: dict[str, Any] = json.loads(line)
                if answer.get("id") == wanted:
                    return answer
        raise AssertionError("the server has ended")

    async def ended(self, seconds: float = 3) -> int:
        """The exit code; fails when the process, or one of its children, stays."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
        assert [c.pid for c in children if c.is_running()] == []
        return code


@asynccontextmanager
async def wire(place: Place, command: list[str]) -> AsyncIterator[Wire]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=place.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        limit=1_000_000,
    )
    try:
        spoken = Wire(process)
        answer = await spoken.ask(INITIALIZE)
        assert answer["result"]["serverInfo"]["name"] == "overnight"
        await spoken.send({"method": "notifications/initialized"})
        yield spoken
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_whatever_prints_the_output_is_json_rpc(place: Place) -> None:
    async with wire(place, NOISY) as spoken:
        answer = await spoken.ask({"method": "tools/call", "params": {"name": "noise", "arguments": {}}})
        assert answer["result"]["isError"] is False
        answer = await spoken.ask(
            {"method": "tools/call", "params": {"name": "claude_autonomous_list", "arguments": {}}}
        )
        assert answer["result"]["isError"] is False
        assert spoken.process.stdin is not None
        assert spoken.process.stdout is not None
        spoken.process.stdin.close()
        rest = await spoken.process.stdout.read()
        for line in [*spoken.lines, *rest.splitlines()]:
            assert json.loads(line)["jsonrpc"] == "2.0"


@pytest.mark.parametrize("end", ["EOF", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("busy", [False, True])
async def test_it_ends_with_its_client(place: Place, end: str, busy: bool) -> None:
    async with wire(place, SERVER) as spoken:
        if busy:
            start = {"name": "claude_autonomous", "arguments": {"goal": "Wait.", "session_id": "session-of-stdio"}}
            assert not (await spoken.ask({"method": "tools/call", "params": start}))["result"]["isError"]
            progress = {**WAIT, "_meta": {"progressToken": "p"}}
            await spoken.send({"method": "tools/call", "params": progress, "id": 99})
            assert spoken.process.stdout is not None
            assert b"notifications/progress" in await asyncio.wait_for(spoken.process.stdout.readline(), 10)
        if end == "EOF":
            assert spoken.process.stdin is not None
            spoken.process.stdin.close()
        else:
            spoken.process.send_signal(signal.Signals[end])
        assert await spoken.ended() == 0


async def test_it_ends_with_its_parent_even_when_its_input_stays_open(place: Place) -> None:
    """The one who started it is killed, while somebody else still holds the other end of its standard input."""
    ours, theirs = os.pipe()
    try:
        starter = "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
        parent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            starter,
            *SERVER,
            cwd=ROOT,
            env=place.environment(),
            stdin=ours,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert parent.stdout is not None
        server = psutil.Process(int(await asyncio.wait_for(parent.stdout.readline(), 10)))
        os.write(theirs, json.dumps({"jsonrpc": "2.0", "id": 1, **INITIALIZE}).encode() + b"\n")
        assert b'"overnight"' in await asyncio.wait_for(parent.stdout.readline(), 20)
        parent.kill()
        began = time.monotonic()
        async with asyncio.timeout(3):
            while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.02)
        assert time.monotonic() - began < 3
        await parent.wait()
    finally:
        os.close(ours)
        os.close(theirs)


async def test_wrong_settings_are_told_without_a_traceback(place: Place) -> None:
    process = await asyncio.create_subprocess_exec(
        *SERVER,
        cwd=ROOT,
        env={**place.environment(), "OVERNIGHT_PORT": "many"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (2, b"")
    assert b"OVERNIGHT_PORT: must be a whole number" in err
    assert b"Traceback" not in err
