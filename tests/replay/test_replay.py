"""Sessions in flight survive an upgrade: recorded histories replay with today's code.

How they are recorded, and when to record anew: ``tests/replay/record.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadConverter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Interceptor, Replayer
from temporalio.workflow import NondeterminismError

from overnight.base.traced_worker import TracedWorker
from tests.replay.record import HISTORIES, SCENARIOS, Scenario, commands, play
from tests.workflows.conftest import env
from workflows.session import AutonomousSession
from workflows.step import PlanStep

__all__ = ["env"]

MAX_BYTES = 200_000


def replayer(*interceptors: Interceptor) -> Replayer:
    return Replayer(
        workflows=[AutonomousSession, PlanStep], data_converter=pydantic_data_converter, interceptors=interceptors
    )


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_it_replays(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    await replayer().replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))


@pytest.mark.parametrize("began_traced", [False, True], ids=["untraced", "traced"])
@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_it_replays_on_a_worker_that_traces(path: Path, began_traced: bool) -> None:
    history = json.loads(path.read_text())
    if began_traced:
        named = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        (payload,) = PayloadConverter.default.to_payloads([named])
        started = history["events"][0]["workflowExecutionStartedEventAttributes"]
        started["header"] = {"fields": {"_tracer-data": MessageToDict(payload)}}
    await replayer(TracedWorker()).replay_workflow(WorkflowHistory.from_json(path.stem, history))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_today_the_workflow_decides_as_recorded(env: WorkflowEnvironment, scenario: Scenario) -> None:
    """What replay does not look at, time limits and queues say, must not change unnoticed: then record anew."""
    path = HISTORIES / f"{scenario.__name__}.json"
    recorded = commands(WorkflowHistory.from_json(path.stem, path.read_text()))
    assert commands(await play(env, scenario)) == recorded
    assert len(recorded) > 10


def test_every_scenario_is_recorded() -> None:
    assert {s.__name__ for s in SCENARIOS} <= {path.stem for path in HISTORIES.glob("*.json")}


async def test_a_changed_decision_is_noticed() -> None:
    recorded = (HISTORIES / "completed_after_a_fix.json").read_text()
    assert '"name":"diagnose"' in recorded
    changed = recorded.replace('"name":"diagnose"', '"name":"reflect"')
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(WorkflowHistory.from_json("changed", changed))


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
def test_it_names_no_machine(path: Path) -> None:
    assert set(re.findall(r'"identity":"([^"]*)"', path.read_text())) <= {"recorder"}
    assert "stackTrace" not in path.read_text()
