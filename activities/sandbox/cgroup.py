"""Control groups: the kernel counts and limits what a box uses, where this host lets us make a group.

Version 2 needs an ancestor of the worker's own group that we may write and that passes the controllers on (a systemd
user session, a service with ``Delegate=yes``, root outside a container); version 1 needs root. Whether it works is
found out by moving a process into a trial group, not by guessing.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

from activities.sandbox.limits import Kind, Limits

_NAME = "overnight"
_MOUNTS = Path("/proc/self/mounts")
_OWN = Path("/proc/self/cgroup")
_TRIAL_SECONDS = 5
_REMOVE_SECONDS = 2.0
_numbers = count(1)


@dataclass(frozen=True)
class Cgroups:
    """The folders of the host's groups under which ours are made: one in version 2, one a controller in version 1."""

    version: int
    parents: tuple[Path, ...]

    def make(self, limits: Limits) -> Group:
        """A new group with these limits. Raises ``OSError``."""
        name = f"{_NAME}-{os.getpid()}-{next(_numbers)}"
        group = Group(self.version, tuple(parent / name for parent in self.parents))
        try:
            for folder in group.folders:
                folder.mkdir()
            group.limit(limits)
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self) -> None:
        """Remove groups that workers which are gone left behind."""
        for parent in self.parents:
            for old in parent.glob(f"{_NAME}-*-*"):
                pid = old.name.split("-")[1]
                if pid.isdigit() and not psutil.pid_exists(int(pid)):
                    with suppress(OSError):
                        old.rmdir()


@dataclass(frozen=True)
class Group:
    """The group of one box."""

    version: int
    folders: tuple[Path, ...]

    @property
    def entries(self) -> list[Path]:
        """Files into which a process writes its pid to come in."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def limit(self, limits: Limits) -> None:
        """Set what the kernel is to enforce. Raises ``OSError``."""
        memory, processes = str(limits.memory_bytes), str(limits.processes)
        if self.version == 2:
            values = {"memory.max": memory, "pids.max": processes}
            optional = {"memory.swap.max": "0", "cpu.weight": "50"}
        else:
            values = {"memory.limit_in_bytes": memory, "pids.max": processes}
            optional = {"memory.memsw.limit_in_bytes": memory}
        for name, value in values.items():
            self._file(name).write_text(value)
        for name, value in optional.items():
            with suppress(OSError):
                self._file(name).write_text(value)

    def hits(self) -> set[Kind]:
        """Which limits the kernel enforced in this group so far."""
        memory = ("memory.events", "oom_kill") if self.version == 2 else ("memory.oom_control", "oom_kill")
        hits: set[Kind] = set()
        if self._counted(*memory):
            hits.add("memory")
        if self._counted("pids.events", "max"):
            hits.add("processes")
        return hits

    def remove(self) -> None:
        """Remove the group once its last process is gone; one that will not go is left for the next sweep. Blocks."""
        until = time.monotonic() + _REMOVE_SECONDS
        for folder in self.folders:
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.01)

    def _counted(self, name: str, key: str) -> int:
        with suppress(OSError, ValueError):
            for line in self._file(name).read_text().splitlines():
                word, _, number = line.partition(" ")
                if word == key:
                    return int(number)
        return 0

    def _file(self, name: str) -> Path:
        """The file of a controller; in version 1 each controller has a folder of its own."""
        return next((f / name for f in self.folders if (f / name).exists()), self.folders[0] / name)


def find_cgroups() -> Cgroups | None:
    """Where groups for boxes can be made on this host, tried out; None where they cannot."""
    for candidate in [*_version_2(), *_version_1()]:
        if _works(candidate):
            candidate.sweep()
            return candidate
    return None


def _works(candidate: Cgroups) -> bool:
    plenty = Limits(1 << 30, 100, 60, 100, 1 << 30, 1 << 20, 1 << 30)
    try:
        group = candidate.make(plenty)
    except OSError:
        return False
    try:
        enter = " && ".join(f"echo $$ > '{entry}'" for entry in group.entries)
        tried = subprocess.run(["/bin/sh", "-c", enter], capture_output=True, timeout=_TRIAL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        group.remove()
    return tried.returncode == 0


def _version_2() -> list[Cgroups]:
    root, own = _mounted("cgroup2", None), _own_path("")
    if root is None or own is None:
        return []
    found: list[Cgroups] = []
    folder = root / own.lstrip("/")
    while folder.is_relative_to(root):
        with suppress(OSError):
            passed_on = (folder / "cgroup.subtree_control").read_text().split()
            if {"memory", "pids"} <= set(passed_on) and os.access(folder, os.W_OK):
                found.append(Cgroups(2, (folder,)))
        if folder == root:
            break
        folder = folder.parent
    return found


def _version_1() -> list[Cgroups]:
    parents: list[Path] = []
    for controller in ("memory", "pids"):
        root, own = _mounted("cgroup", controller), _own_path(controller)
        if root is None or own is None:
            return []
        folder = root / own.lstrip("/")
        # In a container the path is the host's, and what is mounted is our own part of it.
        parents.append(folder if folder.is_dir() else root)
    return [Cgroups(1, tuple(dict.fromkeys(parents)))] if all(os.access(p, os.W_OK) for p in parents) else []


def _mounted(kind: str, controller: str | None) -> Path | None:
    with suppress(OSError):
        for line in _MOUNTS.read_text().splitlines():
            _, where, what, options, *_ = line.split()
            if what == kind and (controller is None or controller in options.split(",")):
                return Path(where)
    return None


def _own_path(controller: str) -> str | None:
    with suppress(OSError):
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return path
    return None
