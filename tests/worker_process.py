"""A worker in a process of its own, for tests that kill it and start it again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass
class WorkerProcess:
    """``worker.py``, or a program that runs it, as the stack would start it."""

    home: Path
    env: dict[str, str]
    program: Path = ROOT / "worker.py"
    where: tuple[str, ...] = ()
    """In front of its command: what takes it to where it is to run."""
    process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.home / "logs" / "worker.log"

    async def start(self) -> None:
        """Return when it says that it is ready."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        (self.home / "worker.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.where, sys.executable, "-P", str(self.program)),
                cwd="/",
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not self._ready():
            assert self.process.returncode is None, self.log.read_text()[-3_000:]
            await asyncio.sleep(0.05)

    def _ready(self) -> bool:
        try:
            said = json.loads((self.home / "worker.json").read_text())
        except (OSError, ValueError):
            return False
        assert said["problem"] is None, said
        return bool(said["pid"] == self.pid)

    async def kill(self) -> None:
        """kill -9: it has no time for anything."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        """As the stack stops it."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), 40)
        except TimeoutError:
            await self.kill()
