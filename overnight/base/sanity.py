"""Settings that can be read but should not be: folders that give too much away, limits that leave too little."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from overnight.base.chosen import variable
from overnight.base.settings import Settings

READABLE = "OVERNIGHT_SANDBOX_READABLE"

_ENOUGH: dict[str, float] = {
    "box_memory_gb": 1,
    "box_processes": 250,
    "box_cpu_minutes": 5,
    "box_open_files": 1024,
    "box_file_gb": 0.1,
    "box_output_mb": 5,
    "box_disk_gb": 1,
}
"""Below these, Claude Code itself, a build or a test run of the usual size is ended."""


def exposing(settings: Settings, *, masked: bool = True) -> list[str]:
    """Folders to show in the sandbox that hold what it must not see, or are part of it, in words.

    Without ``masked`` those are left out in which only ``OVERNIGHT_HOME`` lies: every box hides that all the same.
    """
    places = [place for place in _hidden(settings) if masked or not place.masked]
    shown = [(folder, _real(folder)) for folder in settings.sandbox_readable]
    met = [(folder, next((place for place in places if place.meets(real)), None)) for folder, real in shown]
    return [
        f"{READABLE}: {folder} holds or belongs to {place.name}, which nothing in the sandbox may see; name the folder"
        f" of the tools themselves, such as {READABLE}=/srv/tools"
        for folder, place in met
        if place is not None
    ]


def missing(settings: Settings) -> list[str]:
    """Folders to show in the sandbox that are not there, in words."""
    return [
        f"{READABLE}: {folder} is no folder, so nothing of it is shown in the sandbox; correct it or take it out"
        for folder in settings.sandbox_readable
        if not folder.is_dir()
    ]


def tight(settings: Settings) -> list[str]:
    """Limits of a sandbox that most work does not fit into, in words."""
    said = []
    for name, enough in _ENOUGH.items():
        value = getattr(settings, name)
        if value is not None and value < enough:
            said.append(f"{variable(name)}={value:g} is very little: sessions will hit it; usual is {enough:g} or more")
    return said


@dataclass(frozen=True)
class _Place:
    """Where something is that the sandbox must not see."""

    path: Path
    name: str
    masked: bool = False
    parts_too: bool = True
    """Whether a part of it alone must not be seen, either."""

    def meets(self, folder: Path) -> bool:
        return self.path.is_relative_to(folder) or (self.parts_too and folder.is_relative_to(self.path))


def _hidden(settings: Settings) -> list[_Place]:
    ours = "OVERNIGHT_HOME (every session's work, the vault, the engine's state)"
    places = [_Place(_real(settings.home), ours, masked=True)]
    if (vault := _local_vault(settings)) is not None:
        places.append(_Place(_real(vault), "the vault"))
    # Tool chains in the home are what the setting is for.
    return [*places, _Place(_real(Path.home()), "the home folder, credentials included", parts_too=False)]


def _local_vault(settings: Settings) -> Path | None:
    url = (settings.vault_url or "").removeprefix("file://")
    return Path(url) if url.startswith("/") else None


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path
