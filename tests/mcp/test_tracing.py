"""One trace from a client's span through server, workflow and activities to the calls of Claude Code; none unasked."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

import mcp_server
from overnight import stack
from overnight.base.temporal import connect
from overnight.base.traced_worker import TracedWorker
from overnight.demo.reply import Text
from overnight.demo.script import Scenario
from overnight.demo.server import ScriptedModel
from overnight.mcp.engine import Engine
from tests.mcp.conftest import MODES, ROOT, Mode, Place, Stage, a_place, call, until
from tests.sessions.plays import CHECK, RIGHT, TEST, by_iteration, play, shell, write
from workflows.session import AutonomousSession
from workflows.step import PlanStep

GOAL = "Write greet.py that says hello to a name, with a test. The customer is called Zwetschgenknödel."
CLIENT = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
OTHER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def carried(ids: tuple[str, str]) -> dict[str, str]:
    """What a traced client puts into a message; the baggage is none of anybody's business."""
    named = f"00-{ids[0]}-{ids[1]}-01"
    return {"traceparent": named, "tracestate": "vendor=opaque", "baggage": "customer=zwetschge"}


@dataclass
class Traced:
    """A stack whose worker writes its spans into a file, as do the servers in front of it."""

    place: Place
    file: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {**self.place.environment(), "OVERNIGHT_TRACES": str(self.file), **more}

    def server(self, **more: str) -> StdioServerParameters:
        parameters = self.place.parameters()
        return parameters.model_copy(update={"env": self.environment(**more)})

    def spans(self, trace: str | None = None) -> list[dict[str, Any]]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        known = [json.loads(line) for line in lines]
        return [one for one in known if trace is None or one["context"]["trace_id"] == f"0x{trace}"]

    async def until_told(self, trace: str, *names: str) -> list[dict[str, Any]]:
        """The spans of a trace, once those with ``names`` are among them."""
        await until(lambda: set(names) <= {one["name"] for one in self.spans(trace)}, what=f"spans {names}")
        return self.spans(trace)


@pytest_asyncio.fixture(scope="module")
async def traced(
    credentials: tuple[ScriptedModel, Stage], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Traced]:
    file = tmp_path_factory.mktemp("traces") / "spans.jsonl"
    async with a_place(*credentials) as place:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OVERNIGHT_TRACES", str(file))
            patch.setenv("PYTHONPATH", str(ROOT))
            await asyncio.to_thread(stack.ensure_up, place.settings, wait_seconds=180)
        yield Traced(place, file)


def nosy() -> Scenario:
    """An agent that looks for traces in its environment."""
    return play(
        by_iteration(
            [
                write("greet.py", RIGHT),
                write("test_greet.py", TEST),
                shell("env | grep -i -c trace > found.txt; cat found.txt"),
                Text("Done."),
            ]
        )
    )


async def ended(client: Client, sid: str) -> dict[str, Any]:
    await call(client, "claude_autonomous_wait", session_ids=[sid], until="end", timeout_seconds=240)
    known = await call(client, "claude_autonomous_status", session_id=sid, detail="full")
    assert known["status"] == "completed", known
    return known


def chain(spans: list[dict[str, Any]], name: str) -> list[str]:
    """The names of a span and of those above it, up to one that is not ours."""
    by_id = {one["context"]["span_id"]: one for one in spans}
    (here,) = [one for one in spans if one["name"] == name][:1]
    found = [here["name"]]
    while (above := by_id.get(here["parent_id"])) is not None:
        here = above
        found.append(here["name"])
    return [*found, here["parent_id"]]


async def test_one_trace_from_the_client_to_claude_code(traced: Traced) -> None:
    sid = traced.place.name(nosy())
    async with Client(traced.server()) as client:
        await call(
            client,
            "claude_autonomous",
            meta=carried(CLIENT),
            goal=GOAL,
            validation_command=CHECK,
            session_id=sid,
            success_criteria=["It is polite."],
        )
        known = await ended(client, sid)
        assert known["trace_id"] == CLIENT[0]
        assert f"Trace: `{CLIENT[0]}`" in known["report"]
    spans = await traced.until_told(CLIENT[0], "CompleteWorkflow:AutonomousSession")
    named = {one["name"] for one in spans}
    assert {f"claude_code {phase}" for phase in ("plan", "execute", "judge")} <= named
    assert {f"RunActivity:{step}" for step in ("plan", "execute", "validate", "judge")} <= named
    assert chain(spans, "claude_code execute") == [
        "claude_code execute",
        "RunActivity:execute",
        "StartActivity:execute",
        "StartWorkflow:AutonomousSession",
        "start session",
        "tools/call claude_autonomous",
        f"0x{CLIENT[1]}",
    ]
    services = {one["resource"]["attributes"]["service.name"] for one in spans}
    assert services == {"overnight-mcp", "overnight-worker"}

    calls = [one for one in spans if one["name"].startswith("claude_code ")]
    assert round(sum(one["attributes"]["overnight.cost_usd"] for one in calls), 6) == round(known["cost_usd"], 6)
    (execute,) = [one["attributes"] for one in calls if one["name"] == "claude_code execute"]
    assert execute["overnight.outcome"] == "completed"
    assert (execute["overnight.iteration"], execute["overnight.attempt"], execute["overnight.phase"]) == (
        1,
        1,
        "execute",
    )
    assert execute["gen_ai.request.model"] == "claude-opus-5-5"
    assert execute["gen_ai.usage.input_tokens"] > 0
    assert execute["gen_ai.usage.output_tokens"] > 0
    (activity,) = [one for one in spans if one["name"] == "RunActivity:execute"]
    assert activity["attributes"]["temporalWorkflowID"] == sid
    assert activity["attributes"]["overnight.iteration"] == 1

    asked = traced.place.asked(sid, "execute")
    (call_id,) = [one["context"]["span_id"][2:] for one in calls if one["name"] == "claude_code execute"]
    assert {request.headers.get("traceparent") for request in asked} == {f"00-{CLIENT[0]}-{call_id}-01"}
    assert not any("tracestate" in request.headers or "baggage" in request.headers for request in asked)
    assert any(result.strip() == "0" for request in asked for result in results(request.body)), "it saw our trace"

    found = stack.find(traced.place.settings)
    assert found is not None
    history = await (await connect(found.address)).get_workflow_handle(sid).fetch_history()
    for interceptors in ([], [TracedWorker()]):
        replayer = Replayer(
            workflows=[AutonomousSession, PlanStep],
            data_converter=pydantic_data_converter,
            interceptors=interceptors,
        )
        await replayer.replay_workflow(history)


def results(body: Any) -> list[str]:
    """What the agent's tools printed."""
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    parts = [b["content"] for b in blocks if b.get("type") == "tool_result"]
    return [p if isinstance(p, str) else "".join(x.get("text", "") for x in p) for p in parts]


async def test_spans_tell_no_texts_no_paths_and_no_secrets(traced: Traced) -> None:
    async with Client(traced.server()) as client:
        secret = "sk-ant-api03-" + "x" * 40
        for name in (f"/home/ada/{secret}", "claude_autonomous_status"):
            traces: Any = carried(OTHER)
            await client.call_tool(name, {"session_id": f"{traced.place.settings.home}/{secret}"}, meta=traces)
    spans = await traced.until_told(OTHER[0], "tools/call", "tools/call claude_autonomous_status")
    assert spans
    whole = traced.file.read_text()
    for text in (
        "Zwetschgenknödel",
        "zwetschge",
        "greet",
        "opaque",
        "sk-ant",
        "sk-test",
        str(traced.place.settings.home),
    ):
        assert text not in whole.replace(str(traced.file), ""), text
    for one in traced.spans():
        assert one["events"] == []
        assert "description" not in one["status"]


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_session_of_an_untraced_client_is_one_trace_too(traced: Traced) -> None:
    sid = traced.place.name()
    async with Client(traced.server(OVERNIGHT_TRACES="off")) as client:
        started = await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK, session_id=sid)
        assert started["session_id"] == sid
        known = await ended(client, sid)
    spans = await traced.until_told(known["trace_id"], "CompleteWorkflow:AutonomousSession", "claude_code execute")
    assert {one["resource"]["attributes"]["service.name"] for one in spans} == {"overnight-worker"}
    others = [one for one in traced.spans() if one["attributes"].get("temporalWorkflowID") == sid]
    assert {one["context"]["trace_id"] for one in others} == {f"0x{known['trace_id']}"}


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_command_joins_the_trace_of_its_environment(traced: Traced) -> None:
    sid = traced.place.name(play(by_iteration([Text("Nothing.")])))
    ids = ("11111111111111111111111111111111", "2222222222222222")
    environment = traced.environment(TRACEPARENT=carried(ids)["traceparent"])

    async def overnight(*arguments: str) -> str:
        command = [sys.executable, "-m", "overnight.cli", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    started = json.loads(await overnight("run", GOAL, "--detach", "--json", "--id", sid))
    assert started["trace_id"] == ids[0]
    await traced.until_told(ids[0], "StartWorkflow:AutonomousSession", "RunWorkflow:AutonomousSession")
    await overnight("cancel", sid, "--yes")
    spans = await traced.until_told(ids[0], "SignalWorkflow:cancel", "HandleSignal:cancel")
    services = {one["resource"]["attributes"]["service.name"] for one in spans}
    assert services >= {"overnight-cli", "overnight-worker"}
    assert f"trace {ids[0]}" in await overnight("status", sid)


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_worker_that_does_not_trace_is_told(place: Place, tmp_path: Path) -> None:
    file, sid = tmp_path / "spans.jsonl", place.name()
    environment = {**place.environment(), "OVERNIGHT_TRACES": str(file)}
    async with Client(place.parameters().model_copy(update={"env": environment})) as client:
        started = await call(client, "claude_autonomous", goal="Wait.", session_id=sid)
        assert "the running worker exports no spans" in started["notice"]
        known = await call(client, "claude_autonomous_status", session_id=sid)
        await call(client, "claude_autonomous_cancel", session_id=sid)
    assert known["trace_id"] in file.read_text()


async def test_without_an_exporter_nobody_traces_and_a_clients_trace_is_only_noted(place: Place) -> None:
    one, other = place.name(), place.name()
    async with place.client() as client:
        await call(client, "claude_autonomous", goal="Wait.", session_id=one)
        await call(client, "claude_autonomous", goal="Wait.", session_id=other, meta=carried(CLIENT))
        assert (await call(client, "claude_autonomous_status", session_id=one))["trace_id"] == ""
        assert (await call(client, "claude_autonomous_status", session_id=other))["trace_id"] == CLIENT[0]
        for sid in (one, other):
            await call(client, "claude_autonomous_cancel", session_id=sid)


@pytest.mark.parametrize("mode", MODES)
async def test_the_header_of_a_request_is_a_context_too_and_the_message_comes_first(place: Place, mode: Mode) -> None:
    one, other = place.name(), place.name()
    app = mcp_server.build(Engine(place.settings)).streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started, what="the server")
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    async with httpx2.AsyncClient(headers=carried(OTHER)) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            await call(client, "claude_autonomous", goal="Wait.", session_id=one)
            await call(client, "claude_autonomous", goal="Wait.", session_id=other, meta=carried(CLIENT))
            found = [await call(client, "claude_autonomous_status", session_id=sid) for sid in (one, other)]
            assert [known["trace_id"] for known in found] == [OTHER[0], CLIENT[0]]
            for sid in (one, other):
                await call(client, "claude_autonomous_cancel", session_id=sid)
    server.should_exit = True
    await serving
