"""What a caller's scopes open, and how a long call ends when its server has to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from mcp import MCPError
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import INVALID_REQUEST, Tool

from overnight.mcp import callers
from overnight.mcp.callers import MEANINGS, Scope
from overnight.mcp.lifetime import LeavingError, until
from overnight.mcp.limits import AtOnce, TooManyError

T = TypeVar("T")

_OPEN = frozenset(
    {"initialize", "ping", "server/discover", "tools/list", "prompts/list", "prompts/get", "logging/setLevel"}
)
"""What tells nothing of sessions."""
_READ = ("resources/", "completion/", "subscriptions/")
_OF_METHODS: dict[str, Scope | None] = {
    "tools/call": None,  # decided for each tool, where it is called
    "tasks/get": "read",
    "tasks/update": "approve",
    "tasks/cancel": "control",
}

LEAVING = (
    "This server is being stopped or started anew, so it ends this wait early. Nothing has happened to the sessions:"
    " wait again in 5 seconds."
)

GONE = (
    "The token of this call does not hold any more: it was revoked, or its time is over. So the wait is ended; nothing"
    " has happened to the sessions. The person who runs the server can make another: `overnight mcp token add`."
)
HOLDS_SECONDS = 2.0
"""How often a wait looks whether its caller may still come in."""


def scope_of_tool(tool: Tool) -> Scope:
    """The scope that a tool needs: whatever does not say that it only looks, needs more than looking."""
    if tool.name.endswith("_approve"):
        return "approve"
    return "read" if tool.annotations is not None and tool.annotations.read_only_hint is True else "control"


def scope_of_method(method: str) -> Scope | None:
    """The scope that a method of the protocol needs; None for one that tells nothing of sessions."""
    if method in _OPEN or method.startswith("notifications/"):
        return None
    if method in _OF_METHODS:
        return _OF_METHODS[method]
    return "read" if method.startswith(_READ) else "control"


def _missing(what: str, scope: Scope) -> str | None:
    caller = callers.current()
    if scope in caller.scopes:
        return None
    have = ", ".join(one for one in callers.SCOPES if one in caller.scopes) or "none"
    return (
        f"{what} needs the scope {scope!r} ({MEANINGS[scope]}); this token has: {have}. Calling again does not help."
        " The person who runs the server can make a token with it: `overnight mcp token add`."
    )


async def methods(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    """A middleware: methods of the protocol by scope. Raises ``MCPError``."""
    scope = scope_of_method(ctx.method)
    if scope is not None and (problem := _missing(ctx.method, scope)) is not None:
        raise MCPError(INVALID_REQUEST, problem)
    return await call_next(ctx)


class Access:
    """Whom a server lets call its tools, and how long calls may be held."""

    def __init__(self, waits: AtOnce | None = None) -> None:
        self._waits = waits or AtOnce(1_000, "waits")
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """End waits that are under way, and those to come, in words."""
        self._leaving.set()

    async def call(self, tool: Tool, calling: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What ``calling`` returns, if the caller may. Raises ``ToolError``."""
        if (problem := _missing(tool.name, scope_of_tool(tool))) is not None:
            raise ToolError(problem)
        if not tool.name.endswith("_wait"):
            return await calling()
        try:
            with self._waits.one(callers.current().name):
                result = await until(self._over(), calling())
        except TooManyError as error:
            raise ToolError(str(error)) from None
        except LeavingError:
            raise ToolError(LEAVING if callers.holds() else GONE) from None
        if not callers.holds():
            raise ToolError(GONE)
        return result

    async def _over(self) -> None:
        """Returns when a wait has to end."""
        while not self._leaving.is_set() and callers.holds():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), HOLDS_SECONDS)
