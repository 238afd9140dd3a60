"""Whether the Temporal server still answers, asked in the background: one that hangs is told from one that is slow."""

from __future__ import annotations

import threading
import time
from http.client import HTTPConnection, HTTPException

import psutil

from overnight.stack.ports import LOOPBACK
from overnight.stack.processes import Process

INTERVAL_SECONDS = 5.0
ASK_SECONDS = 10.0
MISSES = 3
"""Questions in a row without an answer after which a server that does nothing hangs: about half a minute."""
MISSES_AT_WORK = 12
"""The same for one that computes: it may be slow on a busy machine. Two minutes."""
IDLE_CPU_SECONDS = 0.05
"""What a process that hangs uses no more of over all the misses; one that starves on a busy machine gets more."""

_QUESTION = "/api/v1/system-info"
"""The Web UI, which is a part of the server's process, asks the server itself for it."""


class Probe:
    """Asks one server after another; the supervisor only ever looks at what came of it."""

    def __init__(self) -> None:
        self._of: Process | None = None
        self._asking: threading.Thread | None = None
        self._silent = False
        self._due = 0.0
        self._misses = 0
        self._cpu = 0.0

    def hangs(self, server: Process, ui_port: int) -> bool:
        """Whether ``server`` hangs, as far as is known now; asks again when that is due. Never waits."""
        if server != self._of:
            self._of, self._asking, self._misses, self._due = server, None, 0, time.monotonic() + INTERVAL_SECONDS
            return False
        if self._asking is not None:
            if self._asking.is_alive():
                return False
            self._asking = None
            self._misses = self._misses + 1 if self._silent else 0
            self._due = time.monotonic() + (0 if self._misses else INTERVAL_SECONDS)
        if self._misses >= MISSES_AT_WORK:
            return True
        if self._misses >= MISSES and _cpu_seconds(server) - self._cpu < IDLE_CPU_SECONDS:
            return True
        if time.monotonic() >= self._due:
            if not self._misses:
                self._cpu = _cpu_seconds(server)
            self._silent = False
            self._asking = threading.Thread(target=self._ask, args=(ui_port,), daemon=True)
            self._asking.start()
        return False

    def _ask(self, ui_port: int) -> None:
        silent = not _answers(ui_port)
        if threading.current_thread() is self._asking:  # else it is about a server that is gone
            self._silent = silent


def _answers(ui_port: int) -> bool:
    """False only where nothing at all comes within ``ASK_SECONDS``: who says no, or hangs up, does not hang."""
    connection = HTTPConnection(LOOPBACK, ui_port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", _QUESTION)
        connection.getresponse()
    except TimeoutError:
        return False
    except (OSError, HTTPException):
        return True
    finally:
        connection.close()
    return True


def _cpu_seconds(server: Process) -> float:
    try:
        used = psutil.Process(server.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system)
