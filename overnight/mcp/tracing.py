"""A client's trace context from the HTTP header, for clients that put none into the message itself."""

from __future__ import annotations

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from overnight.base.tracing import joined
from overnight.mcp.server import OvernightServer


def add(server: OvernightServer) -> None:
    """Let the spans of ``server`` join the trace that a request's ``traceparent`` header names.

    The message's own ``_meta`` comes first: the SDK reads that. Outermost, so that the SDK's span is inside.
    """
    server.middleware.insert(0, _from_header)


async def _from_header(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    headers = getattr(ctx.request, "headers", None)
    with joined(headers if headers is not None else {}):
        return await call_next(ctx)
