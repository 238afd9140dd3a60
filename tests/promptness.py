"""The promise that no call blocks, tried on a machine that may itself stand still for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST = 2.0
"""Seconds that a call may take."""
TRIES = 4


async def promptly(
    ask: Callable[[], Awaitable[T]], *, busy: Callable[[T], bool] | None = None, took: list[float] | None = None
) -> T:
    """The answer of the first try that takes no longer than a call may, and is not ``busy``.

    A call that blocks does so each time; a machine that stands still just then does not do so four times. What each
    try took, in seconds, is added to ``took``.
    """
    tries: list[float] = []
    for _ in range(TRIES):
        began = time.monotonic()
        answer = await ask()
        tries.append(time.monotonic() - began)
        if took is not None:
            took.append(tries[-1])
        if tries[-1] < LONGEST and not (busy and busy(answer)):
            return answer
        await asyncio.sleep(1)
    raise AssertionError(f"{ask} took {tries} s")
