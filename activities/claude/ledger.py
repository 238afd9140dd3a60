"""What a call uses, on disk as it is used: a worker that is killed takes none of it along."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from workflows.contracts.outcome import Usage

log = structlog.get_logger(__name__)


class Ledger:
    """The account of one attempt: a line when a request goes out, and one when it is known what it cost."""

    def __init__(self, path: Path, earlier: Usage) -> None:
        """Begin it with what ``earlier`` attempts used. It is no reason to stop when the disk does not take it."""
        self._path = path
        self._open: dict[int, float] = {}
        self._count = 0
        self._write(earlier=earlier.model_dump())

    @property
    def open_usd(self) -> float:
        """What requests that have no answer yet may cost, in USD."""
        return sum(self._open.values())

    def begin(self, estimated_usd: float) -> int:
        """A request goes out; returns its number."""
        self._count += 1
        self._open[self._count] = estimated_usd
        self._write(n=self._count, open=estimated_usd)
        return self._count

    def end(self, number: int, usage: Usage) -> None:
        """What it used is known; no more than an empty one when the service took nothing."""
        if self._open.pop(number, None) is not None:
            self._write(n=number, usage=usage.model_dump())

    def _write(self, **entry: Any) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                # What an earlier write left half done, for the disk was full, ends where this one begins.
                file.write(b"\n" + json.dumps(entry).encode() + b"\n")
        except OSError as error:
            log.warning("what a call uses is not on record", error=str(error))


def read_ledger(path: Path) -> Usage | None:
    """What is to be charged for an attempt that never answered, its earlier ones included; None when it asked nothing.

    Requests without an answer count as their estimates.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return None
    earlier, asked, known, is_used = Usage(), dict[int, float](), dict[int, Usage](), False
    for line in lines:
        try:
            entry = json.loads(line)
            if "earlier" in entry:
                # A call that goes on after its Claude Code died begins a new account with all that came before.
                earlier, asked, known = Usage.model_validate(entry["earlier"]), {}, {}
            elif "open" in entry:
                asked[int(entry["n"])] = Usage(cost_usd=entry["open"]).cost_usd
                is_used = True
            else:
                known[int(entry["n"])] = Usage.model_validate(entry["usage"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, ValidationError):
            # A line of one whose disk was full, or nothing of ours.
            continue
    if not is_used:
        return None
    open_usd = sum(usd for number, usd in asked.items() if number not in known)
    return sum(known.values(), earlier + Usage(calls=int(bool(asked)), cost_usd=open_usd, estimated_usd=open_usd))
