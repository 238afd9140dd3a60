"""Clients and servers that go away in the middle: one session only, and none that is lost or touched."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client

from overnight.demo.reply import Hang
from tests.conformance.served import REAL, served
from tests.mcp.conftest import LONG, MODES, Mode, Place, call
from tests.mcp.test_stdio import SERVER, Wire, wire
from tests.sessions.plays import WRITES_IT, by_iteration, play

Moment = Literal["when it was sent", "when it is under way", "when the session is there"]
MOMENTS: tuple[Moment, ...] = ("when it was sent", "when it is under way", "when the session is there")
QUICK = ("when it is under way", True)


async def goals(client: Client, goal: str) -> list[str]:
    """Ids of the sessions with this goal."""
    rows = (await call(client, "claude_autonomous_list", query=goal, limit=100))["sessions"]
    return [row["session_id"] for row in rows if row["goal"] == goal]


async def progressed(spoken: Wire) -> None:
    """Returns when the server has begun to work on what came before: it answers what was asked after it."""
    await spoken.ask({"method": "ping"})


@pytest.mark.parametrize(
    ("moment", "kill"),
    [
        pytest.param(moment, kill, marks=[] if (moment, kill) == QUICK else LONG, id=f"{moment}-{how}")
        for moment in MOMENTS
        for kill, how in ((True, "server killed"), (False, "input closed"))
    ],
)
async def test_a_client_that_dies_in_its_start_has_one_session(place: Place, moment: Moment, kill: bool) -> None:
    """The same call again, as the client makes it that goes on from there, finds the session or starts it."""
    number = MOMENTS.index(moment) * 2 + kill
    goal = f"Wait for number {number}, then do nothing."
    use = {"claudecode/toolUseId": f"toolu_drop_{number}"}
    place.stage.usual, usual = play(by_iteration(WRITES_IT), plan=Hang()), place.stage.usual
    try:
        async with place.client() as watcher:
            async with wire(place, SERVER) as spoken:
                params = {"name": "claude_autonomous", "arguments": {"goal": goal}, "_meta": use}
                await spoken.send({"method": "tools/call", "params": params, "id": 1_000})
                if moment == "when it is under way":
                    await progressed(spoken)
                if moment == "when the session is there":
                    async with asyncio.timeout(120):
                        while not await goals(watcher, goal):
                            await asyncio.sleep(0.05)
                if kill:
                    spoken.process.kill()
                    await spoken.process.wait()
                else:
                    assert spoken.process.stdin is not None
                    spoken.process.stdin.close()
                    assert await spoken.ended() == 0
            started = await call(watcher, "claude_autonomous", goal=goal, meta=use)
            again = await call(watcher, "claude_autonomous", goal=goal, meta=use)
            assert again["session_id"] == started["session_id"]
            async with asyncio.timeout(120):
                while not (found := await goals(watcher, goal)):
                    await asyncio.sleep(0.05)
            assert found == [started["session_id"]]
            await call(watcher, "claude_autonomous_cancel", session_id=started["session_id"])
    finally:
        place.stage.usual = usual


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
async def test_a_server_that_is_killed_between_two_polls_is_missed_by_nobody(
    place: Place, tmp_path: Path, mode: Mode
) -> None:
    """The client does not even connect anew: there is no session between it and a server."""
    sid = place.name(play(by_iteration(WRITES_IT), plan=Hang()))

    async def known(client: Client) -> dict[str, Any]:
        return await call(client, "claude_autonomous_events", session_id=sid)

    async with served(REAL, place.environment(), tmp_path / "first.log") as (url, process):
        async with Client(url, mode=mode) as client:
            await call(client, "claude_autonomous", goal="Wait.", session_id=sid)
            assert (await known(client))["status"] in {"queued", "running"}
            process.kill()
            await process.wait()
            port = int(url.rpartition(":")[2].partition("/")[0])
            async with served(REAL, place.environment(), tmp_path / "second.log", port) as (same, _):
                assert same == url
                after = await known(client)
                assert after["status"] in {"queued", "running"}
                assert not any(event["kind"] in {"error", "end", "message"} for event in after["events"])
                receipt = await call(client, "claude_autonomous_cancel", session_id=sid)
                assert receipt["accepted"] is True
