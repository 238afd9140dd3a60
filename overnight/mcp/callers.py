"""Who calls, and what that caller may do: told from request to tools beside the arguments, never within them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, get_args

from overnight.reach import EVERYTHING, Reach

Scope = Literal["read", "control", "approve"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

MEANINGS: dict[Scope, str] = {
    "read": "look at sessions",
    "control": "start, steer, pause and cancel sessions",
    "approve": "answer approvals, as a person at that client",
}


@dataclass(frozen=True)
class Caller:
    """Somebody with a way in."""

    name: str
    """For logs and limits; the same for all requests of one token."""
    scopes: frozenset[Scope] = field(default_factory=lambda: frozenset(SCOPES))
    reach: Reach = EVERYTHING


LOCAL = Caller("local")
"""Whoever started this process to talk to it: the same person as at the terminal."""
NOBODY = Caller("nobody", frozenset(), Reach(owner="", projects=()))
"""What runs in a server for many and was not asked for by any of them: it sees nothing."""

_CURRENT: ContextVar[Caller] = ContextVar("caller", default=LOCAL)
_HOLDS: ContextVar[Callable[[], bool]] = ContextVar("holds", default=lambda: True)


def current() -> Caller:
    """Who calls now; in a server for many, ``NOBODY`` outside of requests."""
    return _CURRENT.get()


def holds() -> bool:
    """Whether who calls may still come in: a token can be revoked, or end, while its call is under way."""
    return _HOLDS.get()()


@contextmanager
def calling(caller: Caller, holds: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """For what runs within, tasks begun there included, ``caller`` is who calls, as long as ``holds`` says so.

    A server for many that follows all sessions by itself does so as ``LOCAL``, and owes each listener to tell it of
    nothing but what is within that listener's reach.
    """
    before, held = _CURRENT.set(caller), _HOLDS.set(holds)
    try:
        yield
    finally:
        _HOLDS.reset(held)
        _CURRENT.reset(before)
