"""How much one caller may ask of one server process: so often, and so much at once."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_KNOWN = 10_000
"""Callers that are remembered; the one that was quiet longest is forgotten first."""


class TooManyError(Exception):
    """The caller has to wait, for ``seconds`` if that is known."""

    def __init__(self, message: str, seconds: int | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class Rate:
    """Requests per minute of each caller: a minute's worth at once, then as many as come back by the time."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """One request. Raises ``TooManyError``."""
        now = self._clock()
        left, then = self._left.pop(caller, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - then) * self._per_minute / 60)
        enough = left >= 1
        self._left[caller] = (left - 1 if enough else left, now)
        while len(self._left) > MAX_KNOWN:
            self._left.popitem(last=False)
        if not enough:
            seconds = max(1, math.ceil((1 - left) * 60 / self._per_minute))
            raise TooManyError(
                f"Too many requests: this server takes {self._per_minute:,} a minute from one caller."
                f" Try again in {seconds} s.",
                seconds,
            )


class AtOnce:
    """How many things of one kind a caller has under way."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._now: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """One more, until left. Raises ``TooManyError``."""
        if self._now[caller] >= self._most:
            raise TooManyError(
                f"Too many {self._what} at once: this server takes {self._most:,} of one caller."
                " Let one of them end first."
            )
        self._now[caller] += 1
        try:
            yield
        finally:
            self._now[caller] -= 1
            if not self._now[caller]:
                del self._now[caller]
