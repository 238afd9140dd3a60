"""When a server has to go: a signal, or the end of whoever started it; and what is under way then."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.5


async def told_to_leave(parent: int | None) -> str:
    """Returns, with the reason, on SIGTERM, SIGINT, SIGHUP, or when ``parent`` is no longer this process's parent.

    Without a ``parent``, nobody's end counts; nor does SIGHUP ever for who was started to ignore it, as by ``nohup``.

    The parent's death is looked for, not signalled: the kernel's own signal comes as soon as the *thread* that
    started this process ends. Some clients leave the other end of our standard input open with somebody else.
    """
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def tell(why: str) -> None:
        if not told.done():
            told.set_result(why)

    deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for name in (signal.SIGTERM, signal.SIGINT, *([] if deaf else [signal.SIGHUP])):
        asyncio.get_running_loop().add_signal_handler(name, tell, name.name)
    if parent is None:
        return await told
    while not told.done():
        if os.getppid() != parent:
            tell("the client ended")
        await asyncio.wait({told}, timeout=POLL_SECONDS)
    return told.result()


class LeavingError(Exception):
    """The server had to leave, or its caller to go, before the work was done."""


async def until(leaving: Awaitable[object], work: Awaitable[T]) -> T:
    """What ``work`` returns. Raises ``LeavingError`` when ``leaving`` is over first; then the work is cancelled."""
    working, left = asyncio.ensure_future(work), asyncio.ensure_future(leaving)
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise LeavingError
    finally:
        left.cancel()
        working.cancel()
        await asyncio.wait({working})
