"""What a client suggests while a person types: ids of sessions, by their beginning or by a word of their goals."""

from __future__ import annotations

import asyncio

import structlog
from mcp.types import Completion, CompletionArgument
from temporalio.service import RPCError

from overnight.errors import SessionError
from overnight.mcp.engine import Engine

log = structlog.get_logger("mcp_server")

SECONDS = 1.5
AMONG = 200
"""The newest sessions, among which is looked."""
MOST = 100
"""Values that the protocol lets one answer have."""


async def complete(engine: Engine, argument: CompletionArgument) -> Completion:
    """The newest sessions that fit what was typed; nothing for an argument that is no session's id."""
    if argument.name != "session_id":
        return Completion(values=[])
    try:
        async with asyncio.timeout(SECONDS):
            sessions = await engine.looking()
            known = await sessions.list(limit=AMONG) if sessions else []
    except (SessionError, RPCError, TimeoutError) as error:
        log.info("nothing to suggest", error=str(error) or type(error).__name__)
        return Completion(values=[])
    typed = argument.value.strip().lower()[:200]
    first = [one.session_id for one in known if one.session_id.startswith(typed)]
    other = [one.session_id for one in known if typed in f"{one.session_id} {one.goal}".lower()]
    found = list(dict.fromkeys([*first, *other]))
    return Completion(values=found[:MOST], total=len(found), has_more=len(found) > MOST or len(known) == AMONG)
