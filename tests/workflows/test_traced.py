"""A session's trace goes with it: into fresh histories, into children, and into what signals bring about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from overnight.base.traced_client import TracedClient
from overnight.base.traced_worker import TracedWorker
from overnight.base.tracing import joined
from tests.replay.record import Scenario, continued_as_new, several_approaches
from tests.workflows.conftest import Bench, workers
from tests.workflows.fakes import World

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Traced(TracedWorker, TracedClient):
    """For a client and for the workers that use it."""


def traced(env: WorkflowEnvironment) -> WorkflowEnvironment:
    client = Client(env.client.service_client, data_converter=pydantic_data_converter, interceptors=[Traced()])
    skipping = env.with_time_skipping_disabled
    return cast("WorkflowEnvironment", SimpleNamespace(client=client, with_time_skipping_disabled=skipping))


def headers(event: HistoryEvent) -> list[Any]:
    """Of the start of a run, and of each command that starts something."""
    told = (
        event.workflow_execution_started_event_attributes,
        event.activity_task_scheduled_event_attributes,
        event.start_child_workflow_execution_initiated_event_attributes,
    )
    return [one.header.fields for one in told if one.ByteSize()]


@pytest.mark.parametrize("scenario", [continued_as_new, several_approaches], ids=lambda scenario: scenario.__name__)
async def test_every_run_and_child_and_activity_belongs_to_it(env: WorkflowEnvironment, scenario: Scenario) -> None:
    world, queue, place = World(), f"traced-{uuid4().hex[:8]}", traced(env)
    async with workers(place, queue, world):
        with joined({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "baggage": "customer=grace"}):
            handle = await scenario(Bench(place, world, queue))
        await handle.result()
        events = list((await handle.fetch_history()).events)
        children = [
            event.start_child_workflow_execution_initiated_event_attributes.workflow_id
            for event in events
            if event.HasField("start_child_workflow_execution_initiated_event_attributes")
        ]
        for child in children:
            events += (await env.client.get_workflow_handle(child).fetch_history()).events
    assert bool(children) is (scenario is several_approaches)
    found = [fields for event in events for fields in headers(event)]
    assert len(found) > 5
    for fields in found:
        assert TRACE.encode() in fields["_tracer-data"].data
        assert b"grace" not in fields["_tracer-data"].data
