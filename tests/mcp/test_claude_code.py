"""The real Claude Code as a client, headless: a session from its start to its diff, and what its model gets to see."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from overnight.demo.reply import Reply
from overnight.demo.script import Request
from tests.conformance.served import REAL, served
from tests.mcp.claude_code import ClaudeCode, Step, over_http, over_stdio, says, seen, use
from tests.mcp.conftest import Place, call
from tests.sessions.plays import CHECK, GOAL

pytestmark = pytest.mark.conformance

ERAS = {"modern": {}, "legacy": {"MCP_PROTOCOL_NEGOTIATION": "legacy"}}


@pytest_asyncio.fixture(scope="module")
async def url(place: Place) -> AsyncIterator[str]:
    """The server over HTTP, in a process of its own."""
    async with served(REAL, place.environment(), place.settings.home / "logs" / "http.log") as (url, _):
        yield url


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("over", ["stdio", "http"])
async def test_a_session_from_start_to_diff(place: Place, url: str, tmp_path: Path, over: str, era: str) -> None:
    config = over_stdio(place) if over == "stdio" else over_http(url)
    claude = ClaudeCode(place, f"client-{over}-{era}", tmp_path / "home", config, ERAS[era])
    answers: list[dict[str, Any]] = []

    def wait(request: Request) -> Reply:
        answers.append(seen(request))
        sid = answers[-1]["session_id"]
        return use("claude_autonomous_wait", session_ids=[sid], until="end", timeout_seconds=50)

    def status(request: Request) -> Reply:
        answers.append(seen(request))
        return use("claude_autonomous_status", session_id=answers[0]["session_id"])

    def diff(request: Request) -> Reply:
        answers.append(seen(request))
        return use("claude_autonomous_diff", session_id=answers[0]["session_id"], format="patch")

    def end(request: Request) -> Reply:
        answers.append(seen(request))
        return says("It is done.")(request)

    claude.plays(lambda _: use("claude_autonomous", goal=GOAL, validation_command=CHECK), wait, status, diff, end)
    assert await claude.headless("Have it built.") == "It is done."

    started, waited, known, changed = answers
    assert (started["status"], started["existed"]) == ("queued", False)
    assert (waited["status"], waited["timed_out"]) == ("completed", False)
    assert (known["status"], known["progress"]) == ("completed", 100)
    assert {file["path"] for file in changed["files"]} == {"greet.py", "test_greet.py"}
    assert "+def greet(name):" in changed["patch"]
    assert all(answer["next"] for answer in answers)
    first = claude.asked[0]
    assert "never ask sooner" in first.text, "the model is not told how to use the server"
    assert {"mcp__overnight__claude_autonomous", "mcp__overnight__claude_autonomous_wait"} <= set(first.tools)
    assert "mcp__overnight__claude_autonomous_steer" not in first.tools, "schemas that are seldom needed take room"


HOOK = """\
#!/bin/sh
cat >> "$HOME/asked"
echo >> "$HOME/asked"
echo '{"hookSpecificOutput":{"hookEventName":"Elicitation","action":"accept","content":{"decision":"approve"}}}'
"""
"""Somebody who approves whatever the client asks, and writes down what it asked."""


def approver(home: Path) -> list[str]:
    """Arguments that have Claude Code ask a program where it would ask a person."""
    home.mkdir()
    program = home / "approver"
    program.write_text(HOOK)
    program.chmod(0o755)
    settings = {"hooks": {"Elicitation": [{"hooks": [{"type": "command", "command": str(program)}]}]}}
    return ["--settings", json.dumps(settings)]


def waits(request: Request) -> Reply:
    return use("claude_autonomous_wait", session_ids=[seen(request)["session_id"]], timeout_seconds=50)


def approves(request: Request) -> Reply:
    return use("claude_autonomous_approve", session_id=seen(request)["session_id"])


STARTS = {"goal": GOAL, "validation_command": CHECK, "mode": "iterative"}


@pytest.mark.parametrize(("over", "era"), [("stdio", "modern"), ("stdio", "legacy"), ("http", "modern")])
async def test_approvals_are_answered_where_the_client_asks(
    place: Place, url: str, tmp_path: Path, over: str, era: str
) -> None:
    config = over_stdio(place) if over == "stdio" else over_http(url)
    claude = ClaudeCode(place, f"approved-{over}-{era}", tmp_path / "home", config, ERAS[era])
    answers: list[dict[str, Any]] = []

    def note(step: Step) -> Step:
        def noted(request: Request) -> Reply:
            answers.append(seen(request))
            return step(request)

        return noted

    steps = [waits, approves, waits, approves, waits, says("It is done.")]
    claude.plays(lambda _: use("claude_autonomous", **STARTS), *map(note, steps))
    assert await claude.headless("Have it built.", *approver(claude.home)) == "It is done."

    _, planned, plan, tried, iteration, ended = answers
    assert (planned["status"], tried["status"], ended["status"]) == (
        "waiting_approval",
        "waiting_approval",
        "completed",
    )
    assert (plan["answered"], plan["decision"], plan["request_id"]) == (True, "approved", "plan")
    assert (iteration["answered"], iteration["decision"]) == (True, "approved")
    first, second = [json.loads(line) for line in (claude.home / "asked").read_text().splitlines() if line]
    assert "write the greeter" in first["message"], first
    assert "waits for your approval of iteration-1" in second["message"], second


async def test_nobody_there_is_no_approval(place: Place, tmp_path: Path) -> None:
    claude = ClaudeCode(place, "nobody-there", tmp_path / "home", over_stdio(place), {})
    answers: list[dict[str, Any]] = []

    def end(request: Request) -> Reply:
        answers.append(seen(request))
        return says("Nobody answers.")(request)

    claude.plays(lambda _: use("claude_autonomous", **STARTS), waits, approves, end)
    assert await claude.headless("Have it built.") == "Nobody answers."
    (said,) = answers
    assert (said["answered"], said["status"]) == (False, "waiting_approval")
    assert f"overnight approve {said['session_id']} plan" in said["next"]
    async with place.client() as client:
        await call(client, "claude_autonomous_cancel", session_id=said["session_id"])
