"""What is refused, and whether the words say what to do instead."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

import mcp_server
from overnight import stack
from overnight.base.settings import Settings
from overnight.mcp.engine import Engine
from tests.mcp.conftest import MODES, Mode, Place, call, refused, text_of
from tests.sessions.plays import GOAL


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("claude_autonomous_status", {}),
        ("claude_autonomous_control", {"action": "pause"}),
        ("claude_autonomous_control", {"action": "resume"}),
        ("claude_autonomous_steer", {"guidance": "x"}),
        ("claude_autonomous_cancel", {}),
        ("claude_autonomous_approve", {}),
        ("claude_autonomous_events", {}),
        ("claude_autonomous_diff", {}),
    ],
)
async def test_an_unknown_id_is_answered_with_known_ones(
    place: Place, mode: Mode, tool: str, arguments: dict[str, Any]
) -> None:
    async with place.client(mode) as client:
        said = await refused(client, tool, session_id="No such; session", **arguments)
    assert said.startswith("there is no session 'No such; session'")


async def test_waiting_for_an_unknown_id_fails_at_once(place: Place) -> None:
    async with place.client() as client:
        said = await refused(client, "claude_autonomous_wait", session_ids=["nobody"], timeout_seconds=600)
    assert said.startswith("there is no session 'nobody'")


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("claude_autonomous", {}, "goal"),
        ("claude_autonomous", {"goal": "x"}, "goal"),
        ("claude_autonomous", {"goal": "x" * 20_001}, "goal"),
        ("claude_autonomous", {"goal": "ü" * 20_000}, "goal"),
        ("claude_autonomous", {"goal": GOAL, "project": ""}, "project"),
        ("claude_autonomous", {"goal": GOAL, "ref": "r" * 201}, "ref"),
        ("claude_autonomous", {"goal": GOAL, "validation_command": "v" * 2_001}, "validation_command"),
        ("claude_autonomous", {"goal": GOAL, "setup_command": "s" * 2_001}, "setup_command"),
        ("claude_autonomous", {"goal": GOAL, "success_criteria": ["w"] * 7}, "success_criteria"),
        ("claude_autonomous", {"goal": GOAL, "success_criteria": ["w" * 401]}, "success_criteria.0"),
        ("claude_autonomous", {"goal": GOAL, "mode": "single"}, "mode"),
        ("claude_autonomous", {"goal": GOAL, "max_iterations": 0}, "max_iterations"),
        ("claude_autonomous", {"goal": GOAL, "max_iterations": 10_001}, "max_iterations"),
        ("claude_autonomous", {"goal": GOAL, "success_threshold": 0}, "success_threshold"),
        ("claude_autonomous", {"goal": GOAL, "success_threshold": 1.01}, "success_threshold"),
        ("claude_autonomous", {"goal": GOAL, "max_time_minutes": 0.5}, "max_time_minutes"),
        ("claude_autonomous", {"goal": GOAL, "max_time_minutes": 100_001}, "max_time_minutes"),
        ("claude_autonomous", {"goal": GOAL, "max_cost_usd": 0}, "max_cost_usd"),
        ("claude_autonomous", {"goal": GOAL, "max_cost_usd": 100_001}, "max_cost_usd"),
        ("claude_autonomous", {"goal": GOAL, "on_limit": "ignore"}, "on_limit"),
        ("claude_autonomous", {"goal": GOAL, "egress": "open"}, "egress"),
        ("claude_autonomous", {"goal": GOAL, "allow_hosts": ["pkgs.dev"] * 21}, "allow_hosts"),
        ("claude_autonomous", {"goal": GOAL, "allow_hosts": ["h" * 201]}, "allow_hosts.0"),
        ("claude_autonomous", {"goal": GOAL, "allow_hosts": ["pkgs.dev", "https://pkgs.dev/simple"]}, "allow_hosts.1"),
        ("claude_autonomous", {"goal": GOAL, "egress": "none", "allow_hosts": ["pkgs.dev"]}, "allow_hosts"),
        ("claude_autonomous", {"goal": GOAL, "egress": "allow-list"}, "allow_hosts"),
        ("claude_autonomous", {"goal": GOAL, "validation_command": "true\x07"}, "validation_command"),
        ("claude_autonomous", {"goal": GOAL, "model": "m" * 129}, "model"),
        ("claude_autonomous", {"goal": GOAL, "session_id": "Not An Id"}, "session_id"),
        ("claude_autonomous_status", {"session_id": ""}, "session_id"),
        ("claude_autonomous_status", {"session_id": "x", "detail": "all"}, "detail"),
        ("claude_autonomous_wait", {"session_ids": []}, "session_ids"),
        ("claude_autonomous_wait", {"session_ids": ["x"] * 11}, "session_ids"),
        ("claude_autonomous_wait", {"session_ids": ["x"], "timeout_seconds": 0.5}, "timeout_seconds"),
        ("claude_autonomous_wait", {"session_ids": ["x"], "timeout_seconds": 3_601}, "timeout_seconds"),
        ("claude_autonomous_wait", {"session_ids": ["x"], "until": "lunch"}, "until"),
        ("claude_autonomous_wait", {"session_ids": ["x"], "after": "xyz"}, "after"),
        ("claude_autonomous_list", {"project": ""}, "project"),
        ("claude_autonomous_list", {"query": "q" * 201}, "query"),
        ("claude_autonomous_list", {"cursor": "c" * 2_001}, "cursor"),
        ("claude_autonomous_list", {"cursor": "none of ours"}, "cursor"),
        ("claude_autonomous_list", {"cursor": "MDpyb3Q="}, "cursor"),
        ("claude_autonomous_approve", {"session_id": "x", "request_id": "r" * 201}, "request_id"),
        ("claude_autonomous_events", {"session_id": "x", "kinds": ["gossip"]}, "kinds.0"),
        ("claude_autonomous_events", {"session_id": "x", "min_level": "debug"}, "min_level"),
        ("claude_autonomous_diff", {"session_id": "x", "base": "end"}, "base"),
        ("claude_autonomous_diff", {"session_id": "x", "path": "a\0b"}, "path"),
        ("claude_autonomous_diff", {"session_id": "x", "cursor": "none of ours"}, "cursor"),
        ("claude_autonomous_list", {"limit": 0}, "limit"),
        ("claude_autonomous_list", {"limit": 101}, "limit"),
        ("claude_autonomous_list", {"status": "finished"}, "status"),
        ("claude_autonomous_control", {"session_id": "x", "action": "stop"}, "action"),
        ("claude_autonomous_control", {"session_id": "x", "action": "pause", "reason": "r" * 201}, "reason"),
        ("claude_autonomous_control", {"session_id": "x", "action": "pause", "when": "later"}, "when"),
        ("claude_autonomous_steer", {"session_id": "x", "guidance": ""}, "guidance"),
        ("claude_autonomous_steer", {"session_id": "x", "guidance": "g" * 2_001}, "guidance"),
        ("claude_autonomous_steer", {"session_id": "x", "guidance": "ü" * 2_000}, "guidance"),
        ("claude_autonomous_steer", {"session_id": "x", "guidance": "g", "when": "turn"}, "when"),
        ("claude_autonomous_events", {"session_id": "x", "after": -1}, "after"),
        ("claude_autonomous_events", {"session_id": "x", "after": 10**400}, "after"),
        ("claude_autonomous_events", {"session_id": "x", "limit": 51}, "limit"),
        ("claude_autonomous_diff", {"session_id": "x", "format": "html"}, "format"),
    ],
)
async def test_every_bound_is_told_in_one_line(place: Place, tool: str, arguments: dict[str, Any], field: str) -> None:
    async with place.client() as client:
        said = await refused(client, tool, **arguments)
    assert f"{field}: " in said.lower()
    assert "[type=" not in said
    assert len(said) < 400


async def test_what_is_null_is_absent_and_words_are_ours(place: Place) -> None:
    """Some clients send null for what they have no value for."""
    sid = place.name()
    async with place.client() as client:
        nothing = {"allow_hosts": None, "success_criteria": None, "protected_paths": None, "max_iterations": None}
        await call(client, "claude_autonomous", goal=GOAL, session_id=sid, egress=None, **nothing)
        said = await refused(client, "claude_autonomous", goal=None, session_id="a1", max_iterations=0)
        assert "goal: must be text" in said
        assert "session_id: must be 3 to 64 characters long" in said
        assert "max_iterations: must be at least 1" in said
        await client.call_tool("claude_autonomous_cancel", {"session_id": sid})


@pytest.mark.parametrize("mode", MODES)
async def test_an_argument_that_nobody_knows_is_refused_with_the_nearest(place: Place, mode: Mode) -> None:
    async with place.client(mode) as client:
        said = await refused(client, "claude_autonomous", goal=GOAL, max_iteration=3, colour="red")
        assert "'max_iteration' (did you mean 'max_iterations'?), 'colour'." in said
        assert "claude_autonomous takes: goal, project, " in said
        assert "'workdir'" in await refused(client, "claude_autonomous", goal=GOAL, workdir="/tmp")
        said = await refused(client, "claude_autonomous_stats", session_id="x")
        assert "'claude_autonomous_stats' (did you mean 'claude_autonomous_status'?)" in said


@pytest.mark.parametrize("mode", MODES)
async def test_however_much_is_wrong_the_answer_is_quick_and_short(mode: Mode, tmp_path: Path) -> None:
    many, long = {f"goal_{number}": 1 for number in range(50_000)}, "claude_" * 140_000
    async with Client(mcp_server.build(Engine(Settings(home=tmp_path))), mode=mode) as client:
        began = time.process_time()
        said = await refused(client, "claude_autonomous", goal=GOAL, **many)
        assert "'goal_0' (did you mean 'goal'?), 'goal_1'" in said
        assert "'goal_4' (did you mean 'goal'?) and 49,995 more. claude_autonomous takes: goal, " in said
        told = [said, await refused(client, long), await refused(client, "claude_autonomous", goal=long)]
        assert "goal: must have at most 20000 characters (given: 980,002 characters)" in told[-1]
        for arguments in (dict.fromkeys(many, "x"), {long: "x"}):
            with pytest.raises(MCPError) as raised:
                await client.get_prompt("review", arguments)
            told.append(str(raised.value))
        assert max(map(len, told)) < 800
        assert time.process_time() - began < 5, "whoever else is served waits meanwhile"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mode": "manual"}, "mode: must be one of 'autonomous' or 'iterative'"),
        ({"egress": "host"}, "egress: the worker allows no more network than 'public'"),
        ({"allow_hosts": ["https://pkgs.dev/simple"]}, "this is a URL: write pkgs.dev:443"),
        ({"auto_deploy": True}, "auto_deploy is not in this version"),
        ({"protected_paths": ["/etc"]}, "protected_paths.0: paths begin at the root of the repository"),
        ({"held_out": "/tmp"}, "held_out_command: held-out checks need a command"),
        ({"held_out_command": "make accept"}, "held_out_command: it goes with held-out checks"),
        ({"held_out": "accept:tests", "held_out_command": "make accept"}, "held_out: a new project has no refs"),
        (
            {"project": "/x", "held_out": "file:///x/tests", "held_out_command": "make accept"},
            "held_out: 'file:///x/tests' is neither the absolute path of a folder nor a ref",
        ),
        ({"project": "/nowhere/at/all"}, "project: "),
        ({"project": "ext::sh -c true"}, "project: "),
        ({"project": "no/such/folder"}, f"project: {Path.cwd()}/no/such/folder does not exist"),
        ({"project": "/x", "held_out": "accept", "held_out_command": "true"}, "project: /x does not exist"),
        ({"project": "REPOSITORY", "ref": "no-such-branch"}, "\nref: "),
        ({"project": "REPOSITORY", "ref": "-x"}, "\nref: '-x' is not the name of a branch"),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anything_starts(
    place: Place, repository: Path, asked: dict[str, Any], words: str
) -> None:
    sid = place.name()
    if asked.get("project") == "REPOSITORY":
        asked = {**asked, "project": str(repository)}
    async with place.client() as client:
        said = await refused(client, "claude_autonomous", goal=GOAL, session_id=sid, **asked)
        assert words in f"\n{said}"
        assert "there is no session" in await refused(client, "claude_autonomous_status", session_id=sid)


async def test_an_id_that_is_taken_by_another_goal_is_refused(place: Place) -> None:
    sid = place.name()
    async with place.client() as client:
        await call(client, "claude_autonomous", goal=GOAL, session_id=sid)
        said = await refused(client, "claude_autonomous", goal="Something else.", session_id=sid)
        assert "is taken by a session with another goal" in said
        await client.call_tool("claude_autonomous_cancel", {"session_id": sid})


async def test_another_credential_than_the_workers_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-another-secret")
    async with place.client() as client:
        said = await refused(client, "claude_autonomous", goal=GOAL)
    assert "another credential" in said
    assert "overnight down && overnight up" in said
    assert "sk-" not in said


async def test_without_any_credential_nothing_is_started(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    settings = Settings(home=tmp_path / "home")
    async with place.client(engine=Engine(settings)) as client:
        said = await refused(client, "claude_autonomous", goal=GOAL)
    assert "ANTHROPIC_API_KEY" in said
    assert "claude setup-token" in said
    assert stack.find(settings) is None
    assert not settings.home.exists()


@pytest.mark.parametrize("mode", MODES)
async def test_a_crash_tells_nothing_but_where_to_look(
    place: Place, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    server = mcp_server.build(Engine(place.settings))

    async def claude_crash() -> str:
        raise RuntimeError("password=hunter2")

    server.add_tool(claude_crash)
    async with Client(server, mode=mode) as client:
        result = await client.call_tool("claude_crash", {})
    said = text_of(result)
    assert result.is_error
    assert said.startswith("Internal error in claude_crash (reference ")
    assert "hunter2" not in said


async def test_a_temporal_of_the_persons_own_that_is_away_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    async with place.client() as client:
        said = await refused(client, "claude_autonomous_list")
    assert "TEMPORAL_ADDRESS" in said
