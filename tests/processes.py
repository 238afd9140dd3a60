"""What runs on this machine, looked at while it comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

MOMENT_SECONDS = 20.0
"""What ends by itself may take on a machine under load; what was left behind stays for ever."""


def boxes() -> set[int]:
    """The sandboxes that this process has started, and that run."""
    return {p.pid for p in psutil.Process().children(recursive=True) if "bwrap" in _name(p)}


def named(home: Path) -> set[int]:
    """The processes with a path below ``home`` among their arguments."""
    found = psutil.process_iter(["cmdline", "status"])
    return {
        p.pid
        for p in found
        if p.info["status"] != psutil.STATUS_ZOMBIE and any(str(home) in arg for arg in p.info["cmdline"] or [])
    }


async def left_behind(look: Callable[[], set[int]], before: frozenset[int] | set[int] = frozenset()) -> set[int]:
    """What ``look`` still finds after a moment that was not there ``before``."""
    until = time.monotonic() + MOMENT_SECONDS
    while (left := look() - before) and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return left


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name() if process.status() != psutil.STATUS_ZOMBIE else ""
    return ""
