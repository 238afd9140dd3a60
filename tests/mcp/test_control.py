"""Pause, resume, steer, cancel and wait: what they do to a session, and what they leave alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from mcp import Client, MCPError

from overnight.demo.reply import Answer, Hang, Reply, Say, Usage
from overnight.demo.script import Request, Scenario
from overnight.mcp import looking
from tests.mcp.conftest import MODES, Mode, Place, call, refused, until
from tests.promptness import promptly
from tests.sessions.plays import CHECK, GOAL, PLAN, WRITES_IT, by_iteration, play


class Held:
    """A planner that says nothing until it may."""

    def __init__(self) -> None:
        self.free = False
        self.scenario: Scenario = play(by_iteration(WRITES_IT), plan=self._plan)

    def _plan(self, request: Request) -> Reply:
        return Answer(PLAN) if self.free else Hang()


async def held(place: Place, client: Client) -> tuple[str, Held]:
    """A session in the middle of a call that does not end by itself."""
    planner = Held()
    sid = place.name(planner.scenario)
    await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK, session_id=sid)
    await until(lambda: place.asked(sid, "plan"), what="the plan's first request")
    return sid, planner


async def status_until(client: Client, sid: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(120):
        while not holds(known := await call(client, "claude_autonomous_status", session_id=sid)):
            await asyncio.sleep(0.05)
    return known


@pytest.mark.chaos
async def test_wait_steer_pause_resume_to_the_end(place: Place) -> None:
    async with place.client() as client:
        sid, planner = await held(place, client)
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=1)
        assert waited["timed_out"] is True
        assert waited["status"] == "running"
        assert 1 <= waited["waited_seconds"] < 4

        steered = await call(client, "claude_autonomous_steer", session_id=sid, guidance="Mind the umlauts.")
        assert steered["accepted"] is True
        known = await call(client, "claude_autonomous_status", session_id=sid)
        assert [(g["id"], g["state"]) for g in known["guidance"]] == [(steered["guidance_id"], "waiting")]

        paused = await call(
            client, "claude_autonomous_control", session_id=sid, action="pause", reason="lunch", when="now"
        )
        assert paused["accepted"] is True
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=30)
        assert (waited["status"], waited["timed_out"]) == ("paused", False)
        assert "lunch" in waited["sessions"][0]["reason"]
        assert "action=resume" in waited["next"]

        planner.free = True
        resumed = await call(client, "claude_autonomous_control", session_id=sid, action="resume")
        assert (resumed["accepted"], resumed["status"]) == (True, "running")
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], until="end", timeout_seconds=240)
        assert waited["status"] == "completed", waited
        known = await call(client, "claude_autonomous_status", session_id=sid)
        assert [(g["id"], g["state"]) for g in known["guidance"]] == [(steered["guidance_id"], "delivered")]
        assert any("Mind the umlauts." in r.prompt for r in place.asked(sid, "execute") + place.asked(sid, "plan"))

        for tool, arguments in (
            ("claude_autonomous_steer", {"guidance": "too late"}),
            ("claude_autonomous_control", {"action": "pause"}),
            ("claude_autonomous_control", {"action": "resume"}),
        ):
            assert "start a new session" in await refused(client, tool, session_id=sid, **arguments)
        again = await call(client, "claude_autonomous_cancel", session_id=sid)
        assert (again["accepted"], again["status"]) == (False, "completed")


async def test_an_iterative_session_waits_for_the_person_and_says_how_to_answer(place: Place) -> None:
    sid = place.name(play(by_iteration(WRITES_IT)))
    async with place.client() as client:
        await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK, session_id=sid, mode="iterative")
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=30)
        assert (waited["status"], waited["timed_out"]) == ("waiting_approval", False)
        assert f"`overnight approve {sid} plan`" in waited["next"]
        assert "Only they can answer: claude_autonomous_approve asks them" in waited["next"]
        known = await call(client, "claude_autonomous_status", session_id=sid)
        assert (known["approval"]["request"], known["approval"]["until"]) == ("plan", None)
        assert known["approval"]["what"] == "the plan: 1 step, 2 criteria"
        said = await refused(client, "claude_autonomous_control", session_id=sid, action="resume")
        assert "waits for a person's approval, and resuming is none" in said
        listed = await call(client, "claude_autonomous_list", status="waiting_approval")
        assert sid in [one["session_id"] for one in listed["sessions"]]
        ended = await call(client, "claude_autonomous_cancel", session_id=sid)
        assert ended["accepted"] is True


@pytest.mark.parametrize("mode", MODES)
async def test_cancel_ends_it_and_twice_changes_nothing(place: Place, mode: Mode) -> None:
    async with place.client(mode) as client:
        sid, _ = await held(place, client)
        receipt = await call(client, "claude_autonomous_cancel", session_id=sid, reason="changed my mind")
        assert receipt["accepted"] is True
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=30)
        assert (waited["status"], waited["timed_out"]) == ("cancelled", False)
        assert waited["sessions"][0]["reason"] == "changed my mind"
        assert (await call(client, "claude_autonomous_cancel", session_id=sid))["accepted"] is False


async def test_a_wait_that_the_client_gives_up_leaves_the_session_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looking.HEARTBEAT_SECONDS + looking.LOOK_SECONDS + looking.POLL_SECONDS <= 10, (
        "a sign of life at least every 10 seconds"
    )
    monkeypatch.setattr(looking, "HEARTBEAT_SECONDS", 0.2)
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with place.client() as client:
        sid, _ = await held(place, client)
        before = await call(client, "claude_autonomous_events", session_id=sid)
        with pytest.raises(MCPError):
            await client.call_tool(
                "claude_autonomous_wait",
                {"session_ids": [sid], "timeout_seconds": 600},
                read_timeout_seconds=4,
                progress_callback=on_progress,
            )
        assert len(seen) >= 3
        assert seen == sorted(set(seen))
        after = await call(client, "claude_autonomous_events", session_id=sid)
        assert (after["status"], after["events"]) == ("running", before["events"])
        await call(client, "claude_autonomous_cancel", session_id=sid)


async def test_the_first_of_several_ends_a_wait(place: Place) -> None:
    async with place.client() as client:
        (one, _), (two, _) = await held(place, client), await held(place, client)
        waiting = asyncio.create_task(
            call(client, "claude_autonomous_wait", session_ids=[one, two], timeout_seconds=240)
        )
        await call(client, "claude_autonomous_cancel", session_id=two)
        waited = await waiting
        assert (waited["session_id"], waited["status"]) == (two, "cancelled")
        assert [s["status"] for s in waited["sessions"]] == ["running", "cancelled"]
        await call(client, "claude_autonomous_cancel", session_id=one)


async def test_guidance_that_finds_no_room_is_refused(place: Place) -> None:
    async with place.client() as client:
        sid, _ = await held(place, client)
        for n in range(4):
            await call(client, "claude_autonomous_steer", session_id=sid, guidance=f"Advice {n}.")
        said = await refused(client, "claude_autonomous_steer", session_id=sid, guidance="One more.")
        assert "was not taken" in said
        await call(client, "claude_autonomous_cancel", session_id=sid)


async def test_a_spent_budget_is_for_a_person_to_raise(place: Place) -> None:
    costly = Say(Answer(PLAN), usage=Usage(input_tokens=1_000_000))
    sid = place.name(play(by_iteration(WRITES_IT), plan=costly))
    async with place.client() as client:
        await call(client, "claude_autonomous", goal=GOAL, session_id=sid, max_cost_usd=0.5)
        known = await status_until(client, sid, lambda s: s["status"] == "paused")
        assert known["reason"].startswith("limit:")
        assert f"overnight limits {sid}" in known["next"]
        said = await refused(client, "claude_autonomous_control", session_id=sid, action="resume")
        assert f"overnight limits {sid}" in said
        await call(client, "claude_autonomous_cancel", session_id=sid)


async def test_looking_is_quick_and_lists_go_newest_first(place: Place) -> None:
    async with place.client() as client:
        sid, _ = await held(place, client)
        await promptly(partial(call, client, "claude_autonomous_status", session_id=sid))
        await call(client, "claude_autonomous_cancel", session_id=sid)
        await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=30)
        async with asyncio.timeout(120):
            while True:
                found = await promptly(partial(call, client, "claude_autonomous_list", status="cancelled", limit=1))
                if [row["session_id"] for row in found["sessions"]] == [sid]:
                    break
                await asyncio.sleep(0.05)
        assert found["truncated"]
        assert found["sessions"][0]["goal"] == GOAL
