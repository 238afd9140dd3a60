"""What a caller wants of a session's events, and what of several sessions it has seen already."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from workflows.contracts.state import Event, Status
from workflows.contracts.status import SessionStatus

Level = Literal["info", "warning", "error"]

_LEVELS: tuple[Level, ...] = ("info", "warning", "error")
_OF_KIND: dict[str, Level] = {"error": "error", "limit": "warning", "approval": "warning"}


def level_of(event: Event) -> Level:
    """How urgent an event is: something failed, the session waits or needs a person, or work as usual."""
    return _OF_KIND.get(event.kind, "info")


@dataclass(frozen=True)
class Choice:
    """Which events: with a number above ``after``, of some kinds (all when empty), the oldest or newest of them."""

    after: int = 0
    limit: int = 50
    kinds: tuple[str, ...] = ()
    min_level: Level = "info"
    tail: bool = False

    def fits(self, event: Event) -> bool:
        """Whether it was asked for."""
        urgent = _LEVELS.index(level_of(event)) >= _LEVELS.index(self.min_level)
        return event.seq > self.after and urgent and (not self.kinds or event.kind in self.kinds)


def mark(known: SessionStatus) -> str:
    """How a session stands, in eight characters: another mark means that something happened that matters."""
    waits = known.approval.request if known.approval is not None else ""
    # What Temporal tries again says so in the reason, and is no change.
    reason = "" if known.status is Status.RUNNING else known.reason
    told = (known.session_id, known.status.value, known.phase, str(known.iteration), waits, reason)
    return hashlib.sha256("\0".join(told).encode()).hexdigest()[:8]


def marks(known: list[SessionStatus]) -> str:
    """A cursor: how all these sessions stand."""
    return ".".join(mark(one) for one in known)
