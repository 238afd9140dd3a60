"""Waiting that a signal cuts short: a supervisor asleep still hears at once that a child ended or a stop came."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self


class Wakeup:
    """Turns SIGTERM and SIGINT into ``stop_asked``; SIGCHLD ends a ``wait``. Main thread only, once a process."""

    def __init__(self) -> None:
        self.stop_asked = False

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # A handler that does nothing, as "ignore" would be inherited by the children.
        for number in (signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_asked = True

    def wait(self, seconds: float) -> None:
        """Wait up to ``seconds``, or until the next signal."""
        if self.stop_asked:
            return
        ready, _, _ = select.select([self._read], [], [], seconds)
        if ready:
            os.read(self._read, 4096)
