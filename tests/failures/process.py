"""A worker in a process of its own, as the stack starts it, with a scripted model and a connection to its sessions."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.server import ScriptedModel
from tests.failures.misbehaviour import Log
from tests.sessions.conftest import SECRET

ROOT = Path(__file__).parents[2]
NAMESPACE = "apart"


@dataclass
class WorkerProcess:
    """``worker.py``; killed without a word, and started again."""

    home: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    async def start(self) -> None:
        """Return when it says that it is ready."""
        with (self.home / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it outlives this function
                [sys.executable, str(ROOT / "worker.py")], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )
        while not self._ready():
            assert self.process.poll() is None, (self.home / "worker.log").read_text()[-3_000:]
            await asyncio.sleep(0.05)

    def _ready(self) -> bool:
        try:
            said = json.loads((self.home / "worker.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(self.process and said["pid"] == self.process.pid)

    def kill(self) -> None:
        """kill -9: it has no time for anything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def stop(self) -> None:
        """As the stack stops it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 30)


@dataclass
class Apart:
    """An installation whose worker can be killed."""

    sessions: Sessions
    stage: Log
    model: ScriptedModel
    worker: WorkerProcess


@asynccontextmanager
async def installation(engine: WorkflowEnvironment, home: Path, **variables: str) -> AsyncIterator[Apart]:
    """A worker process with its home in ``home``, in a namespace of its own."""
    stage = Log()
    address = engine.client.service_client.config.target_host
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage, keep=5_000))
        env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": SECRET,
            "OVERNIGHT_HOME": str(home),
            "OVERNIGHT_GRACE_SECONDS": "1",
            **variables,
        }
        worker = WorkerProcess(home, env)
        stack.push_async_callback(worker.stop)
        await worker.start()
        client = await Client.connect(address, namespace=NAMESPACE, data_converter=pydantic_data_converter)
        yield Apart(Sessions(client, Settings(home=home), ui_url=None), stage, model, worker)
