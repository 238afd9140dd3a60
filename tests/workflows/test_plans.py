"""Plans adapt: guidance and reflections change what is still to be done, and everybody can see it."""

from __future__ import annotations

from tests.workflows.conftest import NewBench, activities_of, eventually, said
from tests.workflows.fakes import Working, World
from workflows.contracts.answers import PlannedStep
from workflows.contracts.requests import ExecuteRequest, ReflectRequest
from workflows.contracts.state import Status
from workflows.session import AutonomousSession


def step(id_: str, title: str) -> PlannedStep:
    return PlannedStep(id=id_, title=title, instructions=f"do {title}")


async def test_guidance_makes_the_steps_that_are_left_others(new_bench: NewBench) -> None:
    """It arrives in the midst of the first of three steps, which is not disturbed."""
    working = Working()
    world = World(steps=3, passes_at=3, before={"execute": working}, strategy=None)
    world.new_steps = [step("s3", "step 3"), step("n", "a title")]
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("steer", {"guidance": "no second verse, but a title", "id": "m1"})
    await eventually(handle, lambda s: bool(s.guidance))
    working.enough.set()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 3)
    assert [e.step for e in world.seen(ExecuteRequest)] == ["s1", "s3", "s4"]
    (reflected,) = world.seen(ReflectRequest)
    assert reflected.site.iteration == 1
    assert reflected.why == "guidance: m1 may change what is to be done"
    assert reflected.guidance == ["no second verse, but a title"]
    assert reflected.steps == ["[x] s1: step 1", "[ ] s2: step 2: work", "[ ] s3: step 3: work"]
    assert world.seen(ExecuteRequest)[1].brief.guidance == ["no second verse, but a title"]
    status = await handle.query(AutonomousSession.status)
    assert [(s.id, s.status) for s in status.steps] == [
        ("s1", "done"), ("s2", "dropped"), ("s3", "done"), ("s4", "done"),
    ]  # fmt: skip
    assert status.steps[1].note == "dropped after #1: reflection: guidance: m1 may change what is to be done"
    assert "the plan has changed: new s4; changed s3; dropped s2" in await said(handle)
    assert "[-] s2: step 2 (dropped after #1: " in result.report


async def test_guidance_that_the_plan_has_seen_costs_no_reflection(new_bench: NewBench) -> None:
    world = World(steps=3, passes_at=3)
    handle = await (await new_bench(world)).start(start_signal="steer", signal_args=["use roses"])
    assert (await handle.result()).status is Status.COMPLETED
    assert "reflect" not in activities_of(await handle.fetch_history())


async def test_a_look_back_may_change_the_steps(new_bench: NewBench) -> None:
    world = World(steps=7, passes_at=6)
    world.new_steps = [step("n", "all the rest at once")]
    result = await (await new_bench(world)).run()
    assert (result.status, result.iterations) == (Status.COMPLETED, 6)
    assert [e.step for e in world.seen(ExecuteRequest)] == ["s1", "s2", "s3", "s4", "s5", "s8"]
    assert world.seen(ExecuteRequest)[5].brief.strategy == "try the other way"
