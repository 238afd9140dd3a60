"""How long a worker takes to know a session again from its history: the whole of a run, up to its continuation."""

from __future__ import annotations

import time

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from benchmarks import bare
from benchmarks.figures import Figure
from benchmarks.house import house
from benchmarks.iteration import CHECK, play
from benchmarks.models import Watched, never_right
from workflows.session import CONTINUE_AFTER_ITERATIONS, AutonomousSession
from workflows.step import PlanStep


async def measure(rounds: int) -> list[Figure]:
    """Play a session past the longest run that there is, replay that run, and make its calls again in a loop."""
    script = never_right()
    async with Watched(script) as model, house(model) as home:
        asked, _, session = await play(home, CONTINUE_AFTER_ITERATIONS + 1)
        known = await home.client.get_workflow_handle(session).describe()
        first = home.client.get_workflow_handle(
            session, run_id=known.raw_description.workflow_execution_info.first_run_id
        )
        history = await first.fetch_history()
        requests = [request for came, request in script.came if came > asked]
        calls = [call for call in bare.calls_of(requests) if call.iteration <= CONTINUE_AFTER_ITERATIONS]
        made = await bare.loop(calls, CHECK, model.url, home.folder())
    whole, part = await _timed(history, rounds), [sum(made.seconds)]
    size = sum(event.ByteSize() for event in history.events) / 1024
    of = f"its {len(calls)} calls made again"
    return [
        Figure(f"replay of {CONTINUE_AFTER_ITERATIONS} iterations", "s", whole, part, of),
        Figure("for each iteration", "ms", [one * 1_000 / CONTINUE_AFTER_ITERATIONS for one in whole]),
        Figure("its events", "", [len(history.events)]),
        Figure("its history", "KiB", [size], [made.transcript_bytes / 1024], "Claude Code's transcripts"),
    ]


async def _timed(history: WorkflowHistory, rounds: int) -> list[float]:
    """Seconds of each replay, by a worker that is new to it."""
    took = []
    for _ in range(rounds):
        replayer = Replayer(workflows=[AutonomousSession, PlanStep], data_converter=pydantic_data_converter)
        began = time.perf_counter()
        await replayer.replay_workflow(history)
        took.append(time.perf_counter() - began)
    return took
