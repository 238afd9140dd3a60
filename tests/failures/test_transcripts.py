"""An execute whose conversation was damaged while the session waited: the work goes on, with a brief if need be."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from activities.claude import Ask, Lease
from activities.sandbox import Box
from overnight.demo.reply import Text
from tests.failures.conftest import Installation
from tests.failures.misbehaviour import Failing, limited
from tests.sessions.plays import GOAL, by_iteration, play
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import Allowance
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def wrong_words(path: Path) -> None:
    path.write_text('{"type": "user"}\n[1]\n{}\n')


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def last_line(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 20)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def elsewhere(path: Path) -> None:
    shutil.rmtree(path.parents[1])


DAMAGE: dict[str, Callable[[Path], None]] = {
    done.__name__.replace("_", "-"): done
    for done in (garbage, wrong_words, half, last_line, empty, missing, folder, elsewhere)
}


@pytest.fixture(scope="module")
async def damaged(shop: Installation) -> None:
    """A session for each kind of damage: done while it waits for a usage limit, after the first of its work."""
    far = datetime.now(UTC) + timedelta(hours=1)
    for name in DAMAGE:
        await shop.start(Failing(limited(far)), session_id=name)
    for name, damage in DAMAGE.items():
        known = await shop.end(name)
        assert known.status is Status.WAITING_LIMIT, known.reason
        [transcript] = (shop.settings.home / "sessions" / name / "claude" / "projects").glob("*/*.jsonl")
        damage(transcript)
        scenario = shop.stage.plays[name]
        assert isinstance(scenario, Failing)
        scenario.mend()
        await shop.resume(name)


@pytest.mark.parametrize("name", DAMAGE)
async def test_the_work_goes_on(shop: Installation, damaged: None, name: str) -> None:
    del damaged
    done = await shop.end(name)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    assert {e.kind for e in done.error_log} <= {"usage_limit", "transcript_lost"}
    executes = shop.asked(name, "execute")
    assert all(GOAL in r.text for r in executes), "it went on without knowing what for"
    assert done.cost_usd == pytest.approx(shop.billed(name), abs=1e-6)


async def test_a_conversation_that_is_there_already_is_not_begun_again(shop: Installation, tmp_path: Path) -> None:
    """As after a call of which nobody remembers that it was begun."""
    shop.stage.plays["twice"] = play(by_iteration([Text("Done.")]))
    work = tmp_path / "work"
    work.mkdir()
    allowance = Allowance(model="claude-opus-5-5", cost_usd=1, seconds=300, max_turns=5)
    ask = Ask("execute", "execute", "Go on.", "", allowance, conversation=str(uuid4()))

    async def call() -> Outcome:
        lease = Lease("twice", "execute", iteration=1, attempt=1, budget_usd=1)
        box = Box(workspace=work, writable=True, config=tmp_path / "claude")
        return (await shop.host.runner.run(ask, lease, box, stop=asyncio.Event())).outcome

    assert await call() is Outcome.COMPLETED
    asked = len(shop.asked("twice", "execute"))
    assert await call() is Outcome.TRANSCRIPT_LOST
    assert len(shop.asked("twice", "execute")) == asked
