"""Looking closer: what a wait waits for, pages of a list, the changes of one iteration, what the record is asked."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from overnight.base.settings import Settings
from overnight.demo.reply import Hang
from overnight.mcp.engine import Engine
from tests.mcp.conftest import Place, call, refused, until
from tests.sessions.plays import CHECK, GOAL, WRITES_IT, WRONG_THEN_RIGHT, by_iteration, play


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_session_of_two_iterations_looked_at_closely(place: Place, repository: Path) -> None:
    sid = place.name(play(WRONG_THEN_RIGHT))
    async with place.client() as client:
        await call(
            client,
            "claude_autonomous",
            goal=GOAL,
            project=str(repository),
            validation_command=CHECK,
            session_id=sid,
        )
        phases: list[str] = []
        after: dict[str, str] = {}
        while True:
            waited = await call(
                client, "claude_autonomous_wait", session_ids=[sid], until="change", timeout_seconds=50, **after
            )
            assert not waited["timed_out"]
            assert waited["cursor"] != after.get("after"), "what was told does not end a wait again"
            after = {"after": waited["cursor"]}
            phases.append(waited["sessions"][0]["phase"])
            if waited["status"] == "completed":
                break
        assert len(phases) > 2
        again = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=50, **after)
        assert not again["timed_out"], "nothing can happen to it any more"

        whole = await call(client, "claude_autonomous_diff", session_id=sid, format="patch")
        assert {file["path"]: file["status"] for file in whole["files"]} == {
            "greet.py": "added",
            "test_greet.py": "added",
        }
        assert (whole["total_files"], whole["next_cursor"], whole["truncated"]) == (2, None, False)
        last = await call(client, "claude_autonomous_diff", session_id=sid, format="patch", base="last_iteration")
        assert [(file["path"], file["status"]) for file in last["files"]] == [("greet.py", "modified")]
        assert '-    return "hello"' in last["patch"]
        known = await call(client, "claude_autonomous_status", session_id=sid)
        foreign = f"l1.{'a' * 40}.{known['commit']}"
        assert "cursor: it is none of this session's" in await refused(
            client, "claude_autonomous_diff", session_id=sid, cursor=foreign
        )

        newest = await call(client, "claude_autonomous_events", session_id=sid, tail=True, limit=1)
        assert [event["kind"] for event in newest["events"]] == ["end"]
        assert newest["left_out"] > 3
        assert newest["next_after"] == newest["events"][0]["seq"]
        made = await call(client, "claude_autonomous_events", session_id=sid, kinds=["checkpoint"])
        assert {event["kind"] for event in made["events"]} == {"checkpoint"}
        assert (await call(client, "claude_autonomous_events", session_id=sid, after=made["next_after"]))[
            "events"
        ] == []

        mine = await call(client, "claude_autonomous_list", project=str(repository))
        assert [row["session_id"] for row in mine["sessions"]] == [sid]
        none = await call(client, "claude_autonomous_list", project=str(repository / "elsewhere"))
        assert none["sessions"] == []


async def test_a_list_goes_on_where_it_ended_and_is_searched(place: Place) -> None:
    held = play(by_iteration(WRITES_IT), plan=Hang())
    names = [place.name(held) for _ in range(3)]
    async with place.client() as client:
        for n, name in enumerate(names):
            await call(client, "claude_autonomous", goal=f"Sort the Needles, pile {n}.", session_id=name)

        async def pages(**arguments: Any) -> list[list[str]]:
            found: list[list[str]] = []
            cursor: dict[str, str] = {}
            while True:
                page = await call(client, "claude_autonomous_list", **arguments, **cursor)
                found.append([row["session_id"] for row in page["sessions"]])
                assert len(found[-1]) <= arguments["limit"]
                if page["next_cursor"] is None:
                    return found
                assert "cursor=next_cursor" in page["next"]
                cursor = {"cursor": page["next_cursor"]}

        async with asyncio.timeout(120):  # Temporal's list is a moment behind
            while [name for page in await pages(limit=1, query="nEEDLES") for name in page] != names[::-1]:
                await asyncio.sleep(0.1)
        everything = [name for page in await pages(limit=2) for name in page]
        assert len(everything) == len(set(everything))
        assert set(names) <= set(everything)
        all_of_them = await call(client, "claude_autonomous_list", limit=1)
        assert (all_of_them["total"], len(all_of_them["sessions"])) == (len(everything), 1)
        of_words = await call(client, "claude_autonomous_list", limit=1, query="needles")
        assert of_words["total"] is None, "Temporal counts no words"
        assert [n for page in await pages(limit=100, query=names[1]) for n in page] == [names[1]]
        running = [name for page in await pages(limit=1, query="needles", status="completed") for name in page]
        assert running == []
        for name in names:
            await call(client, "claude_autonomous_cancel", session_id=name)


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_wait_goes_on_past_what_was_told_and_ends_at_the_servers_limit(place: Place) -> None:
    one, other = (place.name(play(by_iteration(WRITES_IT), plan=Hang())) for _ in range(2))
    short = Settings(**{**place.settings.model_dump(exclude_unset=True), "mcp_wait_seconds": 1})
    async with place.client() as client, place.client(engine=Engine(short)) as hurried:
        for sid in (one, other):
            await call(client, "claude_autonomous", goal=GOAL, session_id=sid)
            await until(partial(place.asked, sid, "plan"), what="the plan's first request")
        await call(client, "claude_autonomous_control", session_id=one, action="pause", when="now")
        waited = await call(client, "claude_autonomous_wait", session_ids=[one, other], timeout_seconds=50)
        assert (waited["session_id"], waited["status"]) == (one, "paused")
        assert "give this cursor as after" in waited["next"]
        later = asyncio.create_task(
            call(
                client,
                "claude_autonomous_wait",
                session_ids=[one, other],
                timeout_seconds=50,
                after=waited["cursor"],
            )
        )
        await call(client, "claude_autonomous_cancel", session_id=other)
        ended = await later
        assert (ended["session_id"], ended["status"]) == (other, "cancelled")
        cut = await call(
            hurried,
            "claude_autonomous_wait",
            session_ids=[one],
            timeout_seconds=600,
            after=ended["cursor"],
        )
        assert cut["timed_out"] is True
        assert cut["waited_seconds"] < 10
        assert "Time ran out (this server waits 1 s at most)" in cut["next"]
        await call(client, "claude_autonomous_cancel", session_id=one)
