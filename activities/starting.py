"""Programs are started whole or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any


async def started(*command: str | bytes | Path, **options: Any) -> asyncio.subprocess.Process:
    """Start a program in a session of its own; ``options`` are those of ``asyncio.create_subprocess_exec``.

    Whoever is cancelled meanwhile leaves nothing behind. asyncio by itself would kill the one process that it knows,
    and then wait until everybody lets go of its pipes: for ever, where that process was about to become two.

    Raises ``OSError``.
    """
    starting = asyncio.create_task(asyncio.create_subprocess_exec(*command, start_new_session=True, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_undo)
        await asyncio.wait({starting})
        raise


def _undo(starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        end_group(starting.result())


def end_group(process: asyncio.subprocess.Process) -> None:
    """Kill a program that ``started``, and all that it started itself and that did not leave its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
