"""Run one command in a box to its end, with a time limit and a bounded log."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from activities.sandbox.launcher import Box, Launcher

HEAD_BYTES = 6_000_000
TAIL_BYTES = 2_000_000
_CHUNK = 65_536
_SETTLE_SECONDS = 10


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int | None
    """None when it was stopped; 128 + N after signal N, as a shell says it."""
    timed_out: bool
    interrupted: bool
    seconds: float
    bytes_seen: int


async def run_command(
    launcher: Launcher, box: Box, command: str, *, seconds: float, log: Path, stop: asyncio.Event
) -> Ended:
    """Run a shell command in ``box`` until it ends, ``seconds`` are over, or ``stop`` is set.

    Its output goes to ``log``: the first 6 MB and the last 2 MB of it. Whatever it started is gone afterwards.
    Raises ``NotIsolatedError`` and ``OSError`` (the box cannot start).
    """
    shell = ["bash", "-o", "pipefail", "-c", command]
    started = time.monotonic()
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *launcher.wrap(box, shell),
            cwd=box.workspace,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        stdout = process.stdout
        if stdout is None:
            raise OSError("the command has no output pipe")
        output = asyncio.create_task(_drain(stdout, file))
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            in_time, interrupted = ended.done(), stopped.done() and not ended.done()
        finally:
            stopped.cancel()
            _end_tree(process)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(ended), _SETTLE_SECONDS)
            # A daemon may hold the pipe open where there is no pid namespace: the log ends with the command.
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(output, _SETTLE_SECONDS)
    code = process.returncode if in_time else None
    return Ended(
        exit_code=128 - code if code is not None and code < 0 else code,
        timed_out=not in_time and not interrupted,
        interrupted=interrupted,
        seconds=time.monotonic() - started,
        bytes_seen=output.result() if output.done() and not output.cancelled() else 0,
    )


def _end_tree(process: asyncio.subprocess.Process) -> None:
    """End the box's first process: its namespace, and all that runs in it, dies with it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _drain(output: asyncio.StreamReader, file: BinaryIO) -> int:
    """Copy output to ``file``: its head as it comes, its tail at the end, what is between left out and counted."""
    seen = written = kept = 0
    tail: deque[bytes] = deque()
    try:
        while chunk := await output.read(_CHUNK):
            seen += len(chunk)
            head = chunk[: max(0, HEAD_BYTES - written)]
            file.write(head)
            written += len(head)
            if rest := chunk[len(head) :]:
                tail.append(rest)
                kept += len(rest)
                while kept - len(tail[0]) >= TAIL_BYTES:
                    kept -= len(tail.popleft())
    finally:
        left_out = seen - written - kept
        if left_out > 0:
            file.write(f"\n[... {left_out} bytes left out ...]\n".encode())
        file.writelines(tail)
    return seen
