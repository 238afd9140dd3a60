"""A box's own devices, for a worker whose user owns the host's.

To the kernel, a box of a root worker owns what root owns: it could change the mode of the host's ``/dev/null`` and lock
everybody else out of it. So that worker makes the few devices of each box anew, and no mode of theirs matters.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

NAMES = ("null", "zero", "full", "random", "urandom", "tty")
"""What bubblewrap's own ``/dev`` has of the host."""


def makes_devices() -> bool:
    """Whether the host's devices belong to this process's user, so that a box needs its own."""
    return Path("/dev/null").stat().st_uid == os.geteuid()


def make_devices(folder: Path) -> list[Path]:
    """Devices as the host's, in ``folder``, which is made; those that the host has.

    Raises ``OSError`` where this user may not make devices, or none would work there.
    """
    folder.mkdir(mode=0o700)
    made: list[Path] = []
    for name in NAMES:
        of_host = Path("/dev", name)
        if not of_host.exists():
            continue
        device = folder / name
        os.mknod(device, stat.S_IFCHR | 0o600, of_host.stat().st_rdev)
        device.chmod(0o666)
        made.append(device)
    os.close(os.open(folder / "null", os.O_RDWR | os.O_CLOEXEC))
    return made


def can_make_devices() -> bool:
    """Whether every box has devices that nobody else uses, or that it does not own."""
    if not makes_devices():
        return True
    try:
        with tempfile.TemporaryDirectory(prefix="dev-") as folder:
            make_devices(Path(folder, "dev"))
    except OSError:
        return False
    return True
