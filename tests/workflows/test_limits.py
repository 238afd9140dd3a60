"""Budgets, usage limits and whatever else makes a session wait: it pauses or waits, and goes on where it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from tests.workflows.conftest import NewBench, eventually, reaches, said, timers_of
from tests.workflows.fakes import PRICE, World, in_turn, unavailable, used
from workflows.calls import MODEL_UNAVAILABLE
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.requests import DiagnoseRequest, ExecuteRequest, JudgeRequest, ValidateRequest
from workflows.contracts.state import Status
from workflows.session import AutonomousSession


def usage_limit(resets_at: datetime | None = None) -> CallReport:
    return CallReport(outcome=Outcome.USAGE_LIMIT, detail="limit reached", resets_at=resets_at)


# ---------------------------------------------------------------------- limits of the session


async def test_a_spent_budget_pauses_and_raising_it_goes_on(new_bench: NewBench) -> None:
    world = World(passes_at=3)
    handle = await (await new_bench(world)).start(max_cost_usd=2 * PRICE)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "limit: cost: $0.50 of $0.50 spent"
    assert status.cost_usd == 2 * PRICE
    assert len(world.seen(ValidateRequest)) == 2, "what was bought is still looked at"
    assert world.seen(DiagnoseRequest) == []
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=10))
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 3)
    left = [e.allowance.cost_usd for e in world.seen(ExecuteRequest)]
    left += [j.allowance.cost_usd for j in world.seen(JudgeRequest)]
    assert left == [PRICE, 10 - 3 * PRICE, 10 - 5 * PRICE, 10 - 6 * PRICE]


async def test_resume_alone_does_not_lift_a_limit(new_bench: NewBench) -> None:
    handle = await (await new_bench(World(passes_at=3))).start(max_iterations=1)
    await reaches(handle, Status.PAUSED)
    await handle.signal("resume")
    await handle.signal("steer", "marker")
    status = await eventually(handle, lambda s: bool(s.guidance) and s.status is Status.PAUSED)
    assert status.reason == "limit: iterations: 1 of 1 are done"
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_iterations=1))
    assert (await reaches(handle, Status.PAUSED)).reason == "limit: iterations: 1 of 1 are done"
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_iterations=3))
    assert (await handle.result()).iterations == 3


async def test_raising_limits_does_not_end_a_persons_pause(new_bench: NewBench) -> None:
    handle = await (await new_bench(World(passes_at=1))).start(
        start_signal="pause", signal_args=["limit: of my patience"]
    )
    await reaches(handle, Status.PAUSED)
    status = await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=10))
    assert status.status is Status.PAUSED
    assert (await reaches(handle, Status.PAUSED)).reason == "paused by a person: limit: of my patience"
    await handle.signal("resume")
    await handle.result()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_cost_usd": 0.1}, "limit: cost: $0.25 of $0.10 spent"),
        ({"max_iterations": 1}, "limit: iterations: 1 of 1"),
    ],
)
async def test_on_limit_fail_ends_as_failed(new_bench: NewBench, limits: dict[str, Any], reason: str) -> None:
    result = await (await new_bench(World(passes_at=9))).run(on_limit="fail", **limits)
    assert result.status is Status.FAILED
    assert result.reason.startswith(reason)
    assert result.commit is not None
    assert result.report.startswith("# Failed")


async def test_active_time_is_a_limit(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    handle = await (await new_bench(world)).start(max_time_minutes=0.01)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "limit: time: 0.01 active minutes are over"
    assert len(world.seen(ExecuteRequest)) == 1, "each fake execute takes a second, by its own word"
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_time_minutes=5))
    assert (await handle.result()).status is Status.COMPLETED
    seconds = [round(e.allowance.seconds, 1) for e in world.seen(ExecuteRequest)]
    assert seconds == [0.6, 299.0]


async def test_what_is_left_but_carries_no_response_counts_as_spent(new_bench: NewBench) -> None:
    world = World(passes_at=2, before={"execute": in_turn(CallReport(outcome=Outcome.MAX_COST, usage=used()))})
    handle = await (await new_bench(world)).start(max_cost_usd=5)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "limit: cost: what is left of $5.00 does not carry another response"
    assert len(world.seen(ValidateRequest)) == 2
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=6))
    assert (await handle.result()).status is Status.COMPLETED


# ---------------------------------------------------------------------- limits of the model's service


async def test_a_usage_limit_waits_for_its_reset(new_bench: NewBench) -> None:
    resets_at: list[datetime] = []

    async def limited(request: ExecuteRequest) -> CallReport | None:
        if resets_at:
            return None
        resets_at.append(datetime.now(UTC) + timedelta(hours=4))
        return usage_limit(resets_at[0])

    world = World(passes_at=1, before={"execute": limited})
    handle = await (await new_bench(world)).start(max_time_minutes=10)
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert result.iterations == 1
    assert result.active_seconds < 60, "waiting is not active time"
    (waited,) = timers_of(await handle.fetch_history())
    assert 4 * 3600 - 60 < waited < 4 * 3600 + 31
    (shown,) = [t for t in await said(handle) if t.startswith("usage limit: goes on by itself at")]
    assert f"{resets_at[0]:%Y-%m-%d %H}" in shown or f"{resets_at[0] + timedelta(minutes=1):%Y-%m-%d %H}" in shown
    assert "unknown" not in shown


async def test_an_unknown_reset_backs_off_longer_each_time(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"plan": in_turn(*[usage_limit()] * 6)})
    handle = await (await new_bench(world)).start()
    assert (await handle.result()).status is Status.COMPLETED
    minutes = [round(s / 60) for s in timers_of(await handle.fetch_history())]
    assert minutes == [5, 10, 20, 40, 60, 60]
    assert sum("(the reset is unknown: backing off)" in text for text in await said(handle)) == 6


async def test_a_reset_that_has_passed_already_is_not_believed(new_bench: NewBench) -> None:
    past = datetime(2020, 1, 1)  # noqa: DTZ001  (as somebody may well send it)
    world = World(passes_at=1, before={"plan": in_turn(usage_limit(past), usage_limit(past))})
    handle = await (await new_bench(world)).start()
    assert (await handle.result()).status is Status.COMPLETED
    assert [round(s / 60) for s in timers_of(await handle.fetch_history())] == [5, 10]


async def test_a_waiting_session_says_so_and_resume_ends_the_wait(new_bench: NewBench) -> None:
    # Far enough away that skipped time would show: a paused session has no timer to skip to.
    world = World(passes_at=1, before={"plan": in_turn(usage_limit(datetime.now(UTC) + timedelta(days=2)))})
    bench = await new_bench(world)
    handle = await bench.start(real_time=True)
    status = await reaches(handle, Status.WAITING_LIMIT)
    assert status.reason.startswith("usage limit: goes on by itself at ")
    assert status.waiting_until is not None
    assert status.waiting_until > datetime.now(UTC) + timedelta(days=1)
    await handle.signal("pause", "sleep")
    assert (await reaches(handle, Status.PAUSED)).reason == "paused by a person: sleep"
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED


async def test_resume_ends_a_wait_at_once(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"execute": in_turn(usage_limit())})
    bench = await new_bench(world)
    handle = await bench.start(real_time=True)
    await reaches(handle, Status.WAITING_LIMIT)
    await handle.signal("resume")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)


async def test_an_unavailable_model_never_ends_the_night(new_bench: NewBench) -> None:
    down = [unavailable(Usage(calls=1, cost_usd=0.01)) for _ in range(3)]
    world = World(passes_at=1, before={"execute": in_turn(*down)})
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)
    assert [round(s / 60) for s in timers_of(await handle.fetch_history())] == [5, 10, 20]
    assert result.usage.cost_usd == pytest.approx(3 * PRICE + 0.03), "what failed attempts cost is charged"
    assert any("model unavailable: tries again at" in text for text in await said(handle))


async def test_temporal_backs_off_first(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"judge": in_turn(ApplicationError("529", type=MODEL_UNAVAILABLE))})
    handle = await (await new_bench(world)).start()
    assert (await handle.result()).status is Status.COMPLETED
    assert timers_of(await handle.fetch_history()) == []
    assert len(world.seen(JudgeRequest)) == 2


@pytest.mark.parametrize(
    ("outcome", "fix"),
    [
        (Outcome.AUTH, "engine_auth: the model refused the credential; log in again"),
        (Outcome.CREDIT, "engine_auth: the account has no credit left; add credit"),
        (Outcome.UNKNOWN_MODEL, "engine_auth: the model does not exist"),
        (Outcome.ENGINE_BROKEN, "engine: Claude Code or the sandbox cannot start"),
        (Outcome.WORKSPACE, "workspace: the project or the vault cannot be used"),
    ],
)
async def test_what_only_a_person_can_mend_pauses_with_the_fix(new_bench: NewBench, outcome: Outcome, fix: str) -> None:
    world = World(passes_at=1, before={"execute": in_turn(outcome)})
    handle = await (await new_bench(world)).start()
    status = await reaches(handle, Status.PAUSED)
    assert status.reason.startswith(fix)
    assert status.error_log[-1].kind == outcome.value
    await handle.signal("resume")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)


async def test_an_unexpected_error_pauses_with_its_trace(new_bench: NewBench) -> None:
    world = World(
        passes_at=1, before={"diagnose": in_turn(ApplicationError("boom", type="KeyError", non_retryable=True))}
    )
    world.passes_at = 2
    handle = await (await new_bench(world)).start()
    status = await reaches(handle, Status.PAUSED)
    assert status.reason.startswith(
        "internal: an unexpected error in Overnight; nothing is lost, resume after a fix (KeyError"
    )
    assert " in activity " in status.last_error
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED


async def test_a_worker_that_leaves_again_and_again_is_not_asked_for_ever(new_bench: NewBench) -> None:
    left = CallReport(outcome=Outcome.INTERRUPTED, detail="the worker leaves")
    world = World(passes_at=1, before={"execute": in_turn(*[left] * 5)})
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)
    assert [round(s / 60) for s in timers_of(await handle.fetch_history())] == [5, 10]
    assert len(world.seen(ExecuteRequest)) == 6


async def test_a_pause_during_the_back_off_of_a_limit_keeps_both_reasons_apart(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"execute": in_turn(usage_limit())})
    bench = await new_bench(world)
    handle = await bench.start(real_time=True)
    await reaches(handle, Status.WAITING_LIMIT)
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=0.25))
    await handle.signal("pause")
    await reaches(handle, Status.PAUSED)
    await handle.signal("resume")
    status = await eventually(handle, lambda s: s.reason.startswith("limit: cost"))
    assert status.status is Status.PAUSED
    await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=5))
    assert (await handle.result()).status is Status.COMPLETED
