"""How long the model goes on after ``steer(now)``, and until it is asked again with the guidance."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil

from benchmarks import bare
from benchmarks.figures import Figure
from benchmarks.house import House, house
from benchmarks.models import ROUND_SECONDS, Held, Noted, Watched, until
from overnight.demo.reply import Fault, Say
from overnight.demo.script import Request, Scenario
from overnight.request import NewSession
from tests.chaos.yard import is_there, name_of, processes_of
from workflows.contracts.state import Status

GUIDANCE = "Write it in lower case."


class OneByOne(Scenario):
    """Plays one play after another."""

    def __init__(self) -> None:
        super().__init__({})
        self.play: Noted = Held()

    def reply(self, request: Request) -> Say | Fault:
        return self.play.reply(request)


@dataclass
class Found:
    """Seconds from the word until something happened, by round."""

    cut: list[float] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)


async def measure(rounds: int) -> list[Figure]:
    """Sessions that are steered in the middle of an answer, and bare calls that are interrupted there, in turns."""
    script, session, alone = OneByOne(), Found(), Found()
    async with Watched(script) as model, house(model) as home:
        for _ in range(rounds):
            script.play = play = Held()
            async with asyncio.timeout(ROUND_SECONDS):
                await _steer(home, model, play, session)
            script.play = play = Held()
            with tempfile.TemporaryDirectory(prefix="overnight-benchmark-") as folder:
                async with asyncio.timeout(ROUND_SECONDS):
                    await _interrupt(Path(folder), model, play, alone)
    of = "SIGINT to claude -p"
    return [
        Figure("the answer under way is cut off", "s", session.cut, alone.cut, of),
        Figure("Claude Code is gone", "s", session.gone, alone.gone, of),
        Figure("the model has the guidance", "s", session.told, alone.told, f"{of}, then claude -p --resume"),
    ]


async def _steer(home: House, model: Watched, play: Held, found: Found) -> None:
    asked = NewSession.parse(goal="Write a note.", validation_command="test -f note-1.txt")
    name = (await home.sessions.start(asked)).session_id
    await play.held()
    running = [p for p in processes_of(name, home.settings.home) if name_of(p) == "claude"]
    assert running
    model.cut.clear()
    began = time.time()
    gone, _ = await asyncio.gather(_gone(running), home.sessions.steer(name, GUIDANCE, when="now"))
    await _note(model, play, began, gone, found)
    known, late = await home.sessions.wait([name], until="attention", timeout_seconds=60)
    assert not late, name
    assert known[0].status is Status.COMPLETED, known[0].reason


async def _interrupt(folder: Path, model: Watched, play: Held, found: Found) -> None:
    conversation = str(uuid4())
    call = bare.Call("execute", 1, "Write a note.")
    more = bare.Call("execute", 1, GUIDANCE)
    first = bare.quoted(bare.command(call, "--session-id", conversation), call)
    then = bare.quoted(bare.command(more, "--resume", conversation), more)
    async with bare.started(["bash", "-c", f"{first}; {then}"], model.url, folder) as shell:
        await play.held()
        running = await bare.claude_of(shell.pid)
        model.cut.clear()
        began = time.time()
        running.send_signal(signal.SIGINT)
        await _note(model, play, began, await _gone([running]), found)
        await shell.wait()


async def _note(model: Watched, play: Held, began: float, gone: float, found: Found) -> None:
    await until(lambda: bool(model.cut))
    found.cut.append(model.cut[0] - began)
    found.gone.append(gone - began)
    found.told.append(await play.next_after(began, GUIDANCE) - began)


async def _gone(running: Sequence[psutil.Process]) -> float:
    await until(lambda: not any(map(is_there, running)))
    return time.time()
