"""One check: run it verbatim in its box and keep what it did."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from activities.sandbox import Box, Launcher, run_command
from overnight.base.redaction import Redactor

_TAIL_BYTES = 4_000
_BLOCKED = re.compile(r"network: blocked (?P<target>.*?)(?: \((?P<times>\d+) times\))?: ")
_NAMED = 3
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Observed:
    """What Overnight saw of a command."""

    exit_code: int | None
    timed_out: bool
    seconds: float
    rate: float
    """Share of checks that passed. Until reports are read: 1 for exit code 0, else 0."""
    tail: str
    """The end of what it printed, and last of all the connections that were blocked: an exit code may not tell."""
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
        tail=with_blocked(tail, [redactor.text(note) for note in ended.notes]),
        log=log,
        notes=ended.notes,
    )


def with_blocked(tail: str, notes: list[str]) -> str:
    """``tail`` with one line about the network in place of one per destination, which the log has."""
    found = {note: match for note in notes if (match := _BLOCKED.match(note))}
    if not found:
        return tail
    lines = {f"[Overnight: {note}]" for note in found}
    kept = "\n".join(line for line in tail.splitlines() if line not in lines).strip()
    count = sum(int(match["times"] or 1) for match in found.values())
    targets = [match["target"][:_NAME_LENGTH] for match in found.values()]
    named = ", ".join(targets[:_NAMED]) + (", ..." if len(targets) > _NAMED else "")
    what = "1 connection was" if count == 1 else f"{count} connections were"
    return f"{kept}\n[Overnight: {what} blocked: {named}]".strip()
