"""A hundred iterations with the real Claude Code, on a real installation whose worker is killed on the way."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from overnight.demo.reply import Answer, Reply, Text
from overnight.demo.script import Request
from overnight.request import NewSession
from tests.chaos.yard import POLL_SECONDS, Held, Yard, patiently
from tests.sessions.conftest import git
from tests.sessions.plays import GOAL, PLAN, judge, new_diagnosis, play, shell
from workflows.contracts.state import Status
from workflows.session import CONTINUE_AFTER_EVENTS, CONTINUE_AFTER_ITERATIONS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1_500)]

ITERATIONS = 100
KILLS = 3
LAST = f"counted to number {ITERATIONS}"
CHECK = f'cat count.txt; test "$(cat count.txt)" = "{LAST}"'


def counts(request: Request) -> Reply:
    """Each execute counts one further."""
    return shell(f"echo counted to number {request.iteration} > count.txt") if request.turn == 0 else Text("Counted.")


async def test_a_hundred_iterations(place: Yard) -> None:
    held = Held(f"hundred-{place.nonce}")
    place.stage.plays[held.name] = play(
        counts, plan=Answer(PLAN), diagnose=new_diagnosis, judge=judge(quote=LAST, file="count.txt")
    )
    asked = NewSession.parse(
        session_id=held.name,
        goal=GOAL,
        validation_command=CHECK,
        max_iterations=ITERATIONS + 5,
        max_time_minutes=600,
        max_cost_usd=1_000,
    )
    await patiently(lambda: place.sessions.start(asked))
    for iteration in range(20, ITERATIONS, ITERATIONS // KILLS):
        while (await patiently(lambda: place.sessions.status(held.name))).iteration < iteration:
            await asyncio.sleep(POLL_SECONDS)
        [dead] = place.kill("worker")
        await place.healthy(but=dead)
    told = await place.end(held)
    assert (told.known.status, told.known.iteration) == (Status.COMPLETED, ITERATIONS), told.known.reason
    assert len(told.checkpoints) == ITERATIONS + 1
    vault = Path((await patiently(lambda: place.sessions.branch(held.name))).vault)
    chain = [line.split() for line in git(vault, "log", "--format=%H %P", f"overnight/{held.name}").splitlines()]
    assert all(child[1] == parent[0] for child, parent in pairwise(chain)), "the branch only grows"

    runs, attempts = 0, 0
    async for listed in place.temporal.list_workflows(f"WorkflowId = '{held.name}'"):
        runs += 1
        history = await place.temporal.get_workflow_handle(held.name, run_id=listed.run_id).fetch_history()
        assert max(event.ByteSize() for event in history.events) < 256 * 1024
        assert len(history.events) < 1.5 * CONTINUE_AFTER_EVENTS
        attempts += sum(event.activity_task_started_event_attributes.attempt > 1 for event in history.events)
    assert runs >= ITERATIONS // CONTINUE_AFTER_ITERATIONS
    assert attempts <= KILLS, "more was tried again than was cut off"
