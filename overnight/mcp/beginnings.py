"""Starts that take longer than a call may: they go on by themselves, and the same call finds them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from overnight.base.patience import as_long_as_it_takes, left
from overnight.errors import UnreachableError
from overnight.started import Started

PATIENCE_SECONDS = 1.4
AGAIN_SECONDS = 3
FRESH_SECONDS = 10.0
"""How long what a start failed of is kept for whoever asks again."""


class StartingError(UnreachableError):
    """What was asked for is being started and is not there yet."""


class Beginnings:
    """What is being started now, by what was asked for."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._known: dict[str, _Beginning] = {}

    async def of(self, asked: str, start: Callable[[], Awaitable[tuple[Started, str]]]) -> tuple[Started, str]:
        """What ``start`` comes to; what it failed of when it was left to itself, after the same was ``asked`` before.

        Raises ``StartingError`` when that takes longer than a call may, and it goes on; whatever ``start`` raises. A
        caller that gives up before there is an answer takes a start back that nobody else waits for.
        """
        self._known = {key: one for key, one in self._known.items() if one.counts}
        if (one := self._known.get(asked)) is None:
            one = self._known[asked] = _Beginning(start)
        one.waiting += 1
        try:
            done, _ = await asyncio.wait({one.task}, timeout=left(self._patience))
        except asyncio.CancelledError:
            if one.waiting == 1:
                one.task.cancel()
            raise
        finally:
            one.waiting -= 1
        if not done:
            raise StartingError(
                "the session is still being started: Temporal or the worker is offline or busy, or its project is far"
                f" away. It goes on in the background: call again in {AGAIN_SECONDS} seconds"
            )
        self._known.pop(asked, None)
        return one.task.result()


class _Beginning:
    """One start, whoever waits for it."""

    def __init__(self, start: Callable[[], Awaitable[tuple[Started, str]]]) -> None:
        self.waiting = 0
        self.ended_at = 0.0
        with as_long_as_it_takes():
            self.task = asyncio.ensure_future(self._run(start))
        # Looked at, since nobody may ever ask again.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _run(self, start: Callable[[], Awaitable[tuple[Started, str]]]) -> tuple[Started, str]:
        try:
            return await start()
        finally:
            self.ended_at = time.monotonic()

    @property
    def counts(self) -> bool:
        """Whether it goes on, or failed a moment ago of something that another one would only fail of again."""
        if not self.task.done():
            return True
        failed = not self.task.cancelled() and not isinstance(self.task.exception(), StartingError | None)
        return failed and time.monotonic() - self.ended_at < FRESH_SECONDS
