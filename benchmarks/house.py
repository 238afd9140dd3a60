"""An installation as a person would have it, with a model of ours; when it is left, nothing of it is there any more."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from temporalio.client import Client

from activities.workspace import remove
from overnight.base.settings import Settings
from overnight.base.temporal import connect
from overnight.client import Sessions
from overnight.demo.server import ScriptedModel
from overnight.stack import Stack, down, ensure_up
from tests.chaos.yard import command_lines, environment

MIB = 2**20


@dataclass
class House:
    """Supervisor, Temporal server and worker, in a home of their own."""

    place: Path
    """A folder that goes with it."""
    settings: Settings
    stack: Stack
    client: Client
    cold_seconds: float
    """What it took to come up."""
    folders: int = 0

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.client, self.settings, ui_url=None)

    def folder(self) -> Path:
        """A new one, for a bare loop."""
        self.folders += 1
        return self.place / f"bare-{self.folders}"

    def memory(self, which: str) -> float:
        """Resident memory of ``worker``, ``server`` or ``supervisor``, in MiB."""
        return float(psutil.Process(getattr(self.stack, which).pid).memory_info().rss) / MIB


@asynccontextmanager
async def house(model: ScriptedModel) -> AsyncIterator[House]:
    """An installation whose Claude Code talks to ``model``, which is running."""
    place = _folder()
    person = place / "person"
    given = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(person)}
    given |= {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "benchmark"}
    try:
        with environment(given):
            settings = Settings(home=place / "home")
            began = time.monotonic()
            stack = await asyncio.to_thread(ensure_up, settings, wait_seconds=60)
        try:
            client = await connect(stack.address)
            yield House(place, settings, stack, client, time.monotonic() - began)
        finally:
            await asyncio.to_thread(down, settings)
        assert command_lines(str(place)) == []
    finally:
        remove(place)


def _folder() -> Path:
    place = Path(tempfile.mkdtemp(prefix="overnight-benchmark-")).resolve()
    (place / "person").mkdir()
    return place
