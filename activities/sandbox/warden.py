"""Limits that the kernel does not keep for us: looked at twice a second, by a thread that no busy loop holds up."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from activities.sandbox.limits import Kind, Limits

PAUSE_SECONDS = 0.5
MOST_FILES = 2_000_000
"""New files on the disk while a box runs: an installation of packages makes a tenth of it."""
_DU_SECONDS = 60
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(eq=False)
class Watched:
    """A box under watch."""

    limits: Limits
    pid: Callable[[], int | None]
    """Pid of the box's first process; None while it starts."""
    kill: Callable[[], None]
    folders: tuple[Path, ...]
    """What the box may write."""
    by_kernel: bool
    """Whether the kernel keeps the limits on memory and processes."""
    hits: set[Kind] = field(default_factory=set)
    free_at_start: int = 0
    names_at_start: int = 0
    busy: dict[int, float] = field(default_factory=dict)
    """Processes close to the limit of CPU time when last looked at: pid and seconds used."""


class Warden:
    """Watches all boxes of a worker; its thread lives while there are any."""

    def __init__(self, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds
        self._boxes: list[Watched] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, box: Watched) -> None:
        """Look after ``box`` until it is forgotten."""
        box.free_at_start = _free(box.folders[0])
        box.names_at_start = _free_names(box.folders[0])
        with self._lock:
            self._boxes.append(box)
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(target=self._run, name="sandbox-warden", daemon=True)
                self._thread.start()

    def forget(self, box: Watched) -> None:
        """The box is over."""
        with self._lock, suppress(ValueError):
            self._boxes.remove(box)
            if not self._boxes:
                self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause_seconds)
            with self._lock:
                if not self._boxes:
                    self._thread = None
                    return
                boxes = list(self._boxes)
            table = _processes() if any(not box.by_kernel for box in boxes) else {}
            for box in boxes:
                if hit := _over(box, table):
                    self._end(box, hit)
                elif self._spent(box):
                    box.hits.add("cpu")

    def _spent(self, box: Watched) -> bool:
        """Whether a process that was about to use up its CPU time is gone: the kernel ends it, and tells nobody."""
        if (pid := box.pid()) is None:
            return False
        before, box.busy = box.busy, {}
        # A process with several threads uses more than one second of it in a second.
        for inside in _inside(pid):
            used, threads = _cpu_seconds(inside)
            if used > box.limits.cpu_seconds - min(threads, os.cpu_count() or 1) * 2 * self._pause_seconds:
                box.busy[inside] = used
        return bool(before.keys() - box.busy.keys())

    def _end(self, box: Watched, hit: Kind) -> None:
        with self._lock:
            # One that was forgotten meanwhile is over, and its handle may name another process by now.
            if box in self._boxes:
                box.hits.add(hit)
                box.kill()


@dataclass(frozen=True)
class _Process:
    parent: int
    threads: int
    resident: int


def _over(box: Watched, table: dict[int, _Process]) -> Kind | None:
    """The limit that the box is over now."""
    if not box.by_kernel and (pid := box.pid()) is not None:
        inside = _tree(pid, table)
        if sum(table[p].threads for p in inside) > box.limits.processes:
            return "processes"
        # Pages that forks share count several times here: only then is the exact figure worth its price.
        resident = sum(table[p].resident for p in inside)
        if resident > box.limits.memory_bytes and sum(map(_own_share, inside)) > box.limits.memory_bytes:
            return "memory"
    free = _free(box.folders[0])
    if free < box.limits.reserve_bytes < box.free_at_start:
        return "disk"
    if box.free_at_start - free > box.limits.disk_bytes:
        unnamed = _unnamed(_tree(pid, _processes())) if (pid := box.pid()) is not None else 0
        if _written(box.folders) + unnamed > box.limits.disk_bytes:
            return "disk"
    if box.names_at_start - _free_names(box.folders[0]) > MOST_FILES:
        return "disk"
    return None


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62


def _free_names(folder: Path) -> int:
    """How many more files the disk takes; a number that never falls where it does not count them."""
    try:
        return os.statvfs(folder).f_ffree
    except OSError:
        return 0


def _written(folders: tuple[Path, ...]) -> int:
    """Bytes on disk under these folders, however deep; links are not followed."""
    try:
        told = subprocess.run(
            ["du", "-skx", "--", *folders], capture_output=True, timeout=_DU_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 1 << 62
    return sum(int(line.split(b"\t")[0]) * 1024 for line in told.splitlines() if line[:1].isdigit())


def _unnamed(pids: list[int]) -> int:
    """Bytes of files that these processes hold open and that have no name any more."""
    seen: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):
            for handle in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                with suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{handle}")  # noqa: PTH116
                    if status.st_nlink == 0:
                        seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _processes() -> dict[int, _Process]:
    """Every process of the host, in one pass over ``/proc``."""
    table: dict[int, _Process] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (names alone, many times a minute)
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    rest = file.read().rpartition(b")")[2].split()
                table[int(name)] = _Process(int(rest[1]), int(rest[17]), int(rest[21]) * _PAGE)
    return table


def _tree(root: int, table: dict[int, _Process]) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid, process in table.items():
        children[process.parent].append(pid)
    found = [root] if root in table else []
    for pid in found:
        found.extend(children[pid])
    return found


def _inside(root: int) -> list[int]:
    """Processes of the box whose first one is ``root``."""
    found = [root]
    for pid in found:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
                with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                    found.extend(map(int, file.read().split()))
    return found


def _cpu_seconds(pid: int) -> tuple[float, int]:
    """CPU time that a process has used, and how many threads it has."""
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        rest = file.read().rpartition(b")")[2].split()
        return (int(rest[11]) + int(rest[12])) / _TICKS, int(rest[17])
    return 0.0, 1


def _own_share(pid: int) -> int:
    """Memory of a process in bytes, with what it shares divided among those who share it."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
