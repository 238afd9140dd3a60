"""Messages: nothing that a person sends is lost, nothing that is sent breaks the session."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from tests.workflows.conftest import Bench, Handle, NewBench, eventually, reaches, said
from tests.workflows.fakes import Working, World
from workflows.contracts.messages import Pause, RaiseLimits, Steer
from workflows.contracts.requests import ExecuteRequest, JudgeRequest, PlanRequest, ValidateRequest
from workflows.contracts.state import Status
from workflows.session import AutonomousSession


def raw(data: bytes, encoding: str | None = "json/plain") -> RawValue:
    return RawValue(Payload(data=data, metadata={"encoding": encoding.encode()} if encoding else {}))


async def paused(bench: Bench, **changes: Any) -> Handle:
    """A session that is paused from its first moment on."""
    handle = await bench.start(start_signal="pause", **changes)
    await reaches(handle, Status.PAUSED)
    return handle


async def still_works(handle: Handle, world: World) -> None:
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED
    assert world.seen(ExecuteRequest)


# ---------------------------------------------------------------------- what parses

GUIDANCE = [
    pytest.param(["use roses"], id="bare string"),
    pytest.param([{"guidance": "use roses"}], id="object"),
    pytest.param([{"guidance": "  use roses \n"}], id="blanks around it"),
    pytest.param([{"guidance": "use roses", "when": "now", "id": "m1"}], id="all fields"),
    pytest.param([Steer(guidance="use roses")], id="model"),
    pytest.param([raw(b'"use roses"')], id="raw JSON"),
    pytest.param([{"guidance": "use roses", "colour": "red"}], id="unknown field"),
]


@pytest.mark.parametrize("args", GUIDANCE)
async def test_guidance_arrives_in_any_reasonable_form(new_bench: NewBench, args: list[Any]) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    await handle.signal("steer", args=args)
    status = await eventually(handle, lambda s: bool(s.guidance))
    assert [(g.text, g.state) for g in status.guidance] == [("use roses", "waiting")]
    await still_works(handle, world)
    assert world.seen(ExecuteRequest)[0].brief.guidance == ["use roses"]


@pytest.mark.parametrize("args", [[], [None], [{}], ["lunch"], [{"reason": "lunch", "when": "now"}], [{"who": "me"}]])
async def test_pause_resume_and_cancel_need_no_words(new_bench: NewBench, args: list[Any]) -> None:
    world = World(passes_at=1)
    handle = await (await new_bench(world)).start(start_signal="pause", signal_args=args)
    status = await reaches(handle, Status.PAUSED)
    spoken = args and "lunch" in str(args[0])
    assert status.reason == ("paused by a person: lunch" if spoken else "paused by a person")
    bare = [a for a in args if not isinstance(a, dict) or "when" not in a]
    await handle.signal("resume", args=bare)
    await handle.signal("cancel", args=bare)
    result = await handle.result()
    assert result.status in {Status.CANCELLED, Status.COMPLETED}


async def test_unknown_fields_are_shown(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    await handle.signal("steer", {"guidance": "use roses", "wen": "now"})
    await eventually(handle, lambda s: bool(s.guidance))
    assert "steer: fields that nobody knows were left out: wen" in await said(handle)
    await still_works(handle, world)


# ---------------------------------------------------------------------- what does not parse

GARBAGE = [
    pytest.param("steer", [], "steer: not understood (guidance: Field required)", id="no argument"),
    pytest.param("steer", [None], "steer: not understood (guidance: Field required)", id="null"),
    pytest.param("steer", [""], "steer: not understood (guidance: ", id="empty text"),
    pytest.param("steer", ["x" * 2_001], "steer: not understood (guidance: is 2001 bytes long", id="too long"),
    pytest.param("steer", [{"guidance": 7}], "steer: not understood (guidance: ", id="wrong type"),
    pytest.param("steer", [{"guidance": "x", "when": "soon"}], "steer: not understood (when: ", id="unknown value"),
    pytest.param("steer", [{"guidance": "x", "id": "a b"}], "steer: not understood (id: ", id="bad id"),
    pytest.param("steer", [["x"]], "steer: not understood (input: ", id="list"),
    pytest.param("steer", ["one", "two"], "2 arguments instead of one); it was: one; two", id="several"),
    pytest.param("steer", [raw(b"\xff\xfe\x00bad")], "steer: not understood (not JSON)", id="garbage"),
    pytest.param("steer", [raw(b'{"guidance": "half')], '(not JSON); it was: {"guidance": "half', id="half"),
    pytest.param("steer", [raw(b"use roses", None)], "(not JSON); it was: use roses", id="no encoding"),
    pytest.param("steer", [raw(b"\x01\x02", "binary/plain")], "steer: not understood (bytes)", id="bytes"),
    pytest.param("steer", [raw(b"\x01", "json/protobuf")], "steer: not understood (not JSON)", id="protobuf"),
    pytest.param("pause", [17], "pause: not understood (input: ", id="number"),
    pytest.param("pause", [{"when": "later"}], "pause: not understood (when: ", id="pause when"),
    pytest.param("resume", [["now"]], "resume: not understood (input: ", id="resume list"),
    pytest.param("cancel", [raw(b"nope")], "cancel: not understood (not JSON)", id="cancel garbage"),
    pytest.param("cancel", ["a", "b", "c"], "3 arguments instead of one", id="cancel several"),
    pytest.param("stear", ["use roses"], "stear: not understood (no such signal); it was: use roses", id="no such"),
    pytest.param("stear", [], "stear: not understood (no such signal)", id="no such, bare"),
    pytest.param("stear", [raw(b"\xff"), 1], "stear: not understood (no such signal)", id="no such, garbage"),
]


@pytest.mark.parametrize(("name", "args", "shown"), GARBAGE)
async def test_what_does_not_parse_is_shown_and_harms_nothing(
    new_bench: NewBench, name: str, args: list[Any], shown: str
) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    await handle.signal(name, args=args)
    await handle.signal("steer", "and mind the metre")
    status = await eventually(handle, lambda s: bool(s.guidance))
    assert status.status is Status.PAUSED
    assert any(shown in text for text in await said(handle)), await said(handle)
    await still_works(handle, world)
    assert world.seen(ExecuteRequest)[0].brief.guidance == ["and mind the metre"]


# ---------------------------------------------------------------------- when it arrives


async def test_guidance_in_the_first_task_reaches_the_plan_and_the_first_execute(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    handle = await (await new_bench(world)).start(start_signal="steer", signal_args=["use roses"])
    assert (await handle.result()).status is Status.COMPLETED
    assert world.seen(PlanRequest)[0].guidance == ["use roses"]
    briefs = [e.brief for e in world.seen(ExecuteRequest)]
    assert [b.guidance for b in briefs] == [["use roses"], []]
    assert [b.standing_guidance for b in briefs] == [[], ["use roses"]]


async def test_pause_in_the_first_task_starts_nothing(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    assert world.requests == []
    await still_works(handle, world)


async def test_pause_after_the_turn_lets_the_running_call_finish(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("pause", Pause(reason="lunch"))
    status = await eventually(handle, lambda s: "lunch" in s.next)
    assert status.status is Status.RUNNING
    assert status.next == "Pauses when the running call has ended (paused by a person: lunch)."
    working.enough.set()
    status = await reaches(handle, Status.PAUSED)
    assert world.seen(ValidateRequest)[1:] == []
    assert status.steps[0].status == "done"
    await still_works(handle, world)
    assert len(world.seen(ExecuteRequest)) == 1


async def test_pause_now_interrupts_and_resume_goes_on_in_the_same_conversation(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("pause", {"when": "now", "reason": "fire drill"})
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "paused by a person: fire drill"
    assert status.cost_usd > 0
    await handle.signal("resume")
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 1)
    executes = world.seen(ExecuteRequest)
    assert [e.conversation for e in executes] == [None, "conv-1"]
    assert executes[1].site.commit != executes[0].site.commit, "what was done before is kept"
    assert executes[1].step == executes[0].step


async def test_pause_now_interrupts_any_call(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=1, before={"judge": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("pause", {"when": "now"})
    await reaches(handle, Status.PAUSED)
    await still_works(handle, world)
    assert len(world.seen(JudgeRequest)) == 2


async def test_pause_now_taken_back_at_once_goes_on(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("pause", {"when": "now"})
    await handle.signal("resume")
    working.enough.set()
    assert (await handle.result()).status is Status.COMPLETED


async def test_steer_now_interrupts_an_execute_which_goes_on_with_it(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=2, before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("steer", {"guidance": "use roses", "when": "now", "id": "m1"})
    result = await handle.result()
    assert (result.status, result.iterations) == (Status.COMPLETED, 2)
    executes = world.seen(ExecuteRequest)
    assert [e.conversation for e in executes] == [None, "conv-1", None]
    assert [e.brief.guidance for e in executes] == [[], ["use roses"], []]
    assert [e.brief.standing_guidance for e in executes] == [[], [], ["use roses"]]
    assert "- m1: use roses (carried by execute #1)" in result.report


async def test_steer_now_during_another_call_waits_for_the_next_execute(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=2, before={"diagnose": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("steer", {"guidance": "use roses", "when": "now"})
    await eventually(handle, lambda s: bool(s.guidance))
    assert not working.enough.is_set()
    working.enough.set()
    assert (await handle.result()).status is Status.COMPLETED
    assert [e.brief.guidance for e in world.seen(ExecuteRequest)] == [[], ["use roses"]]


async def test_steer_for_the_next_step_interrupts_nothing(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=2, before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("steer", "use roses")
    await eventually(handle, lambda s: bool(s.guidance))
    working.enough.set()
    await handle.result()
    executes = world.seen(ExecuteRequest)
    assert [e.conversation for e in executes] == [None, None]
    assert [e.brief.guidance for e in executes] == [[], ["use roses"]]


async def test_guidance_counts_as_delivered_only_when_a_model_answered(new_bench: NewBench) -> None:
    working = Working(answered=False)
    world = World(passes_at=2, before={"execute": working})
    handle = await paused(await new_bench(world))
    await handle.signal("steer", "use roses")
    await handle.signal("resume")
    await working.started.wait()
    await handle.signal("steer", {"guidance": "and lilies", "when": "now"})
    await handle.result()
    executes = world.seen(ExecuteRequest)
    assert [e.brief.guidance for e in executes] == [["use roses"], ["use roses", "and lilies"], []]
    assert executes[2].brief.standing_guidance == ["use roses", "and lilies"]


async def test_a_message_sent_twice_counts_once(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    for _ in range(2):
        await handle.signal("steer", {"guidance": "use roses", "id": "m1"})
    await handle.signal("steer", "last")
    status = await eventually(handle, lambda s: len(s.guidance) > 1)
    assert [g.text for g in status.guidance] == ["use roses", "last"]
    await still_works(handle, world)


async def test_many_messages_at_once_are_all_seen(new_bench: NewBench) -> None:
    working = Working()
    world = World(passes_at=1, before={"execute": working})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    sent: list[tuple[str, Any]] = [
        ("pause", {"when": "now"}),
        ("steer", "a"),
        ("steer", "b"),
        ("resume", None),
        ("pause", "again"),
    ]
    for name, arg in sent:
        await handle.signal(name, arg)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == "paused by a person: again"
    assert [g.text for g in status.guidance] == ["a", "b"]
    await still_works(handle, world)
    assert world.seen(ExecuteRequest)[-1].brief.guidance == ["a", "b"]


async def test_more_guidance_than_can_wait_is_refused_and_shown(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    for n in range(6):
        await handle.signal("steer", f"hint {n}")
    await handle.signal("stop")
    await eventually(handle, lambda s: len(s.guidance) == 4)
    refused = [text for text in await said(handle) if "refused" in text]
    assert [text[-6:] for text in refused] == ["hint 4", "hint 5"]
    await still_works(handle, world)


async def test_guidance_right_before_the_end_is_reported_as_too_late(new_bench: NewBench) -> None:
    working = Working()

    async def only_clean(request: ValidateRequest) -> Any:
        return await working(request) if request.clean else None

    world = World(passes_at=1, before={"validate": only_clean})
    handle = await (await new_bench(world)).start()
    await working.started.wait()
    await handle.signal("steer", "one more thing")
    working.enough.set()
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert "one more thing (came too late, no prompt carried it)" in result.report


async def test_a_message_after_the_end_is_refused_by_temporal(new_bench: NewBench) -> None:
    handle = await (await new_bench(World(passes_at=1))).start()
    await handle.result()
    with pytest.raises(RPCError) as told:
        await handle.signal("steer", "too late")
    assert told.value.status is RPCStatusCode.NOT_FOUND
    assert (await handle.query(AutonomousSession.status)).status is Status.COMPLETED


# ---------------------------------------------------------------------- updates


async def test_limits_that_make_no_sense_are_refused(new_bench: NewBench) -> None:
    world = World(passes_at=1)
    handle = await paused(await new_bench(world))
    for bad in ({}, {"max_cost_usd": -1}, {"max_iterations": 0}, {"max_iterations": 10**6}, "much", None, {"id": "x"}):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("raise_limits", bad)
    status = await handle.execute_update(AutonomousSession.raise_limits, RaiseLimits(max_iterations=7, id="u1"))
    assert status.max_iterations == 7
    await still_works(handle, world)


async def test_the_web_ui_lists_what_can_be_sent(new_bench: NewBench) -> None:
    handle = await paused(await new_bench(World()))
    metadata: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    signals = {s.name: s.description for s in metadata.definition.signal_definitions if s.name}
    assert set(signals) == {"pause", "resume", "steer", "cancel"}
    assert '"when": "next_step" | "now"' in signals["steer"]
    await handle.signal("cancel")
