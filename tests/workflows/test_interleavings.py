"""Messages at any moment, in any order, twice, malformed, across new histories: what must hold all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Bench, Handle, time_skipping_server, workers
from tests.workflows.fakes import PRICE, World, checkpoint, used
from workflows.contracts.messages import RaiseLimits, Rollback
from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.requests import Beat, ExecuteRequest, ExecuteResult, RestoreRequest
from workflows.contracts.state import SessionResult, Status
from workflows.session import AutonomousSession

ITERATIONS = 6
MESSAGES = 20


CALLS = ("plan", "execute", "validate", "judge", "diagnose", "reflect")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restless() -> AsyncIterator[WorkflowEnvironment]:
    """A server that wants every session continued as new after a few events."""
    async with time_skipping_server("limit.historyCount.suggestContinueAsNew=60") as started:
        yield started


class Slow:
    """Calls that take a moment, and may be stopped before or after the model has answered."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.charged = 0
        self.heard: Counter[str] = Counter()
        """Guidance, by how many answered executes had it as new."""

    async def __call__(self, request: Any) -> CallReport | None:
        answered = self._random.random() < 0.6
        try:
            for _ in range(self._random.randrange(1, 6)):
                activity.heartbeat(Beat())
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            usage = used() if answered and hasattr(request, "allowance") else Usage()
            self._note(request, usage)
            if isinstance(request, ExecuteRequest):
                made = checkpoint(request, changed=True)
                return ExecuteResult(
                    outcome=Outcome.INTERRUPTED, detail="stopped", usage=usage, checkpoint=made, conversation="conv-1"
                )
            return CallReport(outcome=Outcome.INTERRUPTED, detail="stopped", usage=usage)
        self._note(request, used() if hasattr(request, "allowance") else Usage())
        return None

    def _note(self, request: Any, usage: Usage) -> None:
        self.charged += bool(usage.responses)
        if isinstance(request, ExecuteRequest) and usage.responses:
            self.heard.update(request.brief.guidance)


async def chatter(handle: Handle, random: Random, refused: set[str]) -> set[str]:
    """Send things at random moments until the session is over; returns the guidance that was sent, notes refusals."""
    sent: set[str] = set()
    with suppress(RPCError):
        for number in range(MESSAGES):
            await asyncio.sleep(random.random() * 0.06)
            await _one(handle, random, number, sent)
            record = await handle.query(AutonomousSession.events)
            refused |= {e.text.rpartition(": ")[2] for e in record.events if e.text.startswith("steer: refused")}
        while True:
            # Whatever it was paused by, a person lets it go on.
            await handle.signal("resume")
            await asyncio.sleep(0.02)
    return sent


async def _one(handle: Handle, random: Random, number: int, sent: set[str]) -> None:
    match random.randrange(9):
        case 0 | 1:
            text = f"guidance {number}"
            message = {"guidance": text, "id": f"m{number}", "when": random.choice(["now", "next_step"])}
            for _ in range(random.choice([1, 1, 2])):
                await handle.signal("steer", message)
                sent.add(text)
        case 2 | 3:
            await handle.signal("pause", {"when": random.choice(["now", "turn"]), "id": f"p{number}"})
        case 4:
            await handle.signal("resume")
        case 5:
            await handle.signal(*random.choice([("steer", 17), ("pause", {"when": "never"}), ("nonsense", "x")]))
        case 6:
            with suppress(WorkflowUpdateFailedError):
                await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=100 + number))
        case 7:
            with suppress(WorkflowUpdateFailedError):  # an iteration that has no checkpoint yet
                await handle.execute_update(AutonomousSession.rollback, Rollback(iteration=random.randrange(4)))
        case _:
            await handle.signal("steer", args=["two", "arguments"])


async def answers(handle: Handle, random: Random, sent: set[str]) -> None:
    """A person who approves or rejects what waits, late and twice, until somebody stops them."""
    answered: list[dict[str, str]] = []
    while True:
        await asyncio.sleep(random.random() * 0.05)
        with suppress(RPCError, WorkflowUpdateFailedError):  # between two runs, or after the end; or too late
            if answered and random.random() < 0.3:
                await handle.execute_update("approve", {**random.choice(answered), "by": "late"})
            status = await handle.query(AutonomousSession.status)
            if (waits := status.approval) is None:
                continue
            answered.append({"request": waits.request})
            reason = f"not {waits.request}"
            if 0 < status.iteration < ITERATIONS and random.random() < 0.4:
                message = {"request": waits.request, "reason": reason, "by": "ada"}
                while reason not in sent:  # whose reply was lost may say so again
                    with suppress(RPCError):
                        await handle.execute_update("reject", message)
                        sent.add(reason)
            else:
                await handle.execute_update("approve", {"request": waits.request, "by": "ada"})


SEEDS = [*((n, "autonomous") for n in range(7)), (7, "iterative"), (8, "iterative")]
QUICK = (0, 7)
"""The others are many and take long."""


@pytest.mark.parametrize(
    ("seed", "mode"), [pytest.param(*one, marks=[] if one[0] in QUICK else pytest.mark.chaos) for one in SEEDS]
)
async def test_nothing_is_lost_and_nothing_is_done_twice(restless: WorkflowEnvironment, seed: int, mode: str) -> None:
    random = Random(seed)  # noqa: S311 (to play, not to hide)
    slow = Slow(random)
    world = World(passes_at=ITERATIONS, before=dict.fromkeys(CALLS, slow))
    queue, refused = f"q-{uuid4().hex[:8]}", set[str]()
    async with workers(restless, queue, world):
        handle = await Bench(restless, world, queue).start(
            real_time=True, max_cost_usd=1_000, max_iterations=100, max_time_minutes=1_000, mode=mode
        )
        latest: Handle = restless.client.get_workflow_handle_for(AutonomousSession.run, handle.id)
        talking, reasons = asyncio.create_task(chatter(latest, random, refused)), set[str]()
        answering = asyncio.create_task(answers(latest, random, reasons)) if mode == "iterative" else None
        result: SessionResult = await handle.result()
        sent = await talking | reasons
        if answering is not None:
            answering.cancel()
        record = await latest.query(AutonomousSession.status)
        events = (await latest.query(AutonomousSession.events)).events
        described = await latest.describe()
    assert result.status is Status.COMPLETED
    # Whoever goes back from the last one asks for one more.
    assert ITERATIONS <= result.iterations <= ITERATIONS + len(world.seen(RestoreRequest))
    assert described.run_id != handle.first_execution_run_id, "it was never continued as new"

    assert {text: n for text, n in slow.heard.items() if n != 1} == {}, "guidance was delivered twice"
    late = {g.text for g in record.guidance if g.iteration is None}
    # So few can wait at once; what is refused is shown.
    assert sent == set(slow.heard) | late | refused, "guidance was lost"
    assert result.usage.cost_usd == pytest.approx(PRICE * slow.charged)

    executes = world.seen(ExecuteRequest)
    assert sorted({e.site.iteration for e in executes}) == list(range(1, result.iterations + 1))
    assert all(b.site.iteration - a.site.iteration in (0, 1) for a, b in pairwise(executes))
    assert [e.seq for e in events] == list(range(events[0].seq, events[-1].seq + 1))
