"""What a request would have the model's service reach on its behalf: a way out of the sandbox, past every rule.

The service itself can fetch pages, search, call MCP servers and load pictures by address. An agent can put any of these
into a request of its own, and an address can carry data out. None is among the tools that Claude Code gets here.
"""

from __future__ import annotations

import json
import re
from typing import Any

_NAMES = (
    b'"url"',
    b'"mcp_servers"',
    b'"mcp_toolset"',
    b'"web_search"',
    b'"web_fetch"',
    b'"code_execution"',
    b"\0",
)
_DATED_END = re.compile(rb'_20[0-9]{6}"')
_DATED = re.compile(rb'"[a-z_]+_20[0-9]{6}"')
_ESCAPED = re.compile(rb"\\u00[2-7]")
_OWN_TOOLS = ("bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_")
"""Tools with a type that run where the client is, or nowhere."""
_DEEPEST = 40
_MOST_PARTS = 1_000_000
"""More are no conversation; to read them would hold up the worker."""
_UNREADABLE = "a request that cannot be read"


def reaches_out(body: bytes) -> str | None:
    """What in this request would leave the sandbox by way of the service, in words; None for a request that does not.

    A request that cannot be read says so: the service may read it otherwise.
    """
    if not _is_suspect(body.lower()):
        return None
    if body.count(b"{") + body.count(b"[") + body.count(b",") > _MOST_PARTS:
        return _UNREADABLE
    try:
        asked = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return _UNREADABLE
    if not isinstance(asked, dict):
        return _UNREADABLE
    if asked.get("mcp_servers"):
        return "MCP servers that the service calls"
    for tool in asked.get("tools") or []:
        kind = str(tool.get("type") or "custom") if isinstance(tool, dict) else "custom"
        if kind != "custom" and not kind.startswith(_OWN_TOOLS):
            return f"the tool {kind[:60]!r}, which the service runs"
    return "content that the service fetches by its address" if _by_address(asked, _DEEPEST) else None


def _is_suspect(lowered: bytes) -> bool:
    """Whether there is something that none of these can do without. Quoted in a text, its quotes are escaped.

    Searches that begin with fixed bytes are several times faster than one for everything: 1 ms for 500 kB.
    """
    if any(name in lowered for name in _NAMES) or _ESCAPED.search(lowered):
        return True
    return _DATED_END.search(lowered) is not None and _DATED.search(lowered) is not None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which every name stands once: of two, the service may read the other one."""
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _by_address(part: Any, depth: int) -> bool:
    if depth == 0:
        return True
    if isinstance(part, list):
        return any(_by_address(item, depth - 1) for item in part)
    if not isinstance(part, dict):
        return False
    source = part.get("source")
    if isinstance(source, dict) and str(source.get("type", "")).lower() == "url":
        return True
    # What a tool was called with, and what a schema describes, is text to the service.
    return any(_by_address(v, depth - 1) for k, v in part.items() if k not in {"input", "input_schema"})
