"""What a box was not let to: kept for people, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

MAX_TARGETS = 50
MAX_BYTES = 120


@dataclass(frozen=True)
class Blocked:
    """A destination that was refused."""

    target: str
    """``host:port``, or "and N other attempts" for all that came when there was no room for more."""
    reason: str
    count: int
    """How often."""


class BlockedLog:
    """Counts refusals by destination and reason: the first 50, and how many others."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._others = 0

    def add(self, target: str, reason: str) -> None:
        key = (clean(target), clean(reason))
        if key in self._counts or len(self._counts) < MAX_TARGETS:
            self._counts[key] = self._counts.get(key, 0) + 1
        else:
            self._others += 1

    def entries(self) -> list[Blocked]:
        """What was refused, in the order in which it first was; at most 51 entries."""
        told = [Blocked(target, reason, count) for (target, reason), count in self._counts.items()]
        if self._others:
            told.append(Blocked(f"and {self._others} other attempts", "at other destinations", self._others))
        return told


def clean(text: str) -> str:
    """At most 120 bytes of ``text`` without what moves a cursor or hides: a box chooses the names it asks for."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: MAX_BYTES * 2])
    encoded = shown.encode(errors="replace")
    return shown if len(encoded) <= MAX_BYTES else encoded[: MAX_BYTES - 3].decode(errors="ignore") + "…"
