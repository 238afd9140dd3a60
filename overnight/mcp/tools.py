"""The tools, what a client may assume of each, and which are always in its sight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from overnight.mcp.acting import claude_autonomous_cancel, claude_autonomous_control, claude_autonomous_steer
from overnight.mcp.approving import claude_autonomous_approve
from overnight.mcp.knowing import claude_knowledge_search, claude_learn_from_session
from overnight.mcp.looking import (
    claude_autonomous_diff,
    claude_autonomous_events,
    claude_autonomous_list,
    claude_autonomous_status,
    claude_autonomous_wait,
)
from overnight.mcp.starting import claude_autonomous


class Hints(NamedTuple):
    """What a client may assume of a tool, all four said."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


LOOKS = Hints(read_only=True, destructive=False, idempotent=True, open_world=False)
ALWAYS_LOADED = {"anthropic/alwaysLoad": True}

TOOLS: tuple[tuple[Callable[..., Awaitable[Any]], str, Hints, bool], ...] = (
    (claude_autonomous, "Start an autonomous session", Hints(False, True, True, True), True),
    (claude_autonomous_status, "Status of a session", LOOKS, True),
    (claude_autonomous_wait, "Wait for sessions", LOOKS, True),
    (claude_autonomous_list, "List sessions", LOOKS, False),
    (claude_autonomous_control, "Pause or resume a session", Hints(False, False, True, True), False),
    (claude_autonomous_steer, "Steer a session", Hints(False, False, False, True), False),
    (claude_autonomous_approve, "Ask the person to approve", Hints(False, True, True, True), False),
    (claude_autonomous_cancel, "Cancel a session", Hints(False, True, True, False), False),
    (claude_autonomous_events, "Events of a session", LOOKS, False),
    (claude_autonomous_diff, "What a session changed", LOOKS, False),
    (claude_knowledge_search, "Search knowledge", LOOKS, False),
    (claude_learn_from_session, "Learn from a session", Hints(False, False, True, False), False),
)
"""Function, title, hints, and whether its schema is always in a client's sight."""
