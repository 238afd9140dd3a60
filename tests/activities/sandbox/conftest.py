"""A bench for boxes: a home, a workspace, and commands that run in a box on this very host."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from activities.sandbox import Box, Ended, Isolation, Launcher, find_isolation, run_command
from overnight.base.settings import Settings


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    return find_isolation()


class Bench:
    """One installation and one workspace."""

    def __init__(self, folder: Path, isolation: Isolation, settings: Settings | None = None) -> None:
        self.home = folder / "overnight-home"
        self.work = folder / "work"
        self.log = folder / "log"
        for place in (self.home, self.work):
            place.mkdir(exist_ok=True)
        (self.home / "state").write_text("the engine's own")
        self.settings = (settings or Settings()).model_copy(update={"home": self.home})
        self.launcher = Launcher(self.settings, isolation)
        self.box = Box(workspace=self.work)

    def with_settings(self, **changed: object) -> Bench:
        """The same place under other settings."""
        settings = self.settings.model_copy(update=changed)
        return Bench(self.home.parent, self.launcher.isolation, settings)

    def without_cgroups(self) -> Bench:
        """The same place where the kernel does not count for us."""
        return Bench(self.home.parent, replace(self.launcher.isolation, cgroups=None), self.settings)

    async def run(self, command: str, *, seconds: float = 120, box: Box | None = None) -> tuple[Ended, str]:
        """How a command ended, and what it printed."""
        ended = await run_command(
            self.launcher, box or self.box, command, seconds=seconds, log=self.log, stop=asyncio.Event()
        )
        return ended, self.log.read_text(errors="replace")


@pytest.fixture
def bench(tmp_path: Path, isolation: Isolation) -> Bench:
    return Bench(tmp_path, isolation)
