"""Usage limits of the model's service, on a worker process as it comes, with one slot for calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from overnight.demo.reply import Fault, HttpError, Say
from overnight.demo.script import Request, Scenario
from overnight.request import NewSession
from tests.demo.prices import PRICES
from tests.failures.misbehaviour import Failing, Limited, good, limited, spend_limited
from tests.failures.process import Apart, installation
from tests.sessions.conftest import patiently
from tests.sessions.plays import CHECK, GOAL, WRITES_IT, by_iteration, play
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus
from workflows.policy.failures import RESET_JITTER_SECONDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

ONE_CALL = 3
"""Requests of one call that is refused: Claude Code tries twice more when no retry-after tells it not to."""
GOES_ON = "usage limit: goes on by itself at "
LATE_SECONDS = 60.0
"""A session goes on within so many seconds after a reset."""
RESTART = "restart"
NEAR = {"at-the-start": ("plan", 0), "in-the-middle": ("execute", 1), "judge": ("judge", 0)}
"""Sessions that meet a limit which ends soon: phase and turn."""


def _far() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)


@dataclass
class Night:
    """The sessions of this module."""

    apart: Apart
    far: datetime
    plays: dict[str, Scenario]
    worker_started: datetime

    async def start(self, name: str, scenario: Scenario, **given: Any) -> None:
        self.plays[name] = self.apart.stage.plays[name] = scenario
        request = {"goal": GOAL, "validation_command": CHECK, "session_id": name, **given}
        await patiently(lambda: self.apart.sessions.start(NewSession.parse(**request)))

    async def until(self, name: str, holds: Callable[[SessionStatus], bool]) -> SessionStatus:
        while not holds(known := await patiently(lambda: self.apart.sessions.status(name))):
            await asyncio.sleep(0.1)
        return known

    async def resume(self, name: str) -> None:
        await patiently(lambda: self.apart.sessions.resume(name))

    async def waits(self, name: str) -> SessionStatus:
        return await self.until(name, lambda s: s.status is Status.WAITING_LIMIT)

    async def ends(self, name: str) -> SessionStatus:
        return await self.until(name, lambda s: s.status.is_final or s.status is Status.PAUSED)

    def asked(self, name: str) -> int:
        return len(self.apart.stage.times.get(name, []))

    def billed(self, name: str) -> float:
        asked = [x for x in self.apart.model.exchanges if x.request.session == name]
        return sum(x.usage.cost_usd(PRICES[x.request.model]) for x in asked)


class Again(Scenario):
    """Limited for long; later, after more work, limited once more, for two minutes."""

    def __init__(self, far: datetime) -> None:
        super().__init__([])
        self._far = far
        self.limits = 0
        self.soon = datetime.now(UTC)

    def reply(self, request: Request) -> Say | Fault:
        if request.phase != "execute" or request.turn <= self.limits:
            return play(by_iteration(WRITES_IT)).reply(request)
        if self.limits == 0:
            self.limits = 1
            return limited(self._far)
        self.soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=2)
        return limited(self.soon)


@pytest_asyncio.fixture(scope="module")
async def night(engine: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Night]:
    """One session waits while the worker is killed, and its reset passes meanwhile; the others begin after that."""
    home = tmp_path_factory.mktemp("limits")
    async with installation(engine, home, OVERNIGHT_TURN_SLOTS="1") as apart:
        night = Night(apart, _far(), {}, datetime.now(UTC))
        limit = Limited("execute", 1)
        await night.start(RESTART, limit)
        await night.waits(RESTART)
        await apart.worker.kill()
        while limit.is_on():
            await asyncio.sleep(0.1)
        await apart.worker.start()
        night.worker_started = datetime.now(UTC)
        far = limited(night.far)
        for name in ("alike-1", "alike-2"):
            await night.start(name, Failing(far, phase="plan", turn=0))
        for name, (phase, turn) in NEAR.items():
            await night.start(name, Limited(phase, turn))
        patience = HttpError(status=429, message="slow down", headers={"retry-after": "7200"})
        await night.start("retry-after", Failing(patience, phase="plan", turn=0))
        await night.start("no-reset", Failing(limited(), phase="plan", turn=0))
        await night.start("spend-limit", Failing(spend_limited(night.far), phase="plan", turn=0))
        await night.start("just-over", Failing(limited(datetime.now(UTC) - timedelta(seconds=1)), phase="plan", turn=0))
        await night.start("again", Again(night.far))
        yield night


async def test_a_reset_that_passes_while_the_worker_is_dead(night: Night) -> None:
    done = await night.ends(RESTART)
    limit = night.plays[RESTART]
    assert isinstance(limit, Limited)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    assert limit.refused <= ONE_CALL, "it asked again before the reset"
    latest = max(limit.until, night.worker_started) + timedelta(seconds=LATE_SECONDS)
    assert limit.until <= limit.went_on <= latest
    assert done.cost_usd == pytest.approx(night.billed(RESTART), abs=1e-6)


@pytest.mark.parametrize("name", NEAR)
async def test_it_goes_on_after_the_reset_and_not_before(night: Night, name: str) -> None:
    done = await night.ends(name)
    limit = night.plays[name]
    assert isinstance(limit, Limited)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    assert limit.refused <= ONE_CALL, "it asked again before the reset"
    assert limit.until <= limit.went_on <= limit.until + timedelta(seconds=LATE_SECONDS)
    events = (await patiently(lambda: night.apart.sessions.events(name))).events
    stated = next(e.text for e in events if e.text.startswith(GOES_ON))
    assert "unknown" not in stated
    assert done.errors == 1
    assert done.error_log[0].kind == "usage_limit"
    assert done.cost_usd == pytest.approx(night.billed(name), abs=1e-6)


async def test_a_service_that_says_no_is_not_asked_again(night: Night) -> None:
    await night.waits("alike-1")
    assert night.asked("alike-1") == 1


async def test_what_was_done_before_the_limit_is_not_done_again(night: Night) -> None:
    await night.ends("in-the-middle")
    asked = [r for r in night.apart.model.requests if r.session == "in-the-middle" and r.phase == "execute"]
    assert sum(r.turn == 0 for r in asked) == 1, "it was not the same conversation that went on"


async def test_sessions_with_one_limit_do_not_go_on_all_at_once(night: Night) -> None:
    until = [(await night.waits(name)).waiting_until for name in ("alike-1", "alike-2")]
    first, second = (moment for moment in until if moment is not None)
    assert first != second
    for moment in (first, second):
        assert night.far <= moment <= night.far + timedelta(seconds=RESET_JITTER_SECONDS)


async def test_who_waits_holds_no_slot_and_asks_nobody(night: Night) -> None:
    """The other sessions of this module had the only slot all the while."""
    waiting = [await night.waits(name) for name in ("alike-1", "alike-2", "retry-after")]
    asked = [night.asked(s.session_id) for s in waiting]
    await night.start("meanwhile", good())
    assert (await night.ends("meanwhile")).status is Status.COMPLETED
    assert [night.asked(s.session_id) for s in waiting] == asked
    for known in waiting:
        assert known.reason.startswith(GOES_ON)
        assert known.next == f"Look again after that time; `overnight resume {known.session_id}` tries at once."


async def test_a_long_retry_after_is_a_limit(night: Night) -> None:
    known = await night.waits("retry-after")
    assert known.waiting_until is not None
    assert known.updated_at is not None
    assert timedelta(minutes=115) < known.waiting_until - known.updated_at <= timedelta(minutes=121)
    plan = night.plays["retry-after"]
    assert isinstance(plan, Failing)
    plan.mend()
    await night.resume("retry-after")
    done = await night.ends("retry-after")
    assert done.status is Status.COMPLETED, "a person who resumes does not have to wait"


async def test_a_limit_without_a_reset_says_that_it_is_unknown(night: Night) -> None:
    known = await night.waits("no-reset")
    assert known.reason.endswith("(the reset is unknown: backing off)")
    assert known.waiting_until is not None
    assert known.updated_at is not None
    assert timedelta(minutes=4) < known.waiting_until - known.updated_at <= timedelta(minutes=5)
    assert night.asked("no-reset") <= 3


async def test_a_spend_limit_tells_its_end_in_words(night: Night) -> None:
    known = await night.waits("spend-limit")
    assert known.waiting_until is not None
    assert known.waiting_until >= night.far.replace(second=0)


async def test_a_limit_that_is_over_when_it_is_heard_of(night: Night) -> None:
    await night.waits("just-over")
    events = (await patiently(lambda: night.apart.sessions.events("just-over"))).events
    first = next(e for e in events if e.text.startswith(GOES_ON))
    until = datetime.strptime(first.text.removeprefix(GOES_ON)[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert until - first.time <= timedelta(seconds=LATE_SECONDS)


async def test_a_second_limit_after_more_work_is_believed(night: Night) -> None:
    await night.waits("again")
    await night.resume("again")
    plan = night.plays["again"]
    assert isinstance(plan, Again)
    known = await night.until("again", lambda s: s.errors == 2 and s.status is Status.WAITING_LIMIT)
    assert known.waiting_until is not None
    assert known.waiting_until - plan.soon <= timedelta(seconds=LATE_SECONDS)


async def test_who_does_not_want_to_wait_is_paused(night: Night) -> None:
    failing = Failing(limited(night.far))
    await night.start("opted-out", failing, on_usage_limit="pause")
    known = await night.until("opted-out", lambda s: s.status in {Status.PAUSED, Status.WAITING_LIMIT})
    assert known.status is Status.PAUSED
    assert known.reason.startswith("usage limit: ")
    assert f"{night.far:%Y-%m-%d %H:%M:%S} UTC" in known.reason
    assert "resume" in known.reason
    asked = night.asked("opted-out")
    assert asked <= 2 + ONE_CALL
    failing.mend()
    await night.resume("opted-out")
    assert (await night.ends("opted-out")).status is Status.COMPLETED
