"""How long a caller waits in all, over every exchange that its call makes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

WORDLESS_SECONDS = 1.5
"""What a person who waits has to read in, be it only what they wait for."""
_LEAST = 0.05
"""Seconds that an exchange gets even when nothing is left: what answers at once still answers."""
_until: ContextVar[float | None] = ContextVar("patience", default=None)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """What is done inside takes ``seconds`` in all, or less where a bound around it says so."""
    until, outer = time.monotonic() + seconds, _until.get()
    token = _until.set(until if outer is None else min(until, outer))
    try:
        yield
    finally:
        _until.reset(token)


@contextmanager
def keeping(seconds: float) -> Iterator[None]:
    """What is done inside leaves ``seconds`` of the patience for what comes after it."""
    until = _until.get()
    token = _until.set(None if until is None else until - seconds)
    try:
        yield
    finally:
        _until.reset(token)


@contextmanager
def as_long_as_it_takes() -> Iterator[None]:
    """What is done inside is no part of the call around it, and its exchanges have their own bounds only."""
    token = _until.set(None)
    try:
        yield
    finally:
        _until.reset(token)


def left(most: float) -> float:
    """Seconds for one exchange: at most ``most``, and no more than there are."""
    until = _until.get()
    return most if until is None else max(_LEAST, min(most, until - time.monotonic()))
