"""When a stdio server has to go: a signal, or the end of whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal

POLL_SECONDS = 0.5


async def told_to_leave(parent: int) -> str:
    """Returns, with the reason, on SIGTERM, SIGINT, SIGHUP, or when ``parent`` is no longer this process's parent.

    The parent's death is looked for, not signalled: the kernel's own signal comes as soon as the *thread* that
    started this process ends. Some clients leave the other end of our standard input open with somebody else.
    """
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def tell(why: str) -> None:
        if not told.done():
            told.set_result(why)

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, tell, name.name)
    while not told.done():
        if os.getppid() != parent:
            tell("the client ended")
        await asyncio.wait({told}, timeout=POLL_SECONDS)
    return told.result()
