"""The loop: what a person sees of success, failure, judging, diagnosis and reflection."""

from __future__ import annotations

from tests.workflows.conftest import NewBench, activities_of, reaches, said
from tests.workflows.fakes import World, in_turn
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import (
    DiagnoseRequest,
    ExecuteRequest,
    JudgeRequest,
    PlanRequest,
    ReflectRequest,
    ValidateRequest,
)
from workflows.contracts.state import Status


async def test_wrong_then_diagnosed_then_right(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert result.iterations == 2
    assert activities_of(await handle.fetch_history()) == [
        "recall", "plan", "validate", "execute", "validate", "recall", "diagnose", "execute", "validate", "judge",
        "validate", "learn",
    ]  # fmt: skip
    executes = world.seen(ExecuteRequest)
    assert [e.step for e in executes] == ["s1", "fix-1"]
    assert executes[1].brief.unmet[0].criterion == "validation"
    assert [v.clean for v in world.seen(ValidateRequest)] == [False, False, False, True]
    assert "Confirmed in a clean clone" in result.report
    assert "worked" in result.report


async def test_steps_are_done_in_order_before_anything_is_diagnosed(new_bench: NewBench) -> None:
    world = World(steps=3, passes_at=3)
    result = await (await new_bench(world)).run()
    assert result.status is Status.COMPLETED
    assert [e.step for e in world.seen(ExecuteRequest)] == ["s1", "s2", "s3"]
    assert world.seen(ExecuteRequest)[2].brief.steps == ["[x] s1: step 1", "[x] s2: step 2", "[ ] s3: step 3"]
    assert world.seen(DiagnoseRequest) == []


async def test_each_execute_stands_on_the_checkpoint_before_it(new_bench: NewBench) -> None:
    world = World(passes_at=3)
    result = await (await new_bench(world)).run()
    commits = [e.site.commit for e in world.seen(ExecuteRequest)]
    assert len(set(commits)) == 3
    validated = [v.site.commit for v in world.seen(ValidateRequest)]
    assert validated == [commits[0], commits[1], commits[2], result.commit, result.commit]


async def test_an_execute_that_claims_success_is_not_believed(new_bench: NewBench) -> None:
    world = World(passes_at=99)
    handle = await (await new_bench(world)).start(max_iterations=2)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "limit: iterations: 2 of 2 are done"
    assert status.validation_status == {"validation": False, "goal": False}
    assert world.seen(JudgeRequest) == []
    await handle.signal("cancel", "enough")


async def test_a_judge_who_is_not_convinced_sends_the_session_on(new_bench: NewBench) -> None:
    world = World(passes_at=1, judge_says=lambda iteration: iteration >= 2)
    result = await (await new_bench(world)).run()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    unmet = world.seen(ExecuteRequest)[1].brief.unmet
    assert [f.criterion for f in unmet] == ["goal"]
    assert "a judge found it not met: read it" in unmet[0].evidence


async def test_a_verdict_with_a_quote_that_does_not_exist_is_a_no(new_bench: NewBench) -> None:
    world = World(passes_at=1, quotes_exist=False)
    handle = await (await new_bench(world)).start(max_iterations=1)
    status = await reaches(handle, Status.PAUSED)
    assert status.validation_status == {"validation": True, "goal": False}
    await handle.signal("cancel")


async def test_a_judge_that_is_down_means_not_yet(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"judge": in_turn(*[Outcome.NO_ANSWER] * 3)})
    handle = await (await new_bench(world)).start()
    status = await reaches(handle, Status.PAUSED)
    assert status.reason.startswith("judge: 3 attempts brought no answer (no_answer")
    assert status.validation_status == {"validation": True, "goal": False}
    assert status.progress < 100
    await handle.signal("resume")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)
    assert len(world.seen(JudgeRequest)) == 4
    assert len(world.seen(ExecuteRequest)) == 1


async def test_what_fails_in_a_clean_clone_goes_on_with_a_diagnosis(new_bench: NewBench) -> None:
    world = World(passes_at=1, clean_passes=lambda iteration: iteration >= 2)
    handle = await (await new_bench(world)).start()
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    diagnosed = world.seen(DiagnoseRequest)
    assert [f.criterion for f in diagnosed[0].failures] == ["validation"]
    assert world.seen(ExecuteRequest)[1].step == "fix-1"
    assert any("not in a clean clone" in text for text in await said(handle))
    assert [(r.passes, r.quick_passes) for r in world.seen(ValidateRequest) if r.clean] == [(1, 5), (3, 5)]
    assert all((r.passes, r.quick_passes) == (1, 1) for r in world.seen(ValidateRequest) if not r.clean)


async def test_validation_without_evidence_is_never_success(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"validate": in_turn(None, *[Outcome.CRASHED] * 3)})
    handle = await (await new_bench(world)).start()
    status = await reaches(handle, Status.PAUSED)
    assert status.reason.startswith("validate: 3 attempts brought no answer (crashed")
    assert world.seen(JudgeRequest) == []
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED


async def test_a_plan_that_does_not_come_pauses(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"plan": in_turn(*[Outcome.REFUSED] * 3)})
    handle = await (await new_bench(world)).start()
    status = await reaches(handle, Status.PAUSED)
    assert status.reason.startswith("plan: 3 attempts brought no answer (refused")
    assert (status.phase, status.iteration) == ("plan", 0)
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED
    assert len(world.seen(PlanRequest)) == 4


async def test_every_fifth_iteration_looks_back(new_bench: NewBench) -> None:
    world = World(passes_at=6)
    result = await (await new_bench(world)).run()
    assert (result.status, result.iterations) == (Status.COMPLETED, 6)
    (reflected,) = world.seen(ReflectRequest)
    assert reflected.site.iteration == 5
    assert "validation" in reflected.scoreboard[0]
    strategies = [e.brief.strategy for e in world.seen(ExecuteRequest)]
    assert strategies == ["", "", "", "", "", "try the other way"]


async def test_dead_ends_reach_the_next_brief(new_bench: NewBench) -> None:
    world = World(passes_at=3)
    await (await new_bench(world)).run()
    dead_ends = world.seen(ExecuteRequest)[2].brief.dead_ends
    assert [(t.iteration, t.root_cause) for t in dead_ends] == [(1, "cause 1")]
    assert dead_ends[0].result.startswith("did not help")


async def test_a_failed_execute_is_an_iteration_and_validation_decides(new_bench: NewBench) -> None:
    for outcome in (Outcome.MAX_TURNS, Outcome.TIME_LIMIT, Outcome.STALLED, Outcome.NO_ANSWER):
        world = World(passes_at=2, before={"execute": in_turn(outcome)})
        result = await (await new_bench(world)).run()
        assert (result.status, result.iterations) == (Status.COMPLETED, 2)
        # The step was not done: it comes again, without a diagnosis of work that was cut short.
        assert [e.step for e in world.seen(ExecuteRequest)] == ["s1", "s1"]


async def test_denied_or_crashed_without_work_is_not_success_and_soon_stuck(new_bench: NewBench) -> None:
    world = World(passes_at=99, before={"execute": in_turn(*[Outcome.DENIED] * 40)})
    handle = await (await new_bench(world)).start()
    status = await reaches(handle, Status.PAUSED)
    assert status.reason.startswith("stuck: 2 executes in a row changed nothing")
    assert "denied" in {e.kind for e in status.error_log}
    await handle.signal("cancel")


async def test_a_prompt_that_is_too_long_starts_afresh_in_the_same_iteration(new_bench: NewBench) -> None:
    world = World(passes_at=1, before={"execute": in_turn(Outcome.PROMPT_TOO_LONG, Outcome.TRANSCRIPT_LOST)})
    result = await (await new_bench(world)).run()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)
    assert [e.conversation for e in world.seen(ExecuteRequest)] == [None] * 3


async def test_a_diagnosis_that_does_not_come_lets_the_plan_go_on(new_bench: NewBench) -> None:
    world = World(passes_at=2, before={"diagnose": in_turn(*[Outcome.NO_ANSWER] * 3)})
    result = await (await new_bench(world)).run()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    assert world.seen(ExecuteRequest)[1].step == "finish"
