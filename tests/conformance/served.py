"""Servers over HTTP, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

FIXTURES = ("-m", "tests.conformance.server")
REAL = ("-m", "overnight.cli", "mcp", "--http", "--port")

START_SECONDS = 60.0
END_SECONDS = 10.0


@asynccontextmanager
async def served(
    which: tuple[str, ...], environment: Mapping[str, str], log: Path, port: int = 0
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The URL of a server and its process, which is told to leave in the end; ``log`` gets what it logs.

    It listens on ``port``; on a free one if 0.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *which,
        str(port),
        cwd=ROOT,
        env={**environment, "OVERNIGHT_LOG_FORMAT": "json"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        limit=1_000_000,
    )
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    following = asyncio.create_task(_follow(process, log, url))
    try:
        yield await asyncio.wait_for(url, START_SECONDS), process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
        await following


async def _follow(process: asyncio.subprocess.Process, log: Path, url: asyncio.Future[str]) -> None:
    """Keep what the server logs, and find in it where it listens."""
    assert process.stderr is not None
    with log.open("wb", buffering=0) as kept:
        while line := await process.stderr.readline():
            kept.write(line)
            if not url.done() and b'"listening"' in line:
                url.set_result(json.loads(line)["url"].replace("127.0.0.1", "localhost"))
    if not url.done():
        url.set_exception(RuntimeError(f"the server did not start: {log.read_text()[-2_000:]}"))
