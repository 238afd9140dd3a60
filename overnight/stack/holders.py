"""Who still uses a home, whatever became of its record: server and worker each hold a lock for as long as they live."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Set
from datetime import UTC, datetime
from pathlib import Path

import psutil

from overnight.base.version import VERSION
from overnight.stack import server
from overnight.stack.home import Home, Part
from overnight.stack.model import Stack
from overnight.stack.ports import LOOPBACK
from overnight.stack.processes import Process, identify, is_alive

FileId = tuple[int, int]


def holders(home: Home, part: Part) -> list[Process]:
    """Live processes that run as the home's server or worker, on record or not; the oldest first.

    Such a process has inherited the lock file of its part, open for writing, or serves the home's database. Told by
    the open file itself: names and command lines may be anybody's, those of a sandbox included. What belongs to other
    users, or to another container, is not seen.
    """
    lock, database = _id(home.lock_of(part)), _id(home.database) if part == "server" else None
    found = []
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        opened = _opened_for_writing(pid, {lock, database})
        if lock in opened or (database in opened and server.FILE_OPTION in command_line(pid)):
            found.append(identify(pid))
    return sorted((one for one in found if one is not None), key=lambda one: one.create_time)


def survivors(home: Home, record: Stack | None) -> Stack | None:
    """``record`` with the server and the worker that really run, and where they are; None when neither does.

    What is on record and lives is believed; what is not is looked for. A server that does not say where it listens is
    left out: `holders` still names it.
    """
    known = record or Stack(
        home=home.path,
        version=VERSION,
        supervisor=None,
        address=f"{LOOPBACK}:0",
        ui_url=f"http://{LOOPBACK}:0",
        started_at=datetime.now(UTC),
        # Nobody knows any more: sessions may wait in it.
        proven=True,
    )
    changes: dict[str, object] = {}
    if not is_alive(known.server):
        changes["server"] = None
        for process in holders(home, "server"):
            if (listens := server.ports_of(command_line(process.pid))) is not None:
                address, ui_url = (f"{LOOPBACK}:{listens[0]}", f"http://{LOOPBACK}:{listens[1]}")
                changes |= {"server": process, "address": address, "ui_url": ui_url}
                break
    if not is_alive(known.worker):
        changes["worker"] = next(iter(holders(home, "worker")), None)
    left = known.model_copy(update=changes)
    return left if left.server is not None or left.worker is not None else None


def served_by(worker: Process) -> str | None:
    """The Temporal that a worker was started for; None when that cannot be told."""
    with contextlib.suppress(psutil.Error, OSError):
        return psutil.Process(worker.pid).environ().get("TEMPORAL_ADDRESS")
    return None


def command_line(pid: int) -> list[str]:
    """The command line of a process; empty when it has ended, or may not be read."""
    with contextlib.suppress(psutil.Error, OSError):
        return psutil.Process(pid).cmdline()
    return []


def _opened_for_writing(pid: int, files: Set[FileId | None]) -> set[FileId]:
    """Which of ``files`` a process may write. A backup that reads the home has them open, but not so."""
    found = set()
    with contextlib.suppress(OSError, ValueError):  # it ends just now, or belongs to another user
        for opened in Path(f"/proc/{pid}/fd").iterdir():
            if (file := _id(opened)) is not None and file in files:
                flags = Path(f"/proc/{pid}/fdinfo/{opened.name}").read_text().partition("flags:")[2].split()[0]
                if int(flags, 8) & os.O_ACCMODE == os.O_RDWR:
                    found.add(file)
    return found


def _id(path: Path) -> FileId | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
