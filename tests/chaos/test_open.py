"""A hundred open sessions: no tool of the MCP server blocks, and lists find every one of them."""

from __future__ import annotations

import asyncio
import re
import statistics
from functools import partial
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

import mcp_server
from overnight.demo.reply import Hang
from overnight.mcp.engine import Engine
from tests.chaos.yard import environment, yard
from tests.mcp.conftest import NOT_YET, text_of
from tests.promptness import LONGEST, promptly
from tests.sessions.plays import GOAL, WRITES_IT, by_iteration, play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

OPEN = 100
AT_ONCE = 10
STARTS = "claude_autonomous"


def is_busy(result: CallToolResult) -> bool:
    """Whether nobody had the time to answer, which is said in time."""
    return result.is_error and re.search(NOT_YET, text_of(result)) is not None


async def test_with_a_hundred_sessions_open_no_call_blocks() -> None:
    took: list[float] = []

    async def timed(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await promptly(
            partial(client.call_tool, tool, arguments), busy=None if tool == STARTS else is_busy, took=took
        )
        return {"refused": text_of(result)} if result.is_error else result.structured_content or {}

    async with yard(turn_slots=2) as place:
        names = [f"open-{n}-{place.nonce}" for n in range(OPEN)]
        for name in names:
            place.stage.plays[name] = play(by_iteration(WRITES_IT), plan=Hang())
        with environment(place.given()):
            async with Client(mcp_server.build(Engine(place.settings))) as client:

                async def start(name: str) -> None:
                    while "refused" in await timed(client, STARTS, goal=GOAL, session_id=name):
                        await asyncio.sleep(0.5)

                for n in range(0, OPEN, AT_ONCE):
                    await asyncio.gather(*(start(name) for name in names[n : n + AT_ONCE]))
                took.clear()
                for name in names[::AT_ONCE]:
                    told = await asyncio.gather(
                        timed(client, "claude_autonomous_status", session_id=name),
                        timed(client, "claude_autonomous_status", session_id=name, detail="full"),
                        timed(client, "claude_autonomous_events", session_id=name),
                        timed(client, "claude_autonomous_list", limit=100),
                        timed(client, "claude_autonomous_list", query=name),
                        timed(client, "claude_autonomous_steer", session_id=name, guidance="Mind the umlauts."),
                        timed(client, "claude_autonomous_control", session_id=name, action="pause"),
                    )
                    assert not [one for one in told if "refused" in one]
                    assert [row["session_id"] for row in told[4]["sessions"]] == [name]
                found: list[str] = []
                cursor: dict[str, str] = {}
                while True:
                    page = await timed(client, "claude_autonomous_list", limit=30, **cursor)
                    found += [row["session_id"] for row in page["sessions"]]
                    if page["next_cursor"] is None:
                        break
                    cursor = {"cursor": page["next_cursor"]}
                assert sorted(found) == sorted(names), "each once"
                waited = (
                    await client.call_tool(
                        "claude_autonomous_wait", {"session_ids": names[1:10], "until": "end", "timeout_seconds": 2}
                    )
                ).structured_content
                assert (waited or {})["timed_out"] is True
                assert statistics.median(took) < LONGEST / 2
