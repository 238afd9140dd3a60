"""How long a client of the MCP server waits for status and list, with many sessions open: p50 and p99.

Each answer takes the whole way: client, transport, server process, Temporal, the worker, and back.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import httpx2
import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from benchmarks.figures import Figure
from benchmarks.house import MIB, House, house
from benchmarks.models import Held, Watched
from benchmarks.opened import LISTED, SIZES, open_until

ROOT = Path(__file__).parent.parent
CALLERS = 16
"""Clients that ask at the same time."""


async def measure(rounds: int) -> list[Figure]:
    """``rounds`` questions of each kind at each size, over both transports."""
    figures: list[Figure] = []
    async with Watched(Held()) as model, house(model) as home, _http(home) as (url, pid):
        opened: list[str] = []
        for size in SIZES:
            await open_until(home, opened, size)
            for name, connected in (("HTTP", _over_http(url)), ("stdio", _over_stdio(home))):
                async with connected as client:
                    asked = await _timed(rounds, _status(client, opened))
                    listed = await _timed(rounds, _list(client))
                figures.append(Figure(f"{size:,} open, {name}: status", "ms", asked))
                figures.append(Figure(f"{size:,} open, {name}: list of {LISTED}", "ms", listed))
            many = await _at_once(rounds, url, opened)
            figures.append(Figure(f"{size:,} open, HTTP: status, {CALLERS} callers", "ms", many))
            figures.append(Figure(f"{size:,} open: the HTTP server", "MiB", [_memory(pid)]))
    return figures


def _environment(home: House) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home.place / "person"), "PYTHONPATH": str(ROOT)}
    return {
        **kept,
        "OVERNIGHT_HOME": str(home.settings.home),
        "OVERNIGHT_MCP_REQUESTS_PER_MINUTE": "1000000",
        "OVERNIGHT_LOG_FORMAT": "json",
        "ANTHROPIC_API_KEY": "benchmark",
    }


@asynccontextmanager
async def _http(home: House) -> AsyncIterator[tuple[str, int]]:
    """A server process, its address and its pid."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "overnight.cli", "mcp", "--http", "--port", "0"),
        cwd=ROOT,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        url = None
        while url is None:
            line = await asyncio.wait_for(process.stderr.readline(), 60)
            assert line, "the server has ended"
            url = json.loads(line).get("url") if line.startswith(b"{") else None
        reading = asyncio.create_task(process.stderr.read())
        yield url, process.pid
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _over_http(url: str) -> AsyncIterator[Client]:
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with (
        httpx2.AsyncClient(verify=no_tls, timeout=60) as requests,
        Client(streamable_http_client(url, http_client=requests)) as client,
    ):
        yield client


@asynccontextmanager
async def _over_stdio(home: House) -> AsyncIterator[Client]:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "overnight.cli", "mcp"], env=_environment(home), cwd=ROOT
    )
    with _nowhere() as nowhere:
        async with Client(stdio_client(command, errlog=nowhere)) as client:
            yield client


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _status(client: Client, opened: list[str]) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        found = await client.call_tool("claude_autonomous_status", {"session_id": random.choice(opened)})  # noqa: S311
        assert not found.is_error, found

    return ask


def _list(client: Client) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        found = await client.call_tool("claude_autonomous_list", {"limit": LISTED})
        assert not found.is_error, found

    return ask


async def _timed(rounds: int, ask: Callable[[], Awaitable[None]]) -> list[float]:
    """Milliseconds of each answer; the first, for which connections are made, is left out."""
    await ask()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1_000)
    return took


async def _at_once(rounds: int, url: str, opened: list[str]) -> list[float]:
    """As above, asked by several clients that do not wait for each other."""
    turns = count()
    took: list[float] = []

    async def one() -> None:
        async with _over_http(url) as client:
            ask: Any = _status(client, opened)
            await ask()
            while next(turns) < rounds:
                began = time.perf_counter()
                await ask()
                took.append((time.perf_counter() - began) * 1_000)

    await asyncio.gather(*(one() for _ in range(CALLERS)))
    return took


def _memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / MIB
