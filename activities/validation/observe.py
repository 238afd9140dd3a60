"""One check: run it verbatim in its box, keep what it did, and count what its tests came to."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from activities.sandbox import Box, Ended, Launcher, run_command
from activities.validation.counting import Counted, count
from activities.validation.injected import is_refused, report_environment
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
    tail: str
    """The end of what it printed, and last of all the connections that were blocked: an exit code may not tell."""
    log: Path
    notes: list[str]
    """What happened in its sandbox: limits hit, connections blocked."""
    counted: Counted = field(default_factory=Counted)


async def observe(
    launcher: Launcher,
    box: Box,
    command: str,
    *,
    seconds: float,
    scratch: Path,
    stop: asyncio.Event,
    redactor: Redactor,
    tests: bool = True,
) -> Observed:
    """Run ``command`` for at most ``seconds``; its log is a file in ``scratch``. With ``tests`` they are counted.

    Raises ``NotIsolatedError`` and ``OSError``.
    """
    log = scratch / f"{uuid4().hex}.log"
    started = time.monotonic()
    if tests:
        ended, counted = await _counted(launcher, box, command, seconds=seconds, log=log, stop=stop)
    else:
        ended, counted = await run_command(launcher, box, command, seconds=seconds, log=log, stop=stop), Counted()
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        # Before it is cut any shorter: of a secret that is cut, a half would be left.
        tail = redactor.text(file.read().decode("utf-8", "replace")).strip()
    return Observed(
        exit_code=ended.exit_code,
        timed_out=ended.timed_out,
        seconds=time.monotonic() - started,
        tail=with_blocked(tail, [redactor.text(note) for note in ended.notes]),
        log=log,
        notes=ended.notes,
        counted=counted,
    )


async def _counted(
    launcher: Launcher, box: Box, command: str, *, seconds: float, log: Path, stop: asyncio.Event
) -> tuple[Ended, Counted]:
    """Run it with reports asked for; where a runner does not take that, once more as if nobody had asked."""
    reports = log.with_suffix(".reports")
    reports.mkdir(mode=0o700)
    env = box.env | report_environment(launcher.reports(reports), box.env)
    asked = replace(box, env=env, reports=reports)
    since_ns = _now_ns(log)
    ended = await run_command(launcher, asked, command, seconds=seconds, log=log, stop=stop)
    if ended.exit_code and ended.seconds < seconds and await asyncio.to_thread(_refused, log, reports):
        since_ns = _now_ns(log)
        ended = await run_command(launcher, box, command, seconds=seconds - ended.seconds, log=log, stop=stop)
    counted = await asyncio.to_thread(
        count, command, injected=reports, workspace=box.workspace, since_ns=since_ns, log=log
    )
    return ended, counted


def _now_ns(log: Path) -> int:
    """Now, by the clock that files are stamped with."""
    log.write_bytes(b"")
    return log.stat().st_mtime_ns


def _refused(log: Path, reports: Path) -> bool:
    """Whether no runner reported, and one says that it cannot."""
    if any(reports.iterdir()):
        return False
    with log.open("rb") as file:
        return is_refused(file.read(1_000_000).decode("utf-8", "replace"))


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
