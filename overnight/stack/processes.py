"""Processes by identity: a pid alone may be somebody else's by now, a pid with its birth never is."""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field

POLL_SECONDS = 0.02


class Process(BaseModel):
    """One process of the stack."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int = Field(gt=0)
    create_time: float
    """When it started, in seconds since the epoch. For people; ``birth`` is the identity."""

    birth: str = Field(min_length=1)
    """Tells it from any other process that had, has or will have this pid."""

    restarts: int = Field(default=0, ge=0)
    """How often it was started again since the stack came up."""


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"


def _birth(pid: int) -> str | None:
    """Identity of the live process ``pid``: None when there is none, or only a zombie.

    psutil's create_time is computed from the wall clock on Linux: after a clock step every process would look like
    another one, and a second server would be started on the same database. The kernel's own start tick never moves.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        stat = b""
    except OSError:  # it ended while being read
        return None
    if stat:
        fields = stat.rpartition(b")")[2].split()  # the name before it may hold anything
        state, ticks = fields[0], fields[19]
        return None if state in b"ZXx" else f"{_boot()}:{ticks.decode()}"
    if Path("/proc/self/stat").exists():
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{_boot()}:{process.create_time():.2f}"
    except psutil.Error:
        return None


def identify(pid: int, restarts: int = 0) -> Process | None:
    """The live process ``pid`` with its identity, or None when it has ended."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.Error:
        return None
    birth = _birth(pid)
    return Process(pid=pid, create_time=created, birth=birth, restarts=restarts) if birth is not None else None


def is_alive(process: Process | None) -> bool:
    """Whether exactly this process still runs; a zombie does not."""
    return process is not None and _birth(process.pid) == process.birth


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it is gone.

    Raises ``PermissionError`` when it belongs to another user.
    """
    try:
        handle = psutil.Process(process.pid)  # remembers its own identity and checks it again when it signals
        if not is_alive(process):
            return False
        handle.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied as error:
        raise PermissionError(f"process {process.pid} belongs to another user") from error
    return True


def wait_gone(process: Process, seconds: float, reap: Callable[[], object] = lambda: None) -> bool:
    """Wait up to ``seconds`` until the process has ended, calling ``reap`` meanwhile; whether it has."""
    deadline = time.monotonic() + seconds
    while True:
        reap()
        if not is_alive(process):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)


def end(process: Process | None, seconds: float, reap: Callable[[], object] = lambda: None) -> bool:
    """End a process: SIGTERM, and SIGKILL if it is still there after ``seconds``. Whether it is gone now.

    Raises ``PermissionError`` when it belongs to another user.
    """
    if process is None or not is_alive(process):
        reap()
        return True
    send(process, signal.SIGTERM)
    if wait_gone(process, seconds, reap):
        return True
    with contextlib.suppress(PermissionError):
        send(process, signal.SIGKILL)
    return wait_gone(process, 5.0, reap)
