"""What a worker says of itself in ``worker.json``: that it serves, or what keeps it from that."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psutil
import structlog
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
POLLING_SECONDS = 10.0
ASK_SECONDS = 0.02


class Announcement:
    """``worker.json`` of this process, which the supervisor reads."""

    def __init__(self, home: Path, *, credential: str | None = None, problem: str | None = None) -> None:
        """``credential``: which one it holds, in opaque words. ``problem``: why it does not serve."""
        self._home = home
        self._text = json.dumps(
            {
                "pid": os.getpid(),
                "create_time": psutil.Process().create_time(),
                "ready": problem is None,
                "credential": credential,
                "problem": problem,
            }
        )

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._home / "worker.json"

    def write(self) -> None:
        """Put it there; a reader sees the old or the new, never a part. Raises ``OSError``."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, fresh = tempfile.mkstemp(dir=self._home, prefix=".worker.")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(self._text)
            Path(fresh).replace(self.path)
        except OSError:
            Path(fresh).unlink(missing_ok=True)
            raise

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Have it there as long as the context lasts: what is lost or damaged is written again within seconds."""
        self.write()
        task = asyncio.create_task(self._mend())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _mend(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(OSError):  # as on a full disk, or of a home that is gone: the work goes on
                if self._home.is_dir() and not self._is_there():
                    self.write()
                    log.warning("written again, as it was lost or damaged", file=str(self.path))

    def _is_there(self) -> bool:
        try:
            with self.path.open("rb") as file:
                return file.read(len(self._text.encode()) + 1) == self._text.encode()
        except FileNotFoundError:
            return False


async def until_polling(client: Client, workers: Sequence[Worker], seconds: float = POLLING_SECONDS) -> bool:
    """Return True once Temporal has all ``workers`` waiting for work; False when it has not after ``seconds``.

    A worker that was only just entered asks for nothing yet, so that whoever relies on it finds nobody.
    """
    missing = {(worker.task_queue, kind) for worker in workers for kind in _kinds(worker)}
    deadline = time.monotonic() + seconds
    while missing and time.monotonic() < deadline:
        for queue, kind in sorted(missing):
            with suppress(RPCError):
                if await _polls(client, queue, kind):
                    missing.discard((queue, kind))
        if missing:
            await asyncio.sleep(ASK_SECONDS)
    if missing:
        log.warning("Temporal does not know that this worker polls", queues=sorted({queue for queue, _ in missing}))
    return not missing


def _kinds(worker: Worker) -> list[TaskQueueType.ValueType]:
    config = worker.config()
    kinds: list[TaskQueueType.ValueType] = []
    if config.get("workflows"):
        kinds.append(TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
    if config.get("activities"):
        kinds.append(TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    return kinds


async def _polls(client: Client, queue: str, kind: TaskQueueType.ValueType) -> bool:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind),
        timeout=timedelta(seconds=1),
    )
    return any(poller.identity == client.identity for poller in described.pollers)
