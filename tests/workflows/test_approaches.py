"""Several approaches at once: the best wins, the rest are dead ends, and what happens to a session happens to all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.workflows.conftest import Bench, Handle, NewBench, eventually, reaches, said, until
from tests.workflows.fakes import PRICE, Working, World, sha
from workflows.contracts.outcome import CallReport, Outcome
from workflows.contracts.requests import ExecuteRequest, ForkRequest, RestoreRequest
from workflows.contracts.state import Status
from workflows.session import AutonomousSession

SAME = "FAILED test_poem in 0.1 s"
TEXTS = ("rhyme it", "shorten it", "start from the end")


def world(**reaches_: float) -> World:
    """One that comes no further until it tries several approaches; each reaches what is said."""
    shares = dict(zip(TEXTS, (reaches_.get(name, 0.0) for name in ("first", "second", "third")), strict=True))
    return World(passes_at=99, prints=lambda _iteration: SAME, approaches=TEXTS, reaches=shares)


def of(request: ExecuteRequest) -> str:
    """The approach that an execute belongs to; empty for the session's own."""
    return request.brief.strategy if request.brief.strategy in TEXTS else ""


async def start(bench: Bench, **changes: Any) -> Handle:
    """Straight to the approaches: the first failure climbs onto them."""
    return await bench.start(**{"recovery_strategies": ["parallel"], "max_cost_usd": 20, **changes})


async def test_the_best_wins_and_the_others_are_dead_ends(new_bench: NewBench) -> None:
    fakes = world(first=0.3, second=1.0, third=0.6)
    handle = await start(await new_bench(fakes))
    result = await handle.result()
    assert result.status is Status.COMPLETED, result.reason
    (fork,) = fakes.seen(ForkRequest)
    assert fork.sessions == [f"{handle.id}-1-a{n}" for n in (1, 2, 3)]
    executes = [e for e in fakes.seen(ExecuteRequest) if of(e)]
    assert {of(e): e.site.session_id for e in executes} == dict(zip(TEXTS, fork.sessions, strict=True))
    assert all(e.site.commit == fork.commit for e in executes if e.step.startswith("approach"))
    (adopted,) = fakes.seen(RestoreRequest)
    winner = next(e for e in executes if of(e) == "shorten it")
    assert adopted.to == sha(f"{winner.site.commit} {winner.site.session_id} {winner.site.iteration} None")
    assert result.commit == sha(f"{adopted.site.commit} restored {adopted.to}")
    assert "did not help: 0 of 2 met, branch overnight/" in result.report
    assert "won: 2 of 2 met" in result.report
    assert result.usage.cost_usd == pytest.approx(PRICE * fakes_calls(fakes)), "everything is charged to the session"


def fakes_calls(fakes: World) -> int:
    return sum(hasattr(r, "allowance") for r in fakes.requests)


async def test_each_has_a_share_of_what_is_left_and_one_stays_with_the_session(new_bench: NewBench) -> None:
    fakes = world(third=1.0)
    handle = await start(await new_bench(fakes), max_cost_usd=10)
    assert (await handle.result()).status is Status.COMPLETED
    firsts = [e for e in fakes.seen(ExecuteRequest) if e.step.startswith("approach")]
    spent = 3 * PRICE  # plan, execute, reflect
    assert [e.allowance.cost_usd for e in firsts] == pytest.approx([(10 - spent) / 4] * 3)


async def test_an_approach_ends_with_its_share_and_costs_no_more(new_bench: NewBench) -> None:
    fakes = world()
    handle = await start(await new_bench(fakes), max_cost_usd=3 * PRICE + 4 * PRICE)
    status = await reaches(handle, Status.PAUSED)
    # One call each is all that their shares carry; the session's own share pays for what comes next.
    assert sum(bool(of(e)) for e in fakes.seen(ExecuteRequest)) == 3
    assert status.cost_usd <= status.max_cost_usd + PRICE
    assert any("no approach got further" in text for text in await said(handle))
    assert status.commit == fakes.seen(ForkRequest)[0].commit, "the session stays where it was"
    await handle.signal("cancel")


async def test_cancel_reaches_them_and_is_awaited(new_bench: NewBench) -> None:
    fakes, working = world(), Working(times=3)
    fakes.before["execute"] = only_approaches(working)
    handle = await start(await new_bench(fakes))
    await running(fakes)
    await handle.signal("cancel", "enough")
    result = await handle.result()
    assert (result.status, result.reason) == (Status.CANCELLED, "enough")
    await all_over(handle)
    assert result.usage.cost_usd == pytest.approx(PRICE * fakes_calls(fakes))


async def test_temporals_cancel_reaches_them(new_bench: NewBench) -> None:
    fakes = world()
    fakes.before["execute"] = only_approaches(Working(times=3))
    handle = await start(await new_bench(fakes))
    await running(fakes)
    await handle.cancel()
    result = await handle.result()
    assert (result.status, result.reason) == (Status.CANCELLED, "cancelled through Temporal")
    await all_over(handle)


async def test_pause_and_guidance_reach_them_and_they_go_on_where_they_were(new_bench: NewBench) -> None:
    fakes = world(first=1.0)
    fakes.before["execute"] = only_approaches(Working(times=3))
    handle = await start(await new_bench(fakes))
    await running(fakes)
    await handle.signal("steer", {"guidance": "use roses", "id": "m1"})
    await handle.signal("pause", {"when": "now", "reason": "lunch"})
    paused = await reaches(handle, Status.PAUSED)
    assert "lunch" in paused.reason
    await all_over(handle)
    await handle.signal("resume")
    result = await handle.result()
    assert result.status is Status.COMPLETED
    told = [e for e in fakes.seen(ExecuteRequest) if "use roses" in e.brief.guidance]
    assert {of(e) for e in told} == set(TEXTS), "each heard it once, and the session not again"
    assert len(told) == 3
    assert all(e.conversation for e in told), "each went on in its own conversation"
    status = await handle.query(AutonomousSession.status)
    assert status.guidance[0].state == "delivered"


async def test_what_holds_up_one_is_waited_for_by_the_session(new_bench: NewBench) -> None:
    fakes, asked = world(second=1.0), 0

    async def limited(request: ExecuteRequest) -> Any:
        nonlocal asked
        if of(request) != "rhyme it":
            return None
        asked += 1
        return CallReport(outcome=Outcome.USAGE_LIMIT, detail="later") if asked == 1 else None

    fakes.before["execute"] = limited
    handle = await start(await new_bench(fakes))
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert asked >= 2
    assert any("usage limit: goes on by itself" in text for text in await said(handle))


async def test_one_that_is_ended_in_temporal_is_only_no_help(new_bench: NewBench) -> None:
    bench = await new_bench(world(second=1.0))
    fakes, working = bench.world, Working(times=1)

    async def first_waits(request: ExecuteRequest) -> Any:
        return await working(request) if of(request) == "rhyme it" else None

    fakes.before["execute"] = first_waits
    handle = await start(bench)
    await working.started.wait()
    await bench.env.client.get_workflow_handle(f"{handle.id}-1-a1").terminate("by hand")
    assert (await handle.result()).status is Status.COMPLETED


async def test_without_several_names_it_climbs_on(new_bench: NewBench) -> None:
    fakes = world()
    fakes.approaches = ("only one",)
    handle = await start(await new_bench(fakes), max_iterations=2)
    await eventually(handle, lambda s: any("parallel" in r.title and r.result for r in s.recovery_log))
    assert fakes.seen(ForkRequest) == []
    await handle.signal("cancel")


def only_approaches(working: Working) -> Any:
    async def hook(request: ExecuteRequest) -> Any:
        return await working(request) if of(request) else None

    return hook


async def running(fakes: World) -> None:
    """Until all three approaches work."""

    async def there() -> bool | None:
        return len({of(e) for e in fakes.seen(ExecuteRequest) if of(e)}) == 3 or None

    await until(there)


async def all_over(handle: Handle) -> None:
    """Until no approach runs any more: at once when the session has said so."""
    described = await asyncio.gather(*(
        handle._client.get_workflow_handle(f"{handle.id}-1-a{n}").describe() for n in (1, 2, 3)
    ))  # fmt: skip
    assert {d.status.name for d in described if d.status} == {"COMPLETED"}
