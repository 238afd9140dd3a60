"""What open sessions cost a worker that does nothing for them: memory, and how quickly it says where one stands.

They are paused before their first call. A loop that is stopped holds its Claude Code meanwhile; a session does not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psutil
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from benchmarks import bare
from benchmarks.figures import Figure
from benchmarks.house import MIB, House, house
from benchmarks.models import ROUND_SECONDS, Held, Watched
from overnight.base.temporal import TASK_QUEUE
from tests.workflows.fakes import spec
from workflows.contracts.messages import Pause
from workflows.contracts.state import SessionStart, SessionState, Status
from workflows.gated import COST, GLANCE, ITERATION, PHASE, PROJECT, STATUS
from workflows.policy import view
from workflows.session import AutonomousSession

SIZES = (1, 100, 1_000)
AT_ONCE = 16
LISTED = 20


async def measure(rounds: int) -> list[Figure]:
    """``rounds`` questions of each kind at each size, one after the other."""
    figures: list[Figure] = []
    play = Held()
    async with Watched(play) as model, house(model) as home:
        loop, call = await _bare(home, model, play)
        opened: list[str] = []
        for size in SIZES:
            await open_until(home, opened, size)
            held, of = [loop * size], f"{size:,} x one loop stopped in a call"
            figures.append(Figure(f"{size:,} open: the worker", "MiB", [home.memory("worker")], held, of))
            figures.append(Figure(f"{size:,} open: the server", "MiB", [home.memory("server")]))
            asked = await _timed(rounds, lambda: home.sessions.status(random.choice(opened)))  # noqa: S311
            figures.append(Figure(f"{size:,} open: status", "ms", asked, [call], "one call of claude -p"))
            listed = await _timed(rounds, lambda: home.sessions.list(limit=LISTED))
            figures.append(Figure(f"{size:,} open: list of {LISTED}", "ms", listed, [call], "one call of claude -p"))
    return figures


async def _bare(home: House, model: Watched, play: Held) -> tuple[float, float]:
    """MiB that only a shell with a waiting Claude Code has; milliseconds of a call that does one thing.

    The pages of its program, which such loops would share, are left out in their favour.
    """
    call = bare.Call("execute", 1, "Write a note.")
    line = ["bash", "-c", bare.quoted(bare.command(call), call) + "; true"]
    async with bare.started(line, model.url, home.folder()) as shell:
        await play.held()
        memory = sum(_memory(process) for process in bare.family(shell.pid))
    made = await bare.loop([call], "true", model.url, home.folder())
    return memory, made.seconds[0] * 1_000


def _memory(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        info = process.memory_info()
        return float(info.rss - info.shared) / MIB
    return 0.0


async def open_until(home: House, opened: list[str], size: int) -> None:
    """Start sessions until there are ``size``, and wait until all of them are paused."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def start(name: str) -> None:
        asked = spec(name)
        state = SessionState(limits=asked.limits)
        shown: list[SearchAttributePair[Any]] = [
            SearchAttributePair(STATUS, Status.QUEUED.value),
            SearchAttributePair(PHASE, state.phase),
            SearchAttributePair(PROJECT, asked.project.key),
            SearchAttributePair(ITERATION, 0),
            SearchAttributePair(COST, 0.0),
        ]
        async with slots:
            await home.client.start_workflow(
                AutonomousSession.run,
                SessionStart(spec=asked),
                id=name,
                task_queue=TASK_QUEUE,
                memo={GLANCE: view.glance(asked, state)},
                search_attributes=TypedSearchAttributes(shown),
                start_signal="pause",
                start_signal_args=[Pause(reason="to be looked at")],
            )

    names = [f"open-{number:04}" for number in range(len(opened), size)]
    await asyncio.gather(*map(start, names))
    opened.extend(names)
    paused = f"{STATUS.name} = '{Status.PAUSED.value}'"
    async with asyncio.timeout(ROUND_SECONDS):
        while (await home.client.count_workflows(paused)).count < size:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def _timed(rounds: int, ask: Callable[[], Awaitable[object]]) -> list[float]:
    """Milliseconds of each answer."""
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1_000)
    return took[1:]
