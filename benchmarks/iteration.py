"""What Overnight itself costs: ``python -m benchmarks.iteration [ITERATIONS]``.

Runs one session on the embedded stack with a model that answers at once and never gets it right, and prints the
overhead of an iteration (wall time without the time that Claude Code and the checks took), as seconds and as a ratio to
the bare calls; the time from asking for a session to Claude Code's first request; history per iteration; memory.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from temporalio.client import Client, WorkflowHistory

from overnight import stack
from overnight.base.finish import finish
from overnight.base.settings import Settings
from overnight.base.temporal import connect
from overnight.client import Sessions
from overnight.connection import open_connection
from overnight.demo.reply import Answer, Reply, Text, ToolUse
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from overnight.request import NewSession
from workflows.contracts.outcome import CallReport

STEPS = [{"id": f"s{n}", "title": f"step {n}", "instructions": "write a note"} for n in range(1, 9)]
PLAN = Answer({"summary": "notes", "steps": STEPS, "criteria": [], "setup_command": None})
DIAGNOSIS = Answer({"root_cause": "not there yet", "fix": "go on", "category": "logic", "confidence": "low"})
REFLECTION = Answer({"change_approach": True, "new_strategy": "go on otherwise", "lessons": []})


def execute(request: Request) -> Reply:
    """One file and a word."""
    note = ToolUse("Write", {"file_path": f"/workspace/note-{request.iteration}.txt", "content": "a note\n"})
    return (note, Text("Written."))[min(request.turn, 1)]


class Timed(Scenario):
    """Remembers when the first request came."""

    first: float | None = None

    def reply(self, request: Request) -> Any:
        self.first = self.first or time.monotonic()
        return super().reply(request)


async def measure(iterations: int, home: Path) -> None:
    """Run the session and print the figures."""
    script = Timed({"plan": PLAN, "execute": execute, "diagnose": DIAGNOSIS, "reflect": REFLECTION})
    async with ScriptedModel(script) as model:
        os.environ |= {"ANTHROPIC_API_KEY": "benchmark", "ANTHROPIC_BASE_URL": model.url, "OVERNIGHT_HOME": str(home)}
        settings = Settings()
        began = time.monotonic()
        connection = await open_connection(settings)
        show("stack up from cold", time.monotonic() - began, "s")
        up = connection.stack
        assert up is not None
        asked = time.monotonic()
        request = NewSession.parse(goal="Write notes.", validation_command="false", max_iterations=iterations)
        session = (await connection.sessions.start(request)).session_id
        show("start answered after", time.monotonic() - asked, "s")
        await ended(connection.sessions, session)
        show("first request of Claude Code after", (script.first or asked) - asked, "s")
        client = await connect(up.address)
        history = await client.get_workflow_handle(session).fetch_history()
        await report(client, history, iterations)
        for name, process in (("server", up.server), ("worker", up.worker), ("supervisor", up.supervisor)):
            if process is not None:
                show(f"memory of the {name}", psutil.Process(process.pid).memory_info().rss / 2**20, "MiB")


async def ended(sessions: Sessions, session: str) -> None:
    """Until the iterations are used up."""
    while True:
        known, _ = await sessions.wait([session], timeout_seconds=600)
        if known[0].status.is_final or known[0].reason.startswith("limit: iterations"):
            return
        await sessions.resume(session)


async def report(client: Client, history: WorkflowHistory, iterations: int) -> None:
    """Overhead and size, from the history itself."""
    events = list(history.events)
    scheduled = {e.event_id: e.activity_task_scheduled_event_attributes for e in events if e.event_type == 10}
    marks: list[float] = []
    inside = 0.0
    for event in events:
        if event.event_type == 10 and scheduled[event.event_id].activity_type.name == "execute":
            marks.append(event.event_time.ToNanoseconds() / 1e9)
        if event.event_type == 12 and len(marks) in range(1, iterations):
            payloads = event.activity_task_completed_event_attributes.result.payloads
            (told,) = await client.data_converter.decode(list(payloads), [CallReport])
            inside += told.seconds
    walls = [b - a for a, b in pairwise(marks)]
    bare = inside / max(1, len(walls))
    wall = statistics.mean(walls)
    show("wall time of an iteration", wall, "s")
    show("of it Claude Code and checks", bare, "s")
    show("overhead of an iteration", wall - bare, "s")
    show("ratio to the bare calls", wall / bare, "x")
    show("events per iteration", len(events) / iterations, "")
    size = sum(e.ByteSize() for e in events)
    show("history per iteration", size / iterations / 1024, "KiB")
    show("largest event", max(e.ByteSize() for e in events) / 1024, "KiB")


def show(name: str, value: float, unit: str) -> None:
    print(f"{name:<36} {value:8.2f} {unit}".rstrip())


def main() -> None:
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with tempfile.TemporaryDirectory(prefix="overnight-benchmark-") as folder:
        home = Path(folder)
        try:
            asyncio.run(measure(iterations, home))
        finally:
            stack.down(Settings(home=home))
    finish(0)


if __name__ == "__main__":
    main()
