"""What is spent while a call is under way: a person's word stops it at once, and all of it is told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from overnight.demo.reply import Reply, Say, Text, Usage
from overnight.demo.script import Request
from tests.failures.conftest import Installation
from tests.failures.misbehaviour import Log
from tests.sessions.conftest import patiently
from tests.sessions.plays import RIGHT, TEST, play, shell, write
from workflows.contracts.state import Status
from workflows.policy import limits

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

STOPS_SECONDS = 2.0
"""After a word that is meant at once no request begins any more."""
CANCELLED_SECONDS = 10.0
LONG = Usage(input_tokens=990_000, output_tokens=2_000)
"""So much that Claude Code sums up before it goes on."""


def busy(request: Request) -> Reply:
    """One short command after another, for ever; with guidance, the work."""
    if "Enough of that." not in request.text:
        return shell(f"echo {request.turn}")
    if "all is written" in request.text:
        return Text("Done.")
    return shell(f"cat > greet.py <<'E'\n{RIGHT}E\ncat > test_greet.py <<'E'\n{TEST}E\necho all is written")


@pytest.mark.parametrize("word", ["pause", "steer", "cancel"])
async def test_a_word_meant_at_once_stops_the_spending(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setitem(limits.MAX_TURNS, "execute", 1_000)
    spent_for = [await _goes_on_spending(shop, word, f"at-once-{word}")]
    while spent_for[-1] >= STOPS_SECONDS and len(spent_for) < 3:  # this machine may have stood still
        spent_for.append(await _goes_on_spending(shop, word, f"at-once-{word}-{len(spent_for)}"))
    assert spent_for[-1] < STOPS_SECONDS, spent_for


async def _goes_on_spending(shop: Installation, word: str, name: str) -> float:
    """Seconds from the word on in which requests begin that do not know of it; the session ends as it must."""
    await shop.start(play(busy), session_id=name)
    while len(shop.asked(name, "execute")) < 4:
        await asyncio.sleep(0.05)
    if word == "pause":
        await patiently(lambda: shop.sessions.pause(name, reason="lunch", when="now"))
    elif word == "steer":
        await patiently(lambda: shop.sessions.steer(name, "Enough of that.", when="now"))
    else:
        await patiently(lambda: shop.sessions.cancel(name, reason="changed my mind"))
    said = datetime.now(UTC)
    ended = await shop.until(name, lambda s: s.status.is_final or s.status is Status.PAUSED)
    seconds = (datetime.now(UTC) - said).total_seconds()
    assert isinstance(shop.stage, Log)
    asked = [r for r in shop.model.requests if r.session == name]
    by_moment = zip(shop.stage.times[name], asked, strict=True)
    unaware = [at for at, r in by_moment if r.phase == "execute" and "Enough of that." not in r.text]
    if word == "cancel":
        assert ended.status is Status.CANCELLED
        assert seconds < CANCELLED_SECONDS
    if word == "steer":
        assert (ended.status, ended.iteration) == (Status.COMPLETED, 1), ended.reason
    return unaware[-1] - said.timestamp()


async def test_a_conversation_that_is_summed_up_costs_what_was_billed(shop: Installation) -> None:
    def works(request: Request) -> Reply:
        if "The conversation so far had 1 turn" not in request.text:
            return Say(write("test_greet.py", TEST), usage=LONG)
        return (write("greet.py", RIGHT), Text("Done."))[min(request.turn, 1)]

    name = await shop.start(play(works), session_id="summed-up", max_cost_usd=100)
    done = await shop.end(name)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    assert [r.is_compaction for r in shop.asked(name, "execute")].count(True) == 1
    assert done.cost_usd == pytest.approx(shop.billed(name), abs=1e-6)
    assert done.cost_usd > 1
