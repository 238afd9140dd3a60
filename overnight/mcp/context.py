"""What every tool is called with."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context

from overnight.mcp.engine import Engine

Ctx = Context[Engine, Any]


def engine_of(ctx: Ctx) -> Engine:
    """The way to the sessions, for a call."""
    return ctx.request_context.lifespan_context
