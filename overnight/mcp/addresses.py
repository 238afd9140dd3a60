"""Addresses of what can be read of sessions: ``overnight://sessions`` and what is below it."""

from __future__ import annotations

import re

ROOT = "overnight://sessions"
PARTS = ("report", "plan", "events", "diff")

_ADDRESS = re.compile(rf"{re.escape(ROOT)}/(?P<id>[^/?#]{{1,200}})(?:/(?P<part>{'|'.join(PARTS)}))?(?:\?.*)?")


def address(session_id: str, part: str = "") -> str:
    """Where a session, or a part of what is known of it, can be read."""
    return f"{ROOT}/{session_id}/{part}" if part else f"{ROOT}/{session_id}"


def session_at(uri: str) -> str | None:
    """The session that an address is about; None for the index, and for what is no address of ours."""
    found = _ADDRESS.fullmatch(uri)
    return found["id"] if found else None


def part_at(uri: str) -> str:
    """Which part of a session an address names; empty for its status."""
    found = _ADDRESS.fullmatch(uri)
    return (found["part"] or "") if found else ""
