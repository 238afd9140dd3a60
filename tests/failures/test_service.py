"""A model's service in trouble: each call fails fast, Temporal backs off, and the session goes on where it was."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest
from temporalio.testing import WorkflowEnvironment

from overnight.demo.reply import Cut, Fault, Hang, HttpError, Say
from tests.demo.prices import PRICES
from tests.failures.conftest import Installation, install
from tests.failures.misbehaviour import HTML, NOT_EVENTS, OVERLOADED, Failing, good, stream
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

TROUBLE: dict[str, tuple[Say | Fault, int]] = {
    "silent-after-head": (Hang(after="headers"), 3),
    "silent-in-answer": (Hang(after="start"), 3),
    "silent": (Hang(), 3),
    "overloaded": (HttpError(status=529, message="Overloaded"), 3),
    "internal-error": (HttpError(status=500), 3),
    "bad-gateway": (HTML, 3),
    "rate-limit": (HttpError(status=429, headers={"retry-after": "1"}), 3),
    "lost": (Cut(), 3),
    "reset": (Cut(reset=True), 3),
    "cut": (Cut(after="start"), 4),
    "cut-after-block": (Cut(after="block"), 7),
    "not-events": (NOT_EVENTS, 2),
    "error-event": (stream(OVERLOADED), 4),
}
"""What the service does, and the most requests that one attempt makes of it."""
TRIES = 2
"""Attempts of the activity in which it does so."""
LONG_DOWN = "long-down"


@pytest.fixture(scope="module")
async def troubled(shop: Installation) -> dict[str, str]:
    """A session for each, all at once; the service fails when the agent has done its work and is about to say so."""
    started = {
        name: await shop.start(Failing(fault, attempts=1 if name.startswith("silent") else TRIES), session_id=name)
        for name, (fault, _) in TROUBLE.items()
    }
    started[LONG_DOWN] = await shop.start(Failing(HttpError(status=529, message="Overloaded")), session_id=LONG_DOWN)
    return started


@pytest.mark.parametrize("name", TROUBLE)
async def test_the_session_goes_on_when_the_service_does(
    shop: Installation, troubled: dict[str, str], name: str
) -> None:
    known = await shop.end(troubled[name])
    assert known.status is Status.COMPLETED, known.reason
    assert (known.iteration, known.errors) == (1, 0), "Temporal's tries are one call of the session"
    executes = shop.asked(name, "execute")
    tries = Counter(r.attempt for r in executes if r.turn)
    failing = 1 if name.startswith("silent") else TRIES
    assert max(tries) > failing
    assert max(tries[n] for n in range(1, failing + 1)) <= TROUBLE[name][1], tries
    assert sum(r.turn == 0 for r in executes) == 1, "the work that was done was done anew"
    assert known.cost_usd - known.usage.estimated_usd == pytest.approx(_billed_whole(shop, name), abs=1e-6)


def _billed_whole(shop: Installation, session_id: str) -> float:
    """USD of the answers that came to their end."""
    asked = [x for x in shop.model.exchanges if x.request.session == session_id and isinstance(x.reply, Say)]
    return sum(x.usage.cost_usd(PRICES[x.request.model]) for x in asked)


@pytest.mark.parametrize("name", ["cut", "silent"])
async def test_what_was_cut_off_is_charged_as_an_estimate(
    shop: Installation, troubled: dict[str, str], name: str
) -> None:
    known = await shop.end(troubled[name])
    asked = [x for x in shop.model.exchanges if x.request.session == name]
    assert known.usage.estimated_usd > 0
    assert known.usage.responses == len(asked), "each of them may have cost something"


async def test_a_refusal_in_the_stream_costs_nothing(shop: Installation, troubled: dict[str, str]) -> None:
    known = await shop.end(troubled["error-event"])
    assert known.usage.estimated_usd == 0


async def _watched(shop: Installation, session_id: str) -> list[SessionStatus]:
    """What a person sees of a session until it rests."""
    seen: list[SessionStatus] = []
    while not seen or seen[-1].status in {Status.QUEUED, Status.RUNNING}:
        seen.append(await shop.sessions.status(session_id))
        await asyncio.sleep(0.1)
    return seen


async def test_a_service_that_stays_down_is_waited_for(shop: Installation, troubled: dict[str, str]) -> None:
    down = troubled[LONG_DOWN]
    waiting = await shop.until(down, lambda s: s.status is Status.WAITING_LIMIT)
    assert waiting.reason.startswith("model unavailable: tries again at ")
    assert waiting.reason.endswith("HTTP 529: Overloaded")
    assert waiting.waiting_until is not None
    assert any("HTTP 529: Overloaded" in text for text in await shop.told(down))
    tries = Counter(r.attempt for r in shop.asked(down, "execute") if r.turn)
    assert len(tries) == 5
    assert max(tries.values()) <= 3
    scenario = shop.stage.plays[down]
    assert isinstance(scenario, Failing)
    scenario.mend()
    asked = len(shop.asked(down, "execute"))
    await shop.resume(down)
    done = await shop.until(down, lambda s: s.status.is_final)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1)
    assert shop.asked(down, "execute")[asked].turn >= 1, "it was not the same conversation that went on"
    assert done.cost_usd == pytest.approx(_billed_whole(shop, down), abs=1e-6)


async def test_the_status_shows_that_temporal_backs_off(shop: Installation) -> None:
    name = await shop.start(Failing(HttpError(status=529, message="Overloaded"), phase="plan", turn=0))
    seen = await _watched(shop, name)
    await shop.sessions.cancel(name)
    assert any("Overloaded" in s.reason for s in seen if s.status is Status.RUNNING)


async def test_nobody_listens(
    engine: WorkflowEnvironment, impatient: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    del impatient
    async with install(engine, tmp_path_factory.mktemp("refused"), "refused") as shop:
        await shop.model.__aexit__(None, None, None)
        # Nobody else may listen there in the meantime.
        with socket.socket() as kept:
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind(("127.0.0.1", shop.model.port))
            name = await shop.start(good(), session_id="nobody-listens")
            waiting = await shop.end(name)
        await shop.model.__aenter__()
        assert waiting.status is Status.WAITING_LIMIT
        assert "model unavailable" in waiting.reason
        assert "the model's service cannot be reached" in waiting.reason
        assert waiting.cost_usd == 0
        await shop.resume(name)
        done = await shop.until(name, lambda s: s.status.is_final)
        assert done.status is Status.COMPLETED, done.reason
