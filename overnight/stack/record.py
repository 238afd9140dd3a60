"""``stack.json`` as its only writer keeps it."""

from __future__ import annotations

from pathlib import Path

from structlog.typing import FilteringBoundLogger

from overnight.stack.home import Home, write_atomically
from overnight.stack.model import Stack

Fingerprint = tuple[int, int]


def fingerprint(path: Path) -> Fingerprint | None:
    """Differs after each atomic write of ``path``; None when it is absent."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


class Record:
    """The supervisor's record of its stack, on disk at each change."""

    def __init__(self, home: Home, stack: Stack, log: FilteringBoundLogger) -> None:
        self._home = home
        self._log = log
        self._written: Fingerprint | None = None
        self.stack = stack
        self.closed = False
        """Nothing is written any more: the home is somebody else's."""

    def update(self, **changes: object) -> None:
        """Change fields of the record, and write it if that makes it differ from what is on disk."""
        stack = self.stack.model_copy(update=changes)
        if stack != self.stack or self._written is None:
            self.stack = stack
            self._write()

    def restore(self) -> None:
        """Write the record again if it was lost, damaged, or could not be written before."""
        if self._written is None or fingerprint(self._home.stack_json) != self._written:
            self._write()

    def _write(self) -> None:
        if self.closed:
            return
        try:
            write_atomically(self._home.stack_json, self.stack.model_dump_json(indent=2))
            self._written = fingerprint(self._home.stack_json)
        except OSError as error:  # a full disk must not end the night; `restore` tries again
            self._written = None
            self._log.error("stack.json cannot be written", error=str(error))
