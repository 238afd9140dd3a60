"""What lists, descriptions and Temporal's Web UI show, to someone who asks no worker and knows no code."""

from __future__ import annotations

from typing import Any

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecution, WorkflowExecutionDescription
from temporalio.common import SearchAttributeIndexedValueType as Kind

from overnight.stack import server
from tests.workflows.conftest import Handle, NewBench, reaches, until
from tests.workflows.fakes import PRICE, Working, World
from workflows.contracts.state import Status
from workflows.contracts.status import Events, Glance
from workflows.gated import GLANCE, SEARCH_ATTRIBUTES


def attributes(description: WorkflowExecutionDescription) -> dict[str, Any]:
    ours = {key.name for key in SEARCH_ATTRIBUTES}
    return {pair.key.name: pair.value for pair in description.typed_search_attributes if pair.key.name in ours}


async def glance(handle: Handle) -> Glance:
    return Glance.model_validate((await (await handle.describe()).memo())[GLANCE])


async def details(handle: Handle) -> str:
    metadata: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


def test_the_embedded_server_knows_every_search_attribute_from_its_start() -> None:
    kinds = {Kind.KEYWORD: "Keyword", Kind.INT: "Int", Kind.DOUBLE: "Double"}
    assert {key.name: kinds[key.indexed_value_type] for key in SEARCH_ATTRIBUTES} == server.SEARCH_ATTRIBUTES


async def test_describe_tells_where_a_session_stands(new_bench: NewBench) -> None:
    working = Working()
    handle = await (await new_bench(World(passes_at=1, before={"execute": working}))).start()
    await working.started.wait()
    assert attributes(await handle.describe()) == {
        "OvernightStatus": "running",
        "OvernightPhase": "execute",
        "OvernightProject": "fake",
        "OvernightIteration": 1,
        "OvernightCostUsd": PRICE,
        "OvernightRecovery": "none",
    }
    seen = await glance(handle)
    assert (seen.goal, seen.criteria_met, seen.criteria, seen.max_iterations) == ("write a poem", 0, 2, 50)
    working.enough.set()
    await handle.result()
    assert attributes(await handle.describe()) == {
        "OvernightStatus": "completed",
        "OvernightPhase": "learn",
        "OvernightProject": "fake",
        "OvernightIteration": 1,
        "OvernightCostUsd": 3 * PRICE,
        "OvernightRecovery": "none",
    }
    seen = await glance(handle)
    assert (seen.progress, seen.criteria_met) == (100, 2)
    assert seen.next.startswith("Done: see the report, and take the branch (`overnight checkout test-")


async def test_lists_find_sessions_by_status(new_bench: NewBench) -> None:
    bench = await new_bench(World())
    handle = await bench.start(start_signal="pause", signal_args=["dinner"])
    await reaches(handle, Status.PAUSED)
    query = f"OvernightStatus = 'paused' AND WorkflowId = '{handle.id}'"

    async def listed() -> list[WorkflowExecution]:
        return [w async for w in bench.env.client.list_workflows(query)]

    found = await until(listed)
    assert Glance.model_validate((await found[0].memo())[GLANCE]).reason == "paused by a person: dinner"
    await handle.signal("cancel")
    await handle.result()


async def test_the_web_ui_is_readable(new_bench: NewBench) -> None:
    working = Working()
    handle = await (await new_bench(World(passes_at=1, before={"execute": working}))).start()
    await working.started.wait()
    shown = await details(handle)
    assert "**Goal:** write a poem" in shown
    assert "**running** · execute · iteration 1 of 50" in shown
    assert "| validation: the validation command passes | no | exit code 1" in shown
    assert "- [ ] s1: step 1" in shown
    await handle.signal("steer", {"guidance": "use roses", "id": "m1"})
    await handle.signal("steer", 17)

    async def with_both() -> str | None:
        now = await details(handle)
        return now if "not understood" in now else None

    shown = await until(with_both)
    assert "- m1: use roses (waits for the next execute)" in shown
    working.enough.set()
    result = await handle.result()
    assert "**completed**" in await details(handle)
    assert "no test was seen" in result.report, "the command passed, and nobody knows of a test"
    events = await handle.query("events", result_type=Events)
    noted = [e.text for e in events.events if "no test was seen to run" in e.text]
    assert noted == ["validation ended well, but no test was seen to run"], "said once"


async def test_history_has_a_summary_for_every_call_and_wait(new_bench: NewBench) -> None:
    handle = await (await new_bench(World(passes_at=2))).start()
    await handle.result()
    history = await handle.fetch_history()
    converter = handle._client.data_converter.payload_converter
    summaries = [
        converter.from_payload(e.user_metadata.summary, str)
        for e in history.events
        if e.HasField("activity_task_scheduled_event_attributes")
    ]
    assert summaries == [
        "recall: this goal",
        "plan: write a poem",
        "baseline: 1 check",
        "execute #1: step 1",
        "validate #1: 1 check",
        "recall: this failure",
        "diagnose #1: validation",
        "execute #2: fix: cause 1",
        "validate #2: 1 check",
        "judge #2: 1 criterion",
        "confirm in a clean clone #2: 1 check",
        "learn: 5 learnings",
    ]
    attributes_upserted = sum(e.HasField("upsert_workflow_search_attributes_event_attributes") for e in history.events)
    assert attributes_upserted <= len(summaries) + 1, "once a phase and once at the end"


async def test_status_shows_what_was_observed(new_bench: NewBench) -> None:
    handle = await (await new_bench(World(passes_at=2))).start(max_iterations=1)
    status = await reaches(handle, Status.PAUSED)
    (ran,) = status.test_results
    assert (ran.command, ran.passed, ran.exit_code, ran.tail) == ("make test", False, 1, "1 failed")
    assert status.commit is not None
    assert status.branch == f"overnight/{handle.id}"
    assert status.summary == "I did it"
    assert status.errors == 0
    assert 0 < status.progress < 100
    assert status.success_rate < 1
    await handle.signal("cancel")
    await handle.result()
