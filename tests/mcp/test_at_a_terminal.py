"""The real Claude Code at a terminal: a session is a task in its background, and its questions are dialogs."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from overnight.demo.reply import Hang, Reply, Text, ToolUse
from overnight.demo.script import Request
from tests.mcp.claude_code import ClaudeCode, over_stdio, says, use
from tests.mcp.conftest import Place, call
from tests.mcp.terminal import Terminal
from tests.sessions.plays import CHECK, GOAL, WRITES_IT, by_iteration, play

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]

ENTER, DOWN, RIGHT = "\r", "\x1b[B", "\x1b[C"
HERE = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}"
"""Marks what has the focus."""
DIALOG = "requests your input"


async def approve(terminal: Terminal, what: str) -> str:
    """Answer the dialog, once it opens; returns what it showed."""
    asked = await terminal.until(DIALOG, what, "Decision", seconds=90)
    await terminal.press(RIGHT, shows="◯ approve")
    await terminal.press(ENTER, shows="✔ Decision: approve")
    await terminal.press(DOWN, shows=f"{HERE} Accept")
    await terminal.press(ENTER, hides=DIALOG)
    return asked


async def test_a_task_in_the_background_through_exit_and_continue_to_its_result(place: Place, tmp_path: Path) -> None:
    claude = ClaudeCode(place, "at-a-terminal", tmp_path / "home", over_stdio(place), {})
    woken: list[str] = []

    def wake(request: Request) -> Reply:
        woken.append(request.text.rpartition("<task-notification>")[2])
        return Text("The greeter is there.")

    claude.plays(
        lambda _: use("claude_autonomous", goal=GOAL, validation_command=CHECK, mode="iterative"),
        says("It works in the background now."),
        wake,
    )
    terminal = claude.at_a_terminal()
    try:
        await terminal.until("bypass permissions on")
        terminal.type("Have it built.")
        await terminal.until(f"{HERE} Have it built.")
        await terminal.press(ENTER, shows="1 MCP task")
        asked = await approve(terminal, "Approve the plan of")
        assert "1. write the greeter" in asked
        assert GOAL in asked
        await terminal.until("It works in the background now.")

        sid = asked.partition("Approve the plan of ")[2].partition("?")[0]
        async with place.client() as client:
            terminal.type("/exit")
            await terminal.until(f"{HERE} /exit")
            terminal.type(ENTER)
            await terminal.until(f"{HERE} 1. Exit and stop tasks")
            terminal.type(ENTER)
            await terminal.ended()
            assert [p for p in psutil.process_iter(["cmdline"]) if str(claude.home) in (p.info["cmdline"] or [])] == []
            waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=50)
            assert waited["status"] == "waiting_approval", "leaving the client ended or stopped the session"

            terminal = claude.at_a_terminal("--continue")
            asked = await approve(terminal, "iteration-1")
            assert sid in asked
            await terminal.until("The greeter is there.", seconds=90)
            assert (await call(client, "claude_autonomous_status", session_id=sid))["status"] == "completed"
    finally:
        terminal.close()
    (notice,) = woken
    assert sid in notice
    assert '"status":"completed"' in notice
    assert "# Done" in notice, "the model is not given the report"


async def test_a_task_that_the_model_stops_is_a_cancelled_session(place: Place, tmp_path: Path) -> None:
    """Claude Code asks for the end of the task twice."""
    claude = ClaudeCode(place, "stops-it", tmp_path / "home", over_stdio(place), {})
    goal = "Wait until somebody stops you."
    place.stage.usual, usual = play(by_iteration(WRITES_IT), plan=Hang()), place.stage.usual

    began: list[str] = []

    def stop(request: Request) -> Reply:
        (started,) = request.results
        named = re.search(r'server-side task (\S+)\..* task_id "(\w+)"', started.text)
        assert named, started.text
        began.append(named[1])
        return ToolUse("TaskStop", {"task_id": named[2]})

    claude.plays(lambda _: use("claude_autonomous", goal=goal), stop, says("I have stopped it."))
    terminal = claude.at_a_terminal()
    try:
        await terminal.until("bypass permissions on")
        terminal.type("Begin, and end.")
        await terminal.until(f"{HERE} Begin, and end.")
        await terminal.press(ENTER, shows="I have stopped it.")
        async with place.client() as client:
            (sid,) = began
            waited = await call(client, "claude_autonomous_wait", session_ids=[sid], until="end", timeout_seconds=50)
            assert waited["status"] == "cancelled"
            assert "claude-code" in waited["sessions"][0]["reason"]
    finally:
        terminal.close()
        place.stage.usual = usual
