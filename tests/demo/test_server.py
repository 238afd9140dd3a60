"""The scripted model over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from overnight.demo.__main__ import scenario_named
from overnight.demo.demo import SCENARIO
from overnight.demo.reply import NO_USAGE, Answer, Cut, Hang, HttpError, Rates, Say, Text, ToolUse, Usage
from overnight.demo.script import Scenario
from overnight.demo.server import ScriptedModel

HEADERS = {"X-Overnight-Session": "s", "X-Overnight-Phase": "execute", "X-Overnight-Iteration": "1"}
LONG = "word " * 400


def body(*, stream: bool = True) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 10, "stream": stream, "messages": [{"role": "user", "content": "go"}]}


@asynccontextmanager
async def playing(scenario: Scenario) -> AsyncIterator[tuple[ScriptedModel, httpx2.AsyncClient]]:
    async with (
        ScriptedModel(scenario) as model,
        httpx2.AsyncClient(base_url=model.url, headers=HEADERS, trust_env=False) as client,
    ):
        yield model, client


async def ask(client: httpx2.AsyncClient, *, stream: bool = True) -> httpx2.Response:
    return await client.post("/v1/messages?beta=true", json=body(stream=stream))


def events(text: str) -> list[dict[str, Any]]:
    parsed = []
    for part in text.strip().split("\n\n"):
        name, data = part.split("\n")
        parsed.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {parsed[-1]['type']}"
    return parsed


async def test_the_stream_carries_what_the_object_does() -> None:
    say = Say(Text(LONG), ToolUse("Bash", {"command": LONG}), Answer({"a": [1]}), usage=Usage(cache_write_1h=7))
    async with playing(Scenario(default=say)) as (_, client):
        whole = (await ask(client, stream=False)).json()
        streamed = events((await ask(client)).text)
    texts = ["", "", ""]
    for event in streamed:
        if event["type"] == "content_block_delta":
            texts[event["index"]] += event["delta"].get("text", "") + event["delta"].get("partial_json", "")
    contents = whole["content"]
    assert texts[0] == contents[0]["text"] == LONG
    assert [json.loads(text) for text in texts[1:]] == [contents[1]["input"], contents[2]["input"]]
    assert contents[2]["name"] == "StructuredOutput"
    assert contents[1]["id"] != contents[2]["id"]
    assert (whole["stop_reason"], whole["usage"]["cache_creation_input_tokens"]) == ("tool_use", 7)
    assert streamed[-2]["usage"] == whole["usage"]
    assert streamed[-1] == {"type": "message_stop"}


async def test_the_same_request_gets_the_same_reply_from_any_instance() -> None:
    replies = []
    for _ in range(2):
        async with playing(SCENARIO) as (_, client):
            replies += [(await ask(client)).content, (await ask(client)).content]
    assert len(set(replies)) == 1
    assert b"toolu_" in replies[0]


async def test_errors_have_status_headers_and_the_api_s_body() -> None:
    limit = HttpError(status=429, message="slow down", headers={"Retry-After": "3600"})
    async with playing(Scenario({"execute": limit, "plan": HttpError(status=502, body="<html>")})) as (model, client):
        refused = await ask(client)
        broken = await client.post("/v1/messages", json=body(), headers={"X-Overnight-Phase": "plan"})
        assert model.billed == NO_USAGE
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
    assert refused.json()["error"] == {"type": "rate_limit_error", "message": "slow down"}
    assert (broken.status_code, broken.text) == (502, "<html>")


async def test_a_script_that_fails_says_so_to_the_caller() -> None:
    def script(_: object) -> Text:
        raise LookupError("nothing planned")

    async with playing(Scenario(default=script)) as (_, client):
        reply = await ask(client)
    assert reply.status_code == 400
    assert "nothing planned" in reply.json()["error"]["message"]


@pytest.mark.parametrize("after", ["request", "headers", "start", "block"])
async def test_a_cut_ends_the_connection_at_its_stage(after: Any) -> None:
    received = b""

    async def read(client: httpx2.AsyncClient) -> None:
        nonlocal received
        async with client.stream("POST", "/v1/messages", json=body()) as reply:
            assert after != "request"
            async for part in reply.aiter_raw():
                received += part

    async with playing(Scenario(default=Cut(after=after))) as (model, client):
        with pytest.raises(httpx2.TransportError):
            await read(client)
        assert model.billed == (Usage(output_tokens=1) if after in ("start", "block") else NO_USAGE)
    assert (b"message_start" in received) == (after in ("start", "block"))
    assert (b"content_block_stop" in received) == (after == "block")


@pytest.mark.parametrize("after", ["request", "start"])
async def test_a_hang_lasts_until_the_model_closes(after: Any) -> None:
    async with httpx2.AsyncClient(headers=HEADERS, trust_env=False, timeout=None) as client:
        arrived = asyncio.Event()

        def script(_: object) -> Hang:
            arrived.set()
            return Hang(after=after)

        async with ScriptedModel(Scenario(default=script)) as model:
            waiting = asyncio.create_task(client.post(model.url + "/v1/messages", json=body()))
            await arrived.wait()
            assert not waiting.done()
        with pytest.raises(httpx2.TransportError):
            await waiting


async def test_a_client_that_gives_up_on_a_hang_leaves_the_model_usable() -> None:
    async with playing(Scenario({"execute": Hang(), "plan": Say(Text("late"), delay=0.01)})) as (_, client):
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/v1/messages", json=body(), timeout=httpx2.Timeout(None, read=0.05))
        reply = await client.post("/v1/messages", json=body(), headers={"X-Overnight-Phase": "plan"})
        assert events(reply.text)[-1] == {"type": "message_stop"}


async def test_the_record_is_bounded_and_the_totals_are_not() -> None:
    async with (
        ScriptedModel(Scenario(default=Text("hm")), keep=2) as model,
        httpx2.AsyncClient(base_url=model.url, trust_env=False) as client,
    ):
        for _ in range(3):
            await ask(client)
        assert len(model.requests) == len(model.exchanges) == 2
        assert model.billed_by_model == {"m": Usage(input_tokens=360, output_tokens=120)}
        assert model.cost_usd({"m": Rates(1, 0, 0, 0, 0)}) == pytest.approx(0.00036)
        assert model.exchanges[0].usage == Usage()
        model.forget()
        assert (model.requests, model.billed) == ([], NO_USAGE)


async def test_side_paths() -> None:
    async with playing(Scenario()) as (model, client):
        assert (await client.head("/api/hello")).status_code == 200
        assert (await client.post("/v1/messages/count_tokens?beta=true", json=body())).json()["input_tokens"] > 0
        assert model.requests == []


async def test_a_port_can_be_chosen_and_is_free_afterwards() -> None:
    async with ScriptedModel(Scenario()) as model:
        port = model.port
        with pytest.raises(OSError, match="in use"):
            await ScriptedModel(Scenario(), port=port).__aenter__()
    async with ScriptedModel(Scenario(), port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"


async def test_it_runs_as_a_process_and_ends_on_a_signal() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "overnight.demo", "--scenario", "demo", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with httpx2.AsyncClient(base_url=url, headers=HEADERS, trust_env=False) as client:
            assert "nightshift.py" in (await ask(client)).text
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_scenarios_are_found_by_name() -> None:
    assert scenario_named("demo") is SCENARIO
    assert scenario_named("overnight.demo.demo:SCENARIO") is SCENARIO
    for name in ("demos", "overnight.demo.demo:PLAN", "overnight.demo.demo:NOTHING"):
        with pytest.raises(ValueError, match="no scenario"):
            scenario_named(name)
