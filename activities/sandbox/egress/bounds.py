"""How much a box may ask of its proxy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Limits of one box."""

    connections: int = 256
    """At once. More wait in the kernel's queue while others end, and are refused in words when none does."""
    queue_s: float = 10.0
    """How long after the last one ended those that wait are refused."""
    header_bytes: int = 65_536
    """Head of a request or an answer."""
    header_s: float = 30.0
    """For a whole head, however it drips."""
    lookup_s: float = 15.0
    """For the addresses of a name."""
    connect_s: float = 15.0
    """For a connection, all addresses together."""
    idle_s: float = 600.0
    """Without a byte in either direction."""
