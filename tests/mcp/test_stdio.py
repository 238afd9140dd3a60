"""The server as a process: a clean standard output, and an end as soon as its client is gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest

from tests.mcp.conftest import LONG, ROOT, Place
from tests.processes import left_behind

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
        async with asyncio.timeout(120):
            while line := await self.process.stdout.readline():
                self.lines.append(line)
                answer: dict[str, Any] = json.loads(line)
                if answer.get("id") == wanted:
                    return answer
        raise AssertionError("the server has ended")

    async def ended(self, seconds: float = 30) -> int:
        """The exit code; fails when the process, or one of its children, stays."""
        children: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):  # it was quicker
            children = psutil.Process(self.process.pid).children(recursive=True)
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
        assert await left_behind(lambda: {c.pid for c in children if c.is_running()}) == set()
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


QUICK = {(False, "EOF"), (True, "SIGTERM")}
"""Ends that are tried each time."""


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


@pytest.mark.parametrize(
    ("busy", "end"),
    [
        pytest.param(busy, end, marks=[] if (busy, end) in QUICK else LONG)
        for busy in (False, True)
        for end in ("EOF", "SIGTERM", "SIGINT")
    ],
)
async def test_it_ends_with_its_client(place: Place, busy: bool, end: str) -> None:
    async with wire(place, SERVER) as spoken:
        if busy:
            start = {"name": "claude_autonomous", "arguments": {"goal": "Wait.", "session_id": "session-of-stdio"}}
            async with asyncio.timeout(120):  # on a busy machine it asks to be called again
                while (await spoken.ask({"method": "tools/call", "params": start}))["result"]["isError"]:
                    await asyncio.sleep(0.2)
            progress = {**WAIT, "_meta": {"progressToken": "p"}}
            await spoken.send({"method": "tools/call", "params": progress, "id": 99})
            assert spoken.process.stdout is not None
            assert b"notifications/progress" in await asyncio.wait_for(spoken.process.stdout.readline(), 120)
        if end == "EOF":
            assert spoken.process.stdin is not None
            spoken.process.stdin.close()
        else:
            spoken.process.send_signal(signal.Signals[end])
        assert await spoken.ended() == 0


@pytest.mark.chaos
@pytest.mark.timeout(300)
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
        server = psutil.Process(int(await asyncio.wait_for(parent.stdout.readline(), 120)))
        os.write(theirs, json.dumps({"jsonrpc": "2.0", "id": 1, **INITIALIZE}).encode() + b"\n")
        assert b'"overnight"' in await asyncio.wait_for(parent.stdout.readline(), 120)
        parent.kill()
        async with asyncio.timeout(30):
            while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.02)
        await parent.wait()
    finally:
        os.close(ours)
        os.close(theirs)


ORPHANED_WHILE_IT_IMPORTS = """
import os, runpy, signal, sys, time

class Gate:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "mcp" and Gate in sys.meta_path:
            sys.meta_path.remove(Gate)
            began = os.getppid()
            os.kill(began, signal.SIGKILL)
            while os.getppid() == began:
                time.sleep(0.01)

sys.meta_path.insert(0, Gate)
sys.path.insert(0, os.getcwd())
how, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(how, run_name="__main__") if how.endswith(".py") else runpy.run_module(how, run_name="__main__")
"""
"""Ends whoever started it as soon as it looks for the SDK of the protocol, and only then goes on."""


@pytest.mark.parametrize("how", [("mcp_server.py",), ("overnight.cli", "mcp")], ids=["server", "command line"])
async def test_it_ends_when_its_parent_ended_while_it_was_starting(place: Place, how: tuple[str, ...]) -> None:
    starter = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
    ours, theirs = os.pipe()
    server: psutil.Process | None = None
    try:
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", starter, sys.executable, "-c", ORPHANED_WHILE_IT_IMPORTS, *how),
            cwd=ROOT,
            env=place.environment(),
            stdin=ours,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert parent.stdout is not None
        server = psutil.Process(int(await asyncio.wait_for(parent.stdout.readline(), 120)))
        assert await asyncio.wait_for(parent.wait(), 120) == -signal.SIGKILL
        async with asyncio.timeout(120):
            while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.05)
        assert parent.stderr is not None
        assert b"the client ended" in await parent.stderr.read()
    finally:
        os.close(ours)
        os.close(theirs)
        if server is not None and server.is_running():
            server.kill()


async def test_wrong_settings_are_told_without_a_traceback(place: Place) -> None:
    process = await asyncio.create_subprocess_exec(
        *SERVER,
        cwd=ROOT,
        env={**place.environment(), "OVERNIGHT_PORT": "many"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert (process.returncode, out) == (2, b"")
    assert b"OVERNIGHT_PORT: must be a whole number" in err
    assert b"Traceback" not in err


async def test_without_a_standard_input_there_is_no_client(place: Place) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$0" "$1" <&-', *SERVER),
        cwd=ROOT,
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert (process.returncode, out) == (0, b"")
    assert b"the client closed the connection" in err
    assert b"Traceback" not in err


LEAVES = """
import asyncio
from overnight.mcp.lifetime import told_to_leave
async def main():
    leaving = asyncio.create_task(told_to_leave(None))
    await asyncio.sleep(0)
    print("ready", flush=True)
    print(await leaving, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize(("ignored", "why"), [("", b"SIGHUP"), ("trap '' HUP; ", b"SIGTERM")])
async def test_a_server_for_many_leaves_in_order_when_its_terminal_closes_unless_it_was_told_not_to(
    ignored: str, why: bytes
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{ignored}exec "$0" -c "$1"', sys.executable, LEAVES),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        limit=1_000_000,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 120) == b"ready\n"
    process.send_signal(signal.SIGHUP)
    if ignored:
        process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    assert (process.returncode, out.strip()) == (0, why)
