"""One supervised process: started so that it is always on record, watched, stopped, and held back when it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from overnight.stack import processes
from overnight.stack.errors import MARK
from overnight.stack.home import Home, Part
from overnight.stack.processes import Process

ROTATE_BYTES = 10 * 1024 * 1024
WELL_SECONDS = 60.0
FIRST_DELAY, LONGEST_DELAY = 0.2, 30.0
SERVER_STOP_SECONDS = 10.0
WORKER_STOP_MARGIN_SECONDS = 10.0
"""What a worker gets on top of ``grace_seconds`` before it is killed."""

TRIES = 3
"""Starts in a row that may come to nothing before it is said to be hopeless."""

# Waits for a word on its standard input before it becomes the real program. The pid is on record by then, so a
# supervisor that is killed between starting a process and recording it leaves nothing: the input ends, so does this.
_ON_RECORD_FIRST = 'read -r go && exec "$@" </dev/null'


class Child:
    """The server or the worker, own child or adopted from an earlier supervisor."""

    def __init__(self, part: Part, home: Home) -> None:
        self.part = part
        self.log = home.log(part)
        self.process: Process | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self.proven = False
        """It was well once, so whatever ails it later is worth trying again for ever."""
        self.fruitless = 0
        """Starts in a row that ended before it was well."""
        self._noted = True
        self._due = 0.0
        self._delay = FIRST_DELAY
        self._well_since: float | None = None

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        lock: int,
        record: Callable[[], None],
    ) -> None:
        """Start ``argv`` in a session of its own, with its output in the log; ``record`` is called before it runs.

        It inherits ``lock``, the descriptor that holds the lock of its part: known to be there even if no record is.
        Raises ``OSError`` when nothing can be started.
        """
        restarts = self.process.restarts + 1 if self.process is not None else 0
        rotate(self.log)
        with self.log.open("ab") as log:
            mark(log.fileno(), self.part)
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", _ON_RECORD_FIRST, f"overnight-{self.part}", *argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                bufsize=0,
                cwd=cwd,
                env=dict(env),
                pass_fds=(lock,),
                start_new_session=True,
            )
        self._well_since, self._noted = None, False
        # Killed within this very millisecond: `ended` will say so.
        gone = Process(pid=self._popen.pid, create_time=time.time(), birth="gone", restarts=restarts)
        self.process = processes.identify(self._popen.pid, restarts) or gone
        record()
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._popen.stdin as word:
                word.write(b"go\n")

    def adopt(self, process: Process | None) -> None:
        """Watch a process that an earlier supervisor started; one that has ended meanwhile counts as ended."""
        self.process, self._popen, self._noted = process, None, False

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and not self.ended

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended."""
        if self.process is None:
            return False
        if self._popen is not None:
            return self._popen.poll() is not None
        return not processes.is_alive(self.process)

    @property
    def end_in_words(self) -> str:
        """How it ended."""
        code = self._popen.poll() if self._popen is not None else None
        if code is None:
            return "ended"
        if code >= 0:
            return f"ended with exit code {code}"
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"

    def unwell(self) -> None:
        """Note that it runs but cannot do its work."""
        self._well_since = None

    def well(self) -> None:
        """Note that it is well now."""
        self.proven, self.fruitless = True, 0
        if self._well_since is None:
            self._well_since = time.monotonic()

    @property
    def is_well(self) -> bool:
        """Whether it runs and was well when last heard of."""
        return self._well_since is not None and self.running

    @property
    def settled(self) -> bool:
        """Whether it has been well for a minute."""
        return self._well_since is not None and time.monotonic() - self._well_since >= WELL_SECONDS

    @property
    def news_of_end(self) -> bool:
        """Whether it has ended of itself, and ``note_failure`` was not called for that yet."""
        return self.ended and not self._noted

    @property
    def seconds_to_wait(self) -> float:
        """How long its next start is held back; 0 when it is not."""
        return max(0.0, self._due - time.monotonic())

    def note_failure(self) -> float:
        """Note that it ended, or could not be started, and hold back the next start: for how many seconds.

        The time doubles up to half a minute, and begins anew after a minute of health.
        """
        if self.settled:
            self._delay = FIRST_DELAY
        if self._well_since is None:
            self.fruitless += 1
        self._well_since, self._noted = None, True
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY)
        self._due = time.monotonic() + delay
        return delay

    def stop(self, seconds: float) -> bool:
        """End it: SIGTERM, then SIGKILL after ``seconds``. Whether it is gone."""
        self._noted = True
        popen = self._popen
        return processes.end(self.process, seconds, lambda: popen.poll() if popen is not None else None)


def rotate(log: Path) -> None:
    """Set a log aside, in place of the one set aside before, once it has grown past 10 MB."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > ROTATE_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))


def mark(descriptor: int, name: str) -> None:
    """Write the line that separates two runs into a log."""
    os.write(descriptor, f"{MARK}{name} at {datetime.now(UTC).isoformat(timespec='seconds')}\n".encode())
