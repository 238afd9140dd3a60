"""Recovery: a session that is stuck climbs its ladder, and one that falls goes back to its best."""

from __future__ import annotations

from itertools import pairwise

import pytest
from temporalio.client import WorkflowUpdateFailedError

from tests.workflows.conftest import NewBench, activities_of, eventually, reaches, said
from tests.workflows.fakes import Working, World, sha
from tests.workflows.test_approvals import approve, refused, waiting
from workflows.contracts.messages import Rollback
from workflows.contracts.requests import (
    DiagnoseRequest,
    ExecuteRequest,
    PlanRequest,
    ReflectRequest,
    RestoreRequest,
    ValidateRequest,
)
from workflows.contracts.state import Status
from workflows.session import AutonomousSession

SAME = "FAILED test_poem in 0.1 s"


async def test_every_rung_is_tried_before_a_person_is_asked(new_bench: NewBench) -> None:
    world = World(passes_at=99, prints=lambda _iteration: SAME)
    handle = await (await new_bench(world)).start(max_cost_usd=100)
    status = await reaches(handle, Status.PAUSED)
    stuck = "stuck: three times the same failure, and no approach got further; no rung of the ladder helped; last"
    assert status.reason.startswith(f"{stuck} diagnosis: cause ")
    assert [(r.title, r.result) for r in status.recovery_log[:-2]] == [
        (title, "did not help: three times the same failure")
        for title in (
            "diagnose and fix",
            "fresh context with the dead ends",
            "best checkpoint, another approach",
            "plan what is left anew",
        )
    ]
    steps = [e.step for e in world.seen(ExecuteRequest)]
    assert [s for s in steps if s.startswith("recover")] == ["recover-3-fresh", "recover-5-best"]
    fresh = next(e for e in world.seen(ExecuteRequest) if e.step == "recover-3-fresh")
    assert len(fresh.brief.dead_ends) == 2, "everything that was tried is told"
    assert world.seen(ReflectRequest)[0].why.startswith("stuck: three times the same failure")
    assert [bool(p.why) for p in world.seen(PlanRequest)] == [False, True]
    assert ("best checkpoint, another approach", "try the other way") in [
        (t.root_cause, t.fix) for t in world.seen(PlanRequest)[1].tries
    ]
    assert "recovery 3/6: best checkpoint, another approach" in " ".join(await said(handle))

    # It asked for help, and help lets it go on.
    world.passes_at = 1
    await handle.signal("steer", "use the other library")
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert world.seen(ExecuteRequest)[-1].brief.guidance == ["use the other library"]
    assert "## Recovery" in result.report


async def test_each_iteration_costs_one_execute_and_at_most_one_more_call(new_bench: NewBench) -> None:
    world = World(passes_at=99, prints=lambda _iteration: SAME)
    handle = await (await new_bench(world)).start(max_cost_usd=100)
    status = await reaches(handle, Status.PAUSED)
    calls = [
        n for n in activities_of(await handle.fetch_history()) if n not in {"validate", "restore", "recall", "learn"}
    ]
    runs = "".join("e" if name == "execute" else "x" for name in calls).split("e")[1:]
    # Every fifth iteration one looks back beside it.
    assert max(len(run) for run in runs) <= 2
    assert status.usage.calls <= 2 * status.iteration + 2
    await handle.signal("cancel")


async def test_what_helps_puts_the_session_on_the_ground_again(new_bench: NewBench) -> None:
    """The same failure three times; with a fresh context half of it passes, and later all."""
    world = World(
        passes_at=6,
        prints=lambda iteration: SAME if iteration < 4 else f"{iteration} left",
        rates=lambda iteration: 0.0 if iteration < 4 else iteration / 10,
    )
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 6)
    status = await handle.query(AutonomousSession.status)
    assert status.recovery == ""
    assert ("fresh context with the dead ends", "helped: 0 of 2 criteria met") in [
        (r.title, r.result) for r in status.recovery_log
    ]
    assert not any("best checkpoint" in r.title for r in status.recovery_log)


async def test_a_slow_climb_is_left_alone(new_bench: NewBench) -> None:
    """The same words every time, one percent more passing: no rung but diagnosing is needed."""
    world = World(passes_at=20, prints=lambda _iteration: SAME, rates=lambda iteration: iteration / 100)
    handle = await (await new_bench(world)).start(max_cost_usd=100)
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 20)
    status = await handle.query(AutonomousSession.status)
    assert {r.title for r in status.recovery_log} == {"diagnose and fix"}
    assert world.seen(RestoreRequest) == []


async def test_a_diagnosis_that_repeats_what_was_tried_is_no_way_on(new_bench: NewBench) -> None:
    world = World(passes_at=4, fixes=lambda _iteration: "mend the third line of poem.txt")
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert [e.step for e in world.seen(ExecuteRequest)][1:3] == ["fix-1", "recover-2-fresh"]
    told = await said(handle)
    assert any("the diagnosis only repeats what #1 tried" in text for text in told)
    assert world.seen(DiagnoseRequest)[1].tries[0].result.startswith("did not help")


async def test_what_a_person_wants_tried_comes_before_any_diagnosis(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    handle = await (await new_bench(world)).start(recovery_strategies=["run make clean first"])
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert world.seen(DiagnoseRequest) == []
    assert "run make clean first" in world.seen(ExecuteRequest)[1].brief.task
    assert "the person's strategy: run make clean first: helped" in result.report


async def test_twice_below_the_best_goes_back_to_it(new_bench: NewBench) -> None:
    rates = {1: 0.2, 2: 0.8, 3: 0.5, 4: 0.4}
    world = World(passes_at=5, rates=lambda iteration: rates.get(iteration, 0.0))
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 5)
    (back,) = world.seen(RestoreRequest)
    assert back.to == world.commits[2]
    fifth = world.seen(ExecuteRequest)[4]
    assert fifth.site.commit == sha(f"{world.commits[4]} restored {world.commits[2]}")
    # What holds there was looked at again before anything was built on it, without a model.
    looked = [v.site.commit for v in world.seen(ValidateRequest)]
    assert fifth.site.commit in looked
    names = activities_of(await handle.fetch_history())
    after = names[names.index("restore") + 1 :]
    assert after[:4] == ["validate", "recall", "diagnose", "execute"]
    told = await said(handle)
    assert any("went back to #2" in text for text in told)


async def test_a_second_fall_to_the_same_best_is_answered_by_the_ladder(new_bench: NewBench) -> None:
    rates = {1: 0.2, 2: 0.8}
    world = World(passes_at=99, rates=lambda iteration: rates.get(iteration, 0.1))
    handle = await (await new_bench(world)).start(max_iterations=12, max_cost_usd=100)
    status = await reaches(handle, Status.PAUSED)
    assert len(world.seen(RestoreRequest)) >= 2
    assert {r.to for r in world.seen(RestoreRequest)} == {world.commits[2]}
    assert "fresh context with the dead ends" in {r.title for r in status.recovery_log}
    assert status.best_iteration == 2
    await handle.signal("cancel")


# ---------------------------------------------------------------------- by hand


async def test_a_person_goes_back_while_it_is_paused(new_bench: NewBench) -> None:
    world = World(passes_at=5)
    handle = await (await new_bench(world)).start(max_iterations=3)
    await reaches(handle, Status.PAUSED)
    await handle.execute_update(AutonomousSession.rollback, Rollback(iteration=1))
    status = await eventually(handle, lambda s: s.commit != world.commits[3])
    status = await reaches(handle, Status.PAUSED)
    assert status.commit == sha(f"{world.commits[3]} restored {world.commits[1]}")
    assert status.reason.startswith("limit: iterations")
    world.passes_at = 4
    await handle.signal("cancel")
    await handle.result()
    assert any("went back to iteration 1" in text for text in await said(handle))


async def test_a_person_goes_back_while_it_works(new_bench: NewBench) -> None:
    """The running call comes to its end; the next iteration begins where the person wants it."""
    working = Working(times=1)
    calls = 0

    async def third(request: ExecuteRequest) -> None:
        nonlocal calls
        calls += 1
        if request.site.iteration == 3:
            await working(request)

    world = World(passes_at=4, before={"execute": third})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.execute_update(AutonomousSession.rollback, Rollback(iteration=1))
    working.enough.set()
    result = await handle.result()
    assert result.status is Status.COMPLETED
    executes = world.seen(ExecuteRequest)
    restored = sha(f"{world.commits[3]} restored {world.commits[1]}")
    assert executes[3].site.commit == restored
    assert executes[3].site.iteration == 4
    assert all(b.site.iteration > a.site.iteration for a, b in pairwise(executes))


async def test_a_person_goes_back_instead_of_approving(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    handle = await (await new_bench(world)).start(mode="iterative")
    for request in ("plan", "iteration-1"):
        await waiting(handle, request)
        await approve(handle, request)
    await waiting(handle, "iteration-2")
    await handle.execute_update(AutonomousSession.rollback, Rollback(iteration=1))
    status = await waiting(handle, "iteration-2-2")
    assert status.commit == sha(f"{world.commits[2]} restored {world.commits[1]}")
    assert status.approval is not None
    assert status.approval.what == "iteration 2: 0 of 2 criteria met; next: fix: cause 2"
    assert "iteration-2 was withdrawn already, by a person" in await refused(approve(handle, "iteration-2"))
    await approve(handle, "iteration-2-2")
    await waiting(handle, "iteration-3")
    await approve(handle, "iteration-3")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 3)


async def test_a_regression_is_put_to_the_person_once_and_as_what_was_gone_back_to(new_bench: NewBench) -> None:
    rates = {1: 0.8, 2: 0.5, 3: 0.4}
    world = World(passes_at=4, rates=lambda iteration: rates.get(iteration, 0.0))
    handle = await (await new_bench(world)).start(
        mode="iterative", approval_timeout_minutes=5, on_approval_timeout="continue"
    )
    assert (await handle.result()).status is Status.COMPLETED
    assert len(world.seen(RestoreRequest)) == 1
    decided = (await handle.query(AutonomousSession.status)).decisions
    assert [d.request for d in decided] == ["plan", *(f"iteration-{n}" for n in range(1, 5))]


async def test_a_checkpoint_that_does_not_exist_is_refused_in_words(new_bench: NewBench) -> None:
    world = World(passes_at=5)
    handle = await (await new_bench(world)).start(max_iterations=2)
    await reaches(handle, Status.PAUSED)
    with pytest.raises(WorkflowUpdateFailedError) as told:
        await handle.execute_update(AutonomousSession.rollback, Rollback(iteration=3))
    assert "iteration 3 has no checkpoint; there are those of iterations 0 to 2" in str(told.value.cause)
    await handle.signal("cancel")
