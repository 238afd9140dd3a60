"""A home of its own for each test, with nothing left running after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from overnight.base.settings import Settings
from overnight.stack import Process, Stack, down, find
from overnight.stack.control import bring_up
from overnight.stack.processes import is_alive

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = 120, what: str = "") -> T:
    """What ``look`` returns as soon as it is truthy."""
    deadline = time.monotonic() + seconds
    while not (result := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or look}"
        time.sleep(0.01)
    return result


def kill(process: Process | None) -> Process:
    """kill -9, and wait until it is gone."""
    assert process is not None
    assert is_alive(process)
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(process), what=f"end of {process}")
    return process


def pids(stack: Stack | None) -> tuple[int, int, int]:
    """Supervisor, server, worker: all three must be there."""
    assert stack is not None
    assert stack.supervisor
    assert stack.server
    assert stack.worker
    return stack.supervisor.pid, stack.server.pid, stack.worker.pid


class Site:
    """A home, and the stack in it with the stand-in worker."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = Settings(home=home, grace_seconds=1)

    def up(self, behaviour: str = "good", *, wait_seconds: float = 60, **settings: object) -> Stack:
        """``ensure_up`` with the stand-in worker."""
        chosen = Settings(home=self.home, grace_seconds=1).model_copy(update=settings)
        supervisor = ["-P", str(HERE / "stand_in_supervisor.py"), behaviour]
        return bring_up(chosen, supervisor, wait_seconds=wait_seconds)

    def healthy(self) -> Stack:
        """The stack once it is up, without starting anything."""

        def look() -> Stack | None:
            stack = find(self.settings)
            return stack if stack is not None and stack.up else None

        stack = eventually(look, what="a healthy stack")
        assert stack is not None
        return stack

    def starter(self, behaviour: str = "good") -> subprocess.Popen[bytes]:
        """A client in another process, in a session of its own, that brings the stack up and stays."""
        return subprocess.Popen(
            [sys.executable, str(HERE / "starter.py"), str(self.home), behaviour],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    def processes(self) -> list[psutil.Process]:
        """Live processes that have this home, or something in it, on their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and any(str(self.home) in arg for arg in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.pid != os.getpid()]

    def workers(self) -> list[psutil.Process]:
        """Live processes of all stand-in workers that this home ever had."""
        starts = self.home / "starts"
        lines = starts.read_text().split() if starts.exists() else []
        found = []
        for pid in map(int, lines):
            try:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(self.home):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def site() -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="ov-", dir="/tmp")).resolve()
    site = Site(home / "h")
    try:
        yield site
        last = find(site.settings)
        if last is not None:  # killed, as the server takes a second to end in peace
            for process in (last.supervisor, last.server, last.worker):
                if is_alive(process):
                    kill(process)
        down(site.settings)
        assert site.processes() == []
        assert site.workers() == []
    finally:
        for left in [*site.processes(), *site.workers()]:
            left.kill()
        shutil.rmtree(home, ignore_errors=True)
