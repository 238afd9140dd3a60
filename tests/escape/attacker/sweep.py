"""Not one door after the other, but all that there are: what can be opened that should not be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.escape.attacker.kit import RefusedError, attempt

OWN = ("/workspace", "/tmp", "/home/agent", "/overnight/config", "/overnight/reports", "/dev", "/proc")
"""Mounts that a sandbox may write; what is below the last two is swept file by file."""
HARMLESS = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"}
SETTINGS = "/proc/sys/"
"""Figures that a person once chose: to be read, not to be written."""
FOR_EVERYBODY = {"/proc/pressure"}


def writable_mounts() -> str:
    """A mount of the host that is not read-only."""
    found: list[str] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        where, options = line.split()[4:6]
        if "rw" in options.split(",") and not any(where == own or where.startswith(f"{own}/") for own in OWN):
            found.append(where)
    return _told(found)


def writable_kernel() -> str:
    """A setting of the kernel, or a trigger, that opens for writing. Nothing is written."""
    return _told([path for path in _files("/proc", "/sys") if _opens(path, os.O_WRONLY)])


def private_kernel() -> str:
    """A file of the kernel that only its owner may read, and that opens all the same."""
    found = [path for path in _files("/proc", "/sys") if not _mode(path) & stat.S_IROTH and _opens(path, os.O_RDONLY)]
    return _told([path for path in found if not path.startswith(SETTINGS)])


def devices() -> str:
    """A device that is none of the usual ones."""
    found = [path for path in _files("/dev") if stat.S_ISCHR(_mode(path)) or stat.S_ISBLK(_mode(path))]
    return _told([p for p in found if p not in HARMLESS and not p.startswith("/dev/pts") and _opens(p, os.O_RDONLY)])


def private_files() -> str:
    """A file of the system that only root may read: keys and password files are such."""
    found = [path for path in _files("/etc", "/var", "/run", "/root", "/srv") if not _mode(path) & stat.S_IROTH]
    return _told([path for path in found if stat.S_ISREG(_mode(path)) and _opens(path, os.O_RDONLY)])


def main() -> None:
    sweeps: tuple[Callable[[], str], ...] = (
        writable_mounts, writable_kernel, private_kernel, devices, private_files,
    )  # fmt: skip
    for sweep in sweeps:
        attempt(f"sweep:{sweep.__name__}", sweep)


def _files(*places: str) -> Iterator[str]:
    """What is below these places, but for folders of processes."""
    for place in places:
        for root, folders, names in os.walk(place):
            if root == "/proc":
                folders[:] = [name for name in folders if not name.isdigit() and name not in {"self", "thread-self"}]
            yield from (path for name in names if (path := f"{root}/{name}") and not os.path.islink(path))


def _mode(path: str) -> int:
    with suppress(OSError):
        return os.lstat(path).st_mode
    return stat.S_IROTH


def _opens(path: str, how: int) -> bool:
    if any(path.startswith(place) for place in FOR_EVERYBODY):
        return False
    try:
        os.close(os.open(path, how | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _told(found: list[str]) -> str:
    if not found:
        raise RefusedError("none")
    return f"{len(found)}: {' '.join(found)}"


if __name__ == "__main__":
    main()
