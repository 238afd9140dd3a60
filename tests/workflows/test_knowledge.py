"""Knowledge in a session's life: recalled before plan and diagnosis, learned at every end, done without when away."""

from __future__ import annotations

import asyncio
import time

from temporalio.exceptions import ApplicationError

from tests.policy.test_advice import recalled, solution
from tests.workflows.conftest import NewBench, activities_of, reaches, said
from tests.workflows.fakes import Working, World
from workflows.contracts.applied import Known, Memory, RecallAsked, RungRate
from workflows.contracts.requests import DiagnoseRequest, ExecuteRequest, PlanRequest
from workflows.contracts.state import Status
from workflows.session import AutonomousSession

SAME = "AssertionError: the same again"


def knowing(asked: RecallAsked) -> Known:
    """A store with a way to the goal, and two solutions of any error."""
    if asked.request.errors:
        left = [one for one in (solution(8), solution(9)) if one.id not in asked.request.exclude]
        return Known(recalled=left, search="semantic")
    memory = Memory(id="e" * 64, text="`make test` passes", source="older")
    return Known(recalled=[recalled(1)], memories=[memory], search="semantic", expected_seconds=60)


async def test_it_is_given_to_plan_diagnosis_and_execute_and_what_came_of_it_is_told(new_bench: NewBench) -> None:
    world = World(passes_at=3, knows=knowing, prints=lambda _iteration: SAME)
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 3)
    (plan,) = world.seen(PlanRequest)
    assert [one.title for one in plan.given.advice] == ["way 1"]
    assert [one.text for one in plan.given.memories] == ["`make test` passes"]
    diagnoses = world.seen(DiagnoseRequest)
    assert [one.id for d in diagnoses for one in d.given.advice] == [solution(8).id, solution(9).id]
    assert world.asked[2].request.exclude == [solution(8).id], "what failed in this session is not given again"
    assert all(e.brief.memories for e in world.seen(ExecuteRequest))
    at_once, end = world.learned
    assert (at_once.learnings, [(f.id, f.worked) for f in at_once.feedback]) == ([], [(solution(8).id, False)])
    assert [(f.id, f.worked) for f in end.feedback] == [
        (recalled(1).id, True), (solution(8).id, False), (solution(9).id, True),
    ]  # fmt: skip
    assert [one.kind for one in end.learnings] == ["approach", "error_solution", "error_solution", "memory", "memory",
                                                   "recovery"]  # fmt: skip
    status = await handle.query(AutonomousSession.status)
    assert [one.result for one in status.knowledge if one.counted] == ["helped", "did not help", "helped"]
    told = await said(handle)
    assert "knowledge: advice of older (0.90): way 1" in told
    assert "knowledge of older did not help: way 8" in told
    lessons = await handle.query(AutonomousSession.lessons)
    assert [e.solution_worked for e in lessons.error_patterns] == [False, True]


async def test_a_session_of_an_owner_is_told_neither_whose_a_lesson_is_nor_their_goal(new_bench: NewBench) -> None:
    """Others may have taught it, whose sessions this owner may not see: not by status, events, report, or an agent."""
    world = World(passes_at=2, knows=knowing, prints=lambda _iteration: SAME)
    handle = await (await new_bench(world)).start(owner="ada")
    result = await handle.result()
    assert result.status is Status.COMPLETED
    (plan,) = world.seen(PlanRequest)
    assert [(one.source, one.title, one.advice) for one in plan.given.advice] == [
        ("an-earlier-one", "approach", "do it so"),
    ]  # fmt: skip
    status = await handle.query(AutonomousSession.status)
    told = [*await said(handle), result.report, status.model_dump_json()]
    assert "knowledge: advice of an-earlier-one (0.90): approach" in told
    assert not [text for text in told if "older" in text or "way 1" in text]
    assert "way 8" in result.report, "what mended an error names no goal"
    (end,) = world.learned[-1:]
    assert [(f.id, f.worked) for f in end.feedback] == [(recalled(1).id, True), (solution(8).id, True)]


async def test_a_store_that_fails_costs_a_note_and_nothing_else(new_bench: NewBench) -> None:
    def broken(_asked: RecallAsked) -> Known:
        raise ApplicationError("no such table")

    world = World(passes_at=2, knows=broken)

    async def refuses(_request: object) -> None:
        raise ApplicationError("no such table")

    world.learns = refuses
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    told = await said(handle)
    assert told.count("knowledge: the store of knowledge is away") == 1
    assert (await handle.query(AutonomousSession.status)).knowledge_note == "the store of knowledge is away"
    assert "the store of knowledge is away" in result.report
    assert world.seen(PlanRequest)[0].given.advice == []


async def test_a_cancel_does_not_wait_for_what_is_recalled(new_bench: NewBench) -> None:
    hangs, asked = asyncio.Event(), asyncio.Event()

    async def waits(_asked: object) -> None:
        asked.set()
        await hangs.wait()

    world = World(recalls=waits)
    handle = await (await new_bench(world)).start(real_time=True)
    await asked.wait()
    began = time.monotonic()
    await handle.cancel()
    result = await handle.result()
    took = time.monotonic() - began
    hangs.set()
    assert result.status is Status.CANCELLED
    assert took < 12, "a question to the store may take 15 s"
    assert world.seen(PlanRequest) == []


async def test_a_store_that_hangs_does_not_hold_up_a_cancel(new_bench: NewBench) -> None:
    working, hangs = Working(), asyncio.Event()

    async def waits(_request: object) -> None:
        await hangs.wait()

    world = World(before={"execute": working}, learns=waits)
    handle = await (await new_bench(world)).start(real_time=True)
    await working.started.wait()
    began = time.monotonic()
    await handle.signal("cancel", "enough")
    result = await handle.result()
    took = time.monotonic() - began
    hangs.set()
    assert result.status is Status.CANCELLED
    assert result.reason == "enough"
    assert took < 18, "a store has 20 s when nobody is in a hurry"


async def test_every_end_teaches(new_bench: NewBench) -> None:
    world = World(passes_at=9)
    bench = await new_bench(world)
    failed = await bench.start(on_limit="fail", max_iterations=1)
    assert (await failed.result()).status is Status.FAILED
    assert {one.kind: one.worked for one in world.learned[-1].learnings}["approach"] is False
    handle = await bench.start(max_iterations=2)
    await reaches(handle, Status.PAUSED)
    before = len(world.learned)
    await handle.signal("cancel")
    assert (await handle.result()).status is Status.CANCELLED
    assert [len(world.learned) - before, activities_of(await handle.fetch_history())[-1]] == [1, "learn"]
    assert "approach" not in {one.kind for one in world.learned[-1].learnings}


async def test_the_ladder_begins_with_what_has_helped_in_this_project(new_bench: NewBench) -> None:
    rates = [RungRate(name="replan", helped=4), RungRate(name="fix", failed=6)]
    world = World(passes_at=2, knows=lambda _asked: Known(rungs=rates))
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert result.status is Status.COMPLETED
    status = await handle.query(AutonomousSession.status)
    assert [(rung.title, rung.result) for rung in status.recovery_log] == [
        ("plan what is left anew", "helped: 2 of 2 criteria met")
    ]
    assert world.seen(DiagnoseRequest) == []
    assert world.seen(PlanRequest)[1].why
