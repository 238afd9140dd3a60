"""Iterative mode: plan and iterations wait for a person, for as long as it takes, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import (
    Bench,
    Handle,
    NewBench,
    activities_of,
    eventually,
    reaches,
    said,
    time_skipping_server,
    timers_of,
    until,
    workers,
)
from tests.workflows.fakes import Working, World
from tests.workflows.test_seen_from_outside import details, glance
from workflows.contracts.approvals import CriterionEdit, PlanEdit, StepEdit
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.requests import DiagnoseRequest, ExecuteRequest, PlanRequest, ValidateRequest
from workflows.contracts.state import SessionResult, Status
from workflows.contracts.status import SessionStatus
from workflows.session import AutonomousSession

ADA = "ada@host"


async def iterative(bench: Bench, **changes: Any) -> Handle:
    return await bench.start(mode="iterative", **changes)


async def waiting(handle: Handle, request: str) -> SessionStatus:
    """The session as soon as it waits for an answer to ``request``."""
    return await eventually(
        handle,
        lambda s: s.status is Status.WAITING_APPROVAL and s.approval is not None and s.approval.request == request,
    )


async def approve(handle: Handle, request: str | None, **more: Any) -> SessionStatus:
    status: SessionStatus = await handle.execute_update(
        "approve", {"request": request, "by": ADA, **more}, result_type=SessionStatus
    )
    return status


async def reject(handle: Handle, request: str, reason: str, **more: Any) -> SessionStatus:
    status: SessionStatus = await handle.execute_update(
        "reject", {"request": request, "reason": reason, "by": ADA, **more}, result_type=SessionStatus
    )
    return status


async def refused(sent: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as told:
        await sent
    assert isinstance(told.value.cause, ApplicationError)
    return told.value.cause.message


async def ended(handle: Handle) -> SessionResult:
    """Where a session ends that may have been continued as new."""
    latest: Handle = handle._client.get_workflow_handle_for(AutonomousSession.run, handle.id)
    return await latest.result()


# ---------------------------------------------------------------------- approve


async def test_the_plan_and_each_iteration_wait_and_the_last_approval_completes_it(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    handle = await iterative(await new_bench(world))
    status = await waiting(handle, "plan")
    assert status.approval is not None
    assert status.approval.what == "the plan: 1 step, 2 criteria"
    assert world.seen(ValidateRequest) == [], "nothing is run before the plan is approved"
    assert status.next == f"Answer at a terminal: `overnight approve {handle.id} plan` (or `reject`)."
    await approve(handle, "plan")
    status = await waiting(handle, "iteration-1")
    assert status.approval is not None
    assert status.approval.what == "iteration 1: 0 of 2 criteria met; next: fix: cause 1"
    await approve(handle, "iteration-1")
    status = await waiting(handle, "iteration-2")
    assert status.approval is not None
    assert status.approval.what == "iteration 2: every criterion is met; approving it completes the session"
    assert status.progress == 99
    await approve(handle, "iteration-2")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    assert activities_of(await handle.fetch_history()) == [
        "recall", "plan", "validate", "execute", "validate", "recall", "diagnose", "execute", "validate", "judge",
        "validate", "learn",
    ]  # fmt: skip
    decided = (await handle.query(AutonomousSession.status)).decisions
    assert [(d.request, d.answer, d.by) for d in decided] == [
        (request, "approved", ADA) for request in ("plan", "iteration-1", "iteration-2")
    ]
    assert f"plan, approved by {ADA}" in result.report


async def test_everyone_sees_what_is_waited_for(new_bench: NewBench) -> None:
    bench = await new_bench(World())
    handle = await iterative(bench, real_time=True, approval_timeout_minutes=30, on_approval_timeout="end")
    status = await waiting(handle, "plan")
    seen = await glance(handle)
    assert seen.approval == status.approval
    assert seen.approval is not None
    assert seen.approval.until is not None
    assert (seen.approval.until - seen.approval.since).total_seconds() == pytest.approx(1_800, abs=5)
    assert seen.reason.startswith("waits for approval of plan since ")
    assert ", then ends as failed: the plan: 1 step" in seen.reason
    assert seen.next.startswith("Answer at a terminal: `overnight approve ")
    shown = await details(handle)
    assert f"**Waits for approval:** {seen.reason.removeprefix('waits for approval of ')}" in shown
    assert '`{"request": "plan", "by": "your name"}`' in shown
    plan = await handle.query(AutonomousSession.plan_in_full)
    assert (plan.request, plan.frozen, plan.steps[0].instructions) == ("plan", False, "work")
    await handle.signal("cancel")


# ---------------------------------------------------------------------- reject


async def test_a_rejected_plan_is_made_anew_with_the_reason(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await iterative(await new_bench(world))
    for request, reason in (("plan", "no frameworks"), ("plan-2", "fewer steps"), ("plan-3", "tests first")):
        await waiting(handle, request)
        await reject(handle, request, reason)
    for n, reason in enumerate(("four", "five", "six"), 4):
        await waiting(handle, f"plan-{n}")
        await reject(handle, f"plan-{n}", reason)
    await waiting(handle, "plan-7")
    await approve(handle, "plan-7")
    await waiting(handle, "iteration-1")
    await approve(handle, "iteration-1")
    assert (await handle.result()).status is Status.COMPLETED
    asked = world.seen(PlanRequest)
    assert [p.guidance[-1:] for p in asked[:4]] == [[], ["no frameworks"], ["fewer steps"], ["tests first"]]
    assert [p.rejected for p in asked[:2]] == [[], ["step 1"]]
    (execute,) = world.seen(ExecuteRequest)
    assert execute.brief.standing_guidance == ["tests first", "four", "five", "six"]
    assert execute.brief.guidance == [], "a plan has carried it"


async def test_a_rejected_iteration_goes_on_with_the_reason_and_keeps_its_work(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await iterative(await new_bench(world))
    await waiting(handle, "plan")
    await approve(handle, "plan")
    await waiting(handle, "iteration-1")
    await reject(handle, "iteration-1", "rhyme it")
    await waiting(handle, "iteration-2")
    await approve(handle, "iteration-2")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    first, second = world.seen(ExecuteRequest)
    assert second.brief.guidance == ["rhyme it"]
    assert second.site.commit != first.site.commit, "it stands on the work that was rejected"
    assert second.brief.task.startswith("do what a person still asks for")
    assert world.seen(DiagnoseRequest) == []


@pytest.mark.parametrize("request_", ["plan", "iteration-1"])
async def test_a_final_no_fails_the_session(new_bench: NewBench, request_: str) -> None:
    handle = await iterative(await new_bench(World(passes_at=1)))
    await waiting(handle, "plan")
    if request_ != "plan":
        await approve(handle, "plan")
        await waiting(handle, request_)
    await reject(handle, request_, "not worth it", end=True)
    result = await handle.result()
    assert result.status is Status.FAILED
    assert result.reason == f"{request_}, rejected for good by {ADA}: not worth it"


# ---------------------------------------------------------------------- edit

EDIT = PlanEdit(
    steps=[StepEdit(title="rhymes", instructions="find some"), StepEdit(id="s1", title="step 1", instructions="all")],
    criteria=[CriterionEdit(description="it scans", command="make scan")],
)


async def test_an_edited_plan_is_what_is_done(new_bench: NewBench) -> None:
    world = World(steps=2, passes_at=2)
    handle = await iterative(await new_bench(world))
    await waiting(handle, "plan")
    status = await approve(handle, "plan", plan=EDIT.model_dump())
    assert [(s.id, s.status) for s in status.steps] == [("s2", "dropped"), ("s3", "pending"), ("s1", "pending")]
    await waiting(handle, "iteration-1")
    assert [c.criterion for c in world.seen(ValidateRequest)[0].checks] == ["validation", "plan-1"]
    frozen = await refused(approve(handle, "iteration-1", plan=EDIT.model_dump()))
    assert "criteria: they are frozen since the plan was approved" in frozen
    more = PlanEdit(steps=[StepEdit(title="title", instructions="find one")])
    await approve(handle, "iteration-1", plan=more.model_dump())
    await waiting(handle, "iteration-2")
    await approve(handle, "iteration-2")
    assert (await handle.result()).status is Status.COMPLETED
    assert [e.step for e in world.seen(ExecuteRequest)] == ["s3", "s4"]
    assert [v.checks[1].command for v in world.seen(ValidateRequest)] == ["make scan"] * 4
    decided = (await handle.query(AutonomousSession.status)).decisions
    assert decided[0].reason == "new s3; changed s1; dropped s2; the planner's criteria edited"


# ---------------------------------------------------------------------- what is answered


async def test_answers_to_something_else_are_refused_in_words(new_bench: NewBench) -> None:
    handle = await iterative(await new_bench(World(passes_at=1)))
    await waiting(handle, "plan")
    assert "say what is answered: what waits is plan (the plan: 1 step" in await refused(approve(handle, None))
    early = await refused(approve(handle, "iteration-1"))
    assert early == (
        "iteration-1 does not wait for approval; what waits is plan (the plan: 1 step, 2 criteria): look at it first"
    )
    assert "reason" in await refused(handle.execute_update("reject", {"request": "plan"}))
    unknown = PlanEdit(steps=[StepEdit(id="s9", title="t", instructions="i")]).model_dump()
    assert "s9 is no step that is to be done" in await refused(approve(handle, "plan", plan=unknown))
    assert (await handle.query(AutonomousSession.status)).decisions == []
    await approve(handle, "plan")
    await waiting(handle, "iteration-1")
    late = await refused(reject(handle, "plan", "too late"))
    assert late.startswith(f"plan was approved already, by {ADA} at 2")
    assert "what waits now is iteration-1 (iteration 1: every criterion is met" in late
    await handle.signal("cancel")


async def test_the_same_answer_twice_is_harmless(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await iterative(await new_bench(world))
    await waiting(handle, "plan")
    await approve(handle, "plan")
    await approve(handle, "plan")
    await waiting(handle, "iteration-1")
    assert (await approve(handle, "plan")).status is Status.WAITING_APPROVAL
    await reject(handle, "iteration-1", "rhyme it", id="r1")
    await reject(handle, "iteration-1", "rhyme it", id="r1")
    await reject(handle, "iteration-1", "rhyme it")
    await waiting(handle, "iteration-2")
    assert "was rejected already" in await refused(reject(handle, "iteration-1", "and scan it"))
    await approve(handle, "iteration-2")
    assert (await handle.result()).iterations == 2
    assert world.seen(ExecuteRequest)[1].brief.guidance == ["rhyme it"]
    assert len((await handle.query(AutonomousSession.status)).decisions) == 3


async def test_an_autonomous_session_waits_for_nobody(new_bench: NewBench) -> None:
    working = Working()
    handle = await (await new_bench(World(passes_at=1, before={"execute": working}))).start()
    await working.started.wait()
    assert await refused(approve(handle, "plan")) == "nothing waits for approval now"
    working.enough.set()
    await handle.result()


# ---------------------------------------------------------------------- silence


async def test_silence_lets_it_go_on_where_that_is_asked_for(new_bench: NewBench) -> None:
    bench = await new_bench(World(passes_at=2))
    handle = await iterative(bench, approval_timeout_minutes=30, on_approval_timeout="continue")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    assert timers_of(await handle.fetch_history()) == [1_800] * 3
    decided = (await handle.query(AutonomousSession.status)).decisions
    assert {(d.answer, d.by, d.reason) for d in decided} == {
        ("approved", "the time-out", "nobody answered within 30 minutes")
    }
    assert result.active_seconds < 60


async def test_silence_ends_it_where_that_is_asked_for(new_bench: NewBench) -> None:
    bench = await new_bench(World(passes_at=1))
    handle = await iterative(bench, approval_timeout_minutes=1, on_approval_timeout="end")
    result = await handle.result()
    assert result.status is Status.FAILED
    assert result.reason == "plan, rejected for good by the time-out: nobody answered within 1 minute"


async def test_silence_pauses_and_an_answer_or_a_resume_goes_on(new_bench: NewBench) -> None:
    bench = await new_bench(World(passes_at=1))
    handle = await iterative(bench, approval_timeout_minutes=90)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "approval: plan: nobody answered within 90 minutes"
    assert status.next.startswith("Paused, and plan waits for approval. Answer at a terminal: `overnight approve ")
    await handle.signal("resume")

    async def asked_again() -> bool:
        return (await said(handle)).count("paused: approval: plan: nobody answered within 90 minutes") == 2

    await until(asked_again)
    await approve(handle, "plan")
    await eventually(handle, lambda s: s.iteration == 1 and s.status is Status.PAUSED)
    await approve(handle, "iteration-1")
    assert (await handle.result()).status is Status.COMPLETED


# ---------------------------------------------------------------------- other messages while it waits


async def test_pause_steer_limits_and_an_answer_while_paused(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    bench = await new_bench(world)
    handle = await iterative(bench, real_time=True, approval_timeout_minutes=30, on_approval_timeout="end")
    first = await waiting(handle, "plan")
    await handle.signal("pause", "lunch")
    status = await reaches(handle, Status.PAUSED)
    assert status.approval == first.approval
    await handle.signal("steer", "use roses")
    raised = await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_cost_usd=99))
    assert raised.max_cost_usd == 99
    await handle.signal("resume")
    again = await waiting(handle, "plan")
    assert again.approval is not None
    assert first.approval is not None
    assert again.approval.until is not None
    assert first.approval.until is not None
    assert again.approval.until > first.approval.until, "nobody was waited for meanwhile"
    await handle.signal("pause", "coffee")
    await reaches(handle, Status.PAUSED)
    await approve(handle, "plan")
    assert (await handle.query(AutonomousSession.status)).status is Status.PAUSED, "an approval is no resume"
    assert world.seen(ExecuteRequest) == []
    await handle.signal("resume")
    await waiting(handle, "iteration-1")
    assert world.seen(ExecuteRequest)[0].brief.guidance == ["use roses"]
    await approve(handle, "iteration-1")
    assert (await handle.result()).status is Status.COMPLETED


@pytest.mark.parametrize("how", ["signal", "temporal"])
async def test_cancel_while_it_waits(new_bench: NewBench, how: str) -> None:
    handle = await iterative(await new_bench(World()), real_time=True, approval_timeout_minutes=30)
    await waiting(handle, "plan")
    await (handle.cancel() if how == "temporal" else handle.signal("cancel", "enough"))
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.CANCELLED, 0)
    status = await handle.query(AutonomousSession.status)
    assert status.approval is None


# ---------------------------------------------------------------------- survival


async def test_waiting_outlives_workers(env: WorkflowEnvironment) -> None:
    world, queue = World(passes_at=1), f"q-{uuid4().hex[:8]}"
    bench = Bench(env, world, queue)
    async with workers(env, queue, world):
        handle = await iterative(bench)
        await waiting(handle, "plan")
    async with workers(env, queue, world):
        await approve(handle, "plan")
        await waiting(handle, "iteration-1")
    async with workers(env, queue, world):
        await approve(handle, "iteration-1")
        assert (await handle.result()).status is Status.COMPLETED


@pytest.mark.chaos
async def test_waiting_outlives_histories() -> None:
    """A person who talks a lot before answering: the wait goes on in one fresh history after another."""
    world, queue = World(steps=2, passes_at=2), f"q-{uuid4().hex[:8]}"
    async with time_skipping_server("limit.historyCount.suggestContinueAsNew=40") as env, workers(env, queue, world):
        first = await iterative(Bench(env, world, queue), approval_timeout_minutes=10_000, real_time=True)
        handle: Handle = env.client.get_workflow_handle_for(AutonomousSession.run, first.id)
        for request in ("plan", "iteration-1", "iteration-2"):
            asked = await waiting(handle, request)
            run = (await handle.describe()).run_id
            talked = 0
            while (await handle.describe()).run_id == run:
                talked += 1
                await handle.signal("stear", f"{request} {talked}")
            again = await waiting(handle, request)
            assert again.approval == asked.approval, "the same request, with the same deadline"
            if request == "iteration-2":
                await reject(handle, request, "rhyme it")
                await waiting(handle, "iteration-3")
                await approve(handle, "iteration-3")
            else:
                await approve(handle, request)
        result = await ended(first)
    assert (result.status, result.iterations) == (Status.COMPLETED, 3)
    assert len(world.seen(PlanRequest)) == 1
    assert [e.site.iteration for e in world.seen(ExecuteRequest)] == [1, 2, 3]
