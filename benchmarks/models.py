"""Scripted models that remember when what happened, and the plays that are measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.types import Receive

from overnight.demo.reply import Answer, Fault, Hang, Reply, Say, Text, ToolUse
from overnight.demo.script import Request, Scenario, Script
from overnight.demo.server import ScriptedModel
from tests.sessions.plays import judge, new_diagnosis

POLL_SECONDS = 0.01
ROUND_SECONDS = 120
"""A round that takes longer has come to grief."""
NOTE = "a note that was written overnight"

STEPS = [{"id": f"s{n}", "title": f"step {n}", "instructions": "write a note"} for n in range(1, 9)]
PLAN = Answer({"summary": "notes", "steps": STEPS, "criteria": [], "setup_command": None})
REFLECTION = Answer({"change_approach": True, "new_strategy": "go on otherwise", "lessons": []})


class Noted(Scenario):
    """A scenario that remembers when each request came, by the wall clock."""

    def __init__(self, rules: Mapping[str, Script]) -> None:
        super().__init__(rules)
        self.came: list[tuple[float, Request]] = []

    def reply(self, request: Request) -> Say | Fault:
        self.came.append((time.time(), request))
        return super().reply(request)

    async def next_after(self, moment: float, says: str = "") -> float:
        """When an execute's first request after ``moment`` came, whose prompt contains some words."""
        while True:
            for came, request in self.came:
                if came > moment and request.phase == "execute" and says in request.prompt:
                    return came
            await asyncio.sleep(POLL_SECONDS)


class Watched(ScriptedModel):
    """A model that remembers when an answer that it never ends was cut off."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, keep=10_000)
        self.cut: list[float] = []

    async def rest(self, receive: Receive, seconds: float | None = None) -> None:
        await super().rest(receive, seconds)
        if seconds is None:
            self.cut.append(time.time())


def note(request: Request) -> ToolUse:
    """One small file, wherever Claude Code works."""
    path = Path(request.cwd) / f"note-{request.iteration}.txt"
    return ToolUse("Write", {"file_path": str(path), "content": f"{NOTE}\n"})


def never_right() -> Noted:
    """Each execute writes a file and says so; its check fails, it is diagnosed, the approach is changed."""

    def execute(request: Request) -> Reply:
        return (note(request), Text("Written."))[min(request.turn, 1)]

    return Noted({"plan": PLAN, "execute": execute, "diagnose": new_diagnosis, "reflect": REFLECTION})


class Held(Noted):
    """Writes a file; the answer after that comes to no end, or runs a command without one. Later ones are the end."""

    def __init__(self, tool: str | None = None) -> None:
        verdict = judge(quote=NOTE, file="note-1.txt")
        super().__init__({"plan": PLAN, "execute": self._execute, "judge": verdict})
        self._tool = tool
        self.held_since: float | None = None

    def reply(self, request: Request) -> Say | Fault:
        said = super().reply(request)
        if request.phase != "execute" or request.turn == 0 or self.held_since is not None:
            return said
        self.held_since = time.time()
        if self._tool is None:
            return Hang(after="start")
        return Say(ToolUse("Bash", {"command": self._tool, "timeout": 900_000}))

    def _execute(self, request: Request) -> Reply:
        return note(request) if request.turn == 0 else Text("Done.")

    async def held(self) -> None:
        """Until it is."""
        await until(lambda: self.held_since is not None)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    while not holds():  # noqa: ASYNC110  (of other processes nobody tells)
        await asyncio.sleep(POLL_SECONDS)
