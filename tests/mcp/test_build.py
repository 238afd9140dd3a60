"""Whole builds through the tools, and what does not depend on the client: one session per call, life after it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.mcp.conftest import NEWEST_FIRST, ROOT, Mode, Place, call, until
from tests.sessions.plays import CHECK, GOAL


@pytest.mark.chaos
async def test_a_build_from_start_to_diff_over_stdio(place: Place) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with place.stdio() as client:
        started = await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK)
        sid = started["session_id"]
        assert sid.startswith("write-greet-py-that-says-")
        assert started["status"] == "queued"
        assert (started["notice"], started["existed"]) == ("", False)
        assert started["sandbox"] == "bubblewrap, network: public"
        assert started["monitor_url"].endswith(f"/namespaces/default/workflows/{sid}")
        assert (started["max_iterations"], started["max_time_minutes"], started["max_cost_usd"]) == (50, 60, 20)
        result = await client.call_tool(
            "claude_autonomous_wait", {"session_ids": [sid], "timeout_seconds": 60}, progress_callback=on_progress
        )
        waited = result.structured_content
        assert isinstance(waited, dict)
        assert (waited["status"], waited["timed_out"]) == ("completed", False), waited
        assert [one["session_id"] for one in waited["sessions"]] == [sid]
        assert seen[0] == (0, 60, "waiting")

        short = await call(client, "claude_autonomous_status", session_id=sid)
        assert (short["status"], short["progress"], short["iteration"]) == ("completed", 100, 1)
        assert set(short["validation_status"].values()) == {True}
        assert short["sandbox"] == "bubblewrap, network: public"
        assert short["success_rate"] == 1
        assert short["cost_usd"] > 0
        assert short["test_results"][0]["command"] == CHECK
        assert (short["test_results"][0]["tail"], short["usage"], short["report"]) == ("", None, "")
        assert "overnight checkout" in short["next"]
        full = await call(client, "claude_autonomous_status", session_id=sid, detail="full")
        assert "OK" in full["test_results"][0]["tail"]
        assert full["usage"]["calls"] >= 3
        assert full["report"].startswith("# Done")
        assert not full["truncated"]

        stat = await call(client, "claude_autonomous_diff", session_id=sid)
        assert {file["path"] for file in stat["files"]} == {"greet.py", "test_greet.py"}
        assert stat["patch"] == ""
        patch = await call(client, "claude_autonomous_diff", session_id=sid, format="patch", path="greet.py")
        assert "+def greet(name):" in patch["patch"]
        assert "test_greet" not in patch["patch"]
        nothing = await call(client, "claude_autonomous_diff", session_id=sid, path="src/greet.py")
        assert nothing["files"] == []
        assert nothing["next"].startswith("Nothing that changed is at 'src/greet.py'. Paths count from the top")

        first = await call(client, "claude_autonomous_events", session_id=sid, limit=2)
        assert [event["seq"] for event in first["events"]] == [1, 2]
        assert first["more"]
        rest = await call(client, "claude_autonomous_events", session_id=sid, after=first["next_after"])
        assert rest["events"][0]["seq"] == 3
        assert rest["events"][-1]["kind"] == "end"
        assert not rest["more"]


@pytest.mark.parametrize("mode", NEWEST_FIRST)
async def test_a_repeated_call_is_the_same_session(place: Place, mode: Mode) -> None:
    meta = {"claudecode/toolUseId": f"toolu_{mode}"}
    goal = "Wait for me,\r\nthen do nothing."
    async with place.client(mode) as one, place.client(mode) as other:
        starts = await asyncio.gather(
            *(call(client, "claude_autonomous", goal=goal, meta=meta) for client in (one, other, one))
        )
        again = await call(one, "claude_autonomous", goal=goal, meta=meta)
        assert len({start["session_id"] for start in [*starts, again]}) == 1
        named = await call(one, "claude_autonomous", goal=goal, session_id=again["session_id"])
        assert named["session_id"] == again["session_id"]
        assert named["existed"]
        assert named["notice"].startswith("It was there already under this session_id: nothing was started")
        different = await call(one, "claude_autonomous", goal=goal, meta={"claudecode/toolUseId": f"other_{mode}"})
        assert different["session_id"] != again["session_id"]
        for sid in (again["session_id"], different["session_id"]):
            await call(one, "claude_autonomous_cancel", session_id=sid)


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_session_outlives_a_killed_server_and_client(place: Place) -> None:
    """The client starts a session and is killed together with its server, before the session has a plan."""
    sid = place.name()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.mcp.starter", sid, cwd=ROOT, env=place.environment(), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    server = psutil.Process(int(await asyncio.wait_for(process.stdout.readline(), 120)))
    server.kill()
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert not server.is_running() or await until(lambda: not server.is_running(), what="end of the server")
    async with place.client() as client:
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], until="end", timeout_seconds=240)
    assert waited["status"] == "completed", waited


async def test_what_a_start_was_given_arrives(place: Place, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sid = place.name()
    monkeypatch.chdir(repository.parent)  # where the client is, the worker is somewhere else
    async with place.client("legacy") as client:
        started = await call(
            client,
            "claude_autonomous",
            goal=GOAL,
            project="project",
            validation_command=CHECK,
            success_criteria=["It is polite."],
            max_iterations=7,
            max_time_minutes=11,
            max_cost_usd=1.5,
            allow_hosts=["pkgs.dev"],
            model="claude-haiku-4-5",
            session_id=sid,
        )
        assert (started["max_iterations"], started["max_time_minutes"], started["max_cost_usd"]) == (7, 11, 1.5)
        assert "1 uncommitted file of the project is not part of it" in started["next"]
        (plan,) = [await until(lambda: place.asked(sid, "plan"), what="the plan's first request")]
        assert plan[0].model == "claude-haiku-4-5"
        assert "It is polite." in plan[0].prompt
        known = await call(client, "claude_autonomous_status", session_id=sid)
        assert started["sandbox"] == "bubblewrap, network: allow-list (pkgs.dev)"
        assert known["sandbox"] in ("", started["sandbox"])
        await call(client, "claude_autonomous_cancel", session_id=sid)
