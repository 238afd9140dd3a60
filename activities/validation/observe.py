"""One check: run it verbatim in its box and keep what it did."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from activities.sandbox import Box, Launcher, run_command
from overnight.base.redaction import Redactor

_TAIL_BYTES = 4_000


@dataclass(frozen=True)
class Observed:
    """What Overnight saw of a command."""

    exit_code: int | None
    timed_out: bool
    seconds: float
    rate: float
    """Share of checks that passed. Until reports are read: 1 for exit code 0, else 0."""
    tail: str
    log: Path
    notes: list[str]
    """What happened in its sandbox: limits hit, connections blocked."""


async def observe(
    launcher: Launcher,
    box: Box,
    command: str,
    *,
    seconds: float,
    scratch: Path,
    stop: asyncio.Event,
    redactor: Redactor,
) -> Observed:
    """Run ``command`` for at most ``seconds``; its log is a file in ``scratch``. Raises ``NotIsolatedError``."""
    log = scratch / f"{uuid4().hex}.log"
    ended = await run_command(launcher, box, command, seconds=seconds, log=log, stop=stop)
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        # Before it is cut any shorter: of a secret that is cut, a half would be left.
        tail = redactor.text(file.read().decode("utf-8", "replace")).strip()
    return Observed(
        exit_code=ended.exit_code,
        timed_out=ended.timed_out,
        seconds=ended.seconds,
        rate=1.0 if ended.exit_code == 0 else 0.0,
        tail=tail,
        log=log,
        notes=ended.notes,
    )
