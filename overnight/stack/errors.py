"""What goes wrong, told to a person: one error type, and the part of a log that belongs to it."""

from __future__ import annotations

from pathlib import Path

from overnight.base.wording import quoted

MARK = "=== overnight starts "
"""Begins the line that separates two runs in a log file."""

_TAIL_BYTES = 16_384
_TAIL_LINES = 15


class StackError(Exception):
    """The embedded stack is not up, or cannot be stopped. Says what is wrong, where, and what to do next."""

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        """``message`` is for a person; ``log``, when given, is the log file whose tail is added to it."""
        self.log = log
        tail = log_tail(log) if log is not None else ""
        if log is not None:
            message += f"\nLog: {log}"
        if tail:
            message += f"\n{quoted(tail)}"
        super().__init__(message)


def log_tail(log: Path) -> str:
    """The last lines of the last run in ``log``; empty when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    last_run = text.rpartition(MARK)
    lines = (last_run[2].partition("\n")[2] if last_run[1] else text).splitlines()
    return "\n".join(line for line in lines[-_TAIL_LINES:] if line.strip())
