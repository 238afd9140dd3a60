"""What a worker has started, known by a variable in its environment: whoever comes later can end it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "OVERNIGHT_PART_OF"
GRACE_SECONDS = 2.0
"""What git has to remove its own lock files."""
_PID = re.compile(r"[1-9][0-9]{0,9}")


def marked(folder: str | Path) -> dict[str, str]:
    """What makes a program part of ``folder``: that of a box, of what is to become the box; else the worker's own.

    Of a container whose home has the same path, all processes may be seen from here, and none is known by its pid.
    """
    return {MARK: f"{_pids()}{folder}"}


def end_parts(folder: Path) -> int:
    """Kill all that is part of ``folder``; how many they were."""
    return _kill(_parts(lambda of: of.is_relative_to(folder)))


def end_left_behind(home: Path) -> int:
    """End what workers of ``home`` that are gone have left running: in order, or after 2 s by force. How many."""
    root = (home / "tmp").resolve()

    def belongs(of: Path) -> bool:
        return of.is_relative_to(root) and of != root and _is_dead(of.relative_to(root).parts[0])

    left = _parts(belongs)
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    while (rest := _parts(belongs)) and time.monotonic() < until:
        time.sleep(0.02)
    _kill(rest)
    return len(left)


def _kill(processes: Sequence[psutil.Process]) -> int:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    return len(processes)


def _parts(belongs: Callable[[Path], bool]) -> Sequence[psutil.Process]:
    found: list[psutil.Process] = []
    pids = _pids()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mark = process.environ().get(MARK, "")
            ours = mark.startswith(pids) and belongs(Path(mark.removeprefix(pids)))
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _pids() -> str:
    """Names the pid namespace that this process lives in; nothing where there are none."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _is_dead(name: str) -> bool:
    """Whether a worker's folder of this name is one of a worker that is gone. Anything may call itself part of it."""
    if not _PID.fullmatch(name):
        return False
    try:
        return psutil.Process(int(name)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
