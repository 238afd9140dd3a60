"""Run one command in a box to its end, with a time limit and a bounded log."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from activities.sandbox.launcher import Box, Launcher, Opened
from activities.sandbox.limits import hits_of_exit
from activities.starting import end_group, started

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
    notes: list[str]
    """Limits of the sandbox that were hit and connections that were blocked, in words."""


async def run_command(
    launcher: Launcher, box: Box, command: str, *, seconds: float, log: Path, stop: asyncio.Event
) -> Ended:
    """Run a shell command in ``box`` until it ends, ``seconds`` are over, or ``stop`` is set.

    Its output goes to ``log``: the first 6 MB and the last 2 MB of it, and what became of its limits. Whatever it
    started is gone afterwards. Raises ``NotIsolatedError`` and ``OSError`` (the box cannot start).
    """
    with log.open("wb") as file:
        async with launcher.open(box) as opened:
            ran = await _run(opened, box, command, seconds, stop, file)
        code = ran.code if ran.in_time else None
        opened.hits |= hits_of_exit(code, ran.output.last)
        if ran.flooded:
            opened.hits.add("output")
        notes = opened.notes
        if notes:
            file.write("".join(f"\n[Overnight: {note}]" for note in notes).encode() + b"\n")
    return Ended(
        exit_code=128 - code if code is not None and code < 0 else code,
        timed_out=not ran.in_time and not ran.interrupted and not ran.flooded,
        interrupted=ran.interrupted,
        seconds=ran.seconds,
        bytes_seen=ran.output.seen,
        notes=notes,
    )


@dataclass
class _Ran:
    code: int | None
    in_time: bool
    interrupted: bool
    flooded: bool
    seconds: float
    output: _Output


async def _run(opened: Opened, box: Box, command: str, seconds: float, stop: asyncio.Event, file: BinaryIO) -> _Ran:
    began = time.monotonic()
    process = await started(
        opened.program,
        *("bash", "-o", "pipefail", "-c", command),
        cwd=box.workspace,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    stdout = process.stdout
    if stdout is None:
        raise OSError("the command has no output pipe")
    output = _Output(file, opened.limits.output_bytes)
    draining = asyncio.create_task(output.drain(stdout))
    ended = asyncio.create_task(process.wait())
    waits = {ended, asyncio.create_task(stop.wait()), asyncio.create_task(output.flooded.wait())}
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        in_time, interrupted = ended.done(), stop.is_set() and not ended.done()
        flooded = output.flooded.is_set() and not ended.done()
    finally:
        for wait in waits - {ended}:
            wait.cancel()
        opened.kill()
        end_group(process)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), _SETTLE_SECONDS)
        # A daemon may hold the pipe open where there is no pid namespace: the log ends with the command.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(draining, _SETTLE_SECONDS)
    return _Ran(process.returncode, in_time, interrupted, flooded, time.monotonic() - began, output)


class _Output:
    """Copies output to a file: its head as it comes, its tail at the end, what is between left out and counted."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self.seen = 0
        self.flooded = asyncio.Event()
        """More than ``most_bytes`` came."""
        self._file = file
        self._most_bytes = most_bytes
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._head = b""

    @property
    def last(self) -> bytes:
        """The end of what was printed, for a look."""
        return (self._head + b"".join(self._tail))[-_CHUNK:]

    async def drain(self, output: asyncio.StreamReader) -> None:
        """Take everything until the end."""
        written = 0
        try:
            while chunk := await output.read(_CHUNK):
                self.seen += len(chunk)
                if self.seen > self._most_bytes:
                    self.flooded.set()
                head = chunk[: max(0, HEAD_BYTES - written)]
                self._file.write(head)
                written += len(head)
                self._head = head or self._head
                if rest := chunk[len(head) :]:
                    self._keep(rest)
        finally:
            left_out = self.seen - written - self._kept
            if left_out > 0:
                self._file.write(f"\n[... {left_out} bytes left out ...]\n".encode())
            self._file.writelines(self._tail)

    def _keep(self, rest: bytes) -> None:
        self._tail.append(rest)
        self._kept += len(rest)
        while self._kept - len(self._tail[0]) >= TAIL_BYTES:
            self._kept -= len(self._tail.popleft())
