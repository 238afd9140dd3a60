"""The demo's stage: a home of its own, and an environment in which nothing of the person's own can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MARK = "overnight-demo"
"""File that tells a demo's home from a person's."""

KEY = "demo-key"
GRACE_SECONDS = 5

_FOREIGN = ("ANTHROPIC_", "CLAUDE", "TEMPORAL_", "OVERNIGHT_")
_KEPT = frozenset(
    f"OVERNIGHT_{name}"
    for name in ("CLAUDE_PATH", "SANDBOX_READABLE", "ALLOW_UNSANDBOXED", "TURN_SLOTS", "LOG_LEVEL", "LOG_FORMAT")
)
"""About this machine, not about the person's own stack."""


class StageError(Exception):
    """The demo cannot be played there, in words."""


def prepare(home: Path, own: Path) -> Path:
    """Make ``home`` the demo's, and return it. Raises ``StageError`` when it is somebody's already, such as ``own``."""
    try:
        place = home.expanduser().absolute()
        if place.resolve() == own.resolve():
            raise StageError(f"{place} is your own home for Overnight; the demo needs another (--home PATH)")
    except RuntimeError as error:  # the home of nobody, or links in a circle
        raise StageError(f"{home} cannot be the demo's home: {error}") from None
    try:
        if place.exists() and not (place / MARK).is_file() and (not place.is_dir() or any(place.iterdir())):
            raise StageError(f"{place} is not empty and no demo's home; choose another (--home PATH)")
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / MARK).write_text("Home of `overnight demo`. May be deleted when its stack is down.\n")
    except OSError as error:
        raise StageError(f"{place} cannot be the demo's home: {error.strerror}") from None
    return place


def environment(given: Mapping[str, str], home: Path, model_url: str) -> dict[str, str]:
    """``given`` without credentials, proxies and settings of the person's own, pointed at the scripted model."""
    kept = {name: value for name, value in given.items() if not _is_foreign(name)}
    return {
        **kept,
        "OVERNIGHT_HOME": str(home),
        "OVERNIGHT_GRACE_SECONDS": str(GRACE_SECONDS),
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": KEY,
    }


def _is_foreign(name: str) -> bool:
    if name.lower().endswith("_proxy"):
        return True
    return name.startswith(_FOREIGN) and name not in _KEPT
