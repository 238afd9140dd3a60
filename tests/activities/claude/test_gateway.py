"""The gateway: dummy key in, real credential out, every response metered, refusals on time."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.claude import Gateway, Lease
from activities.claude.body import MAX_REQUEST_BYTES
from activities.claude.meter import Meter
from activities.claude.prices import PRICES, Tokens, cost_usd
from overnight.base.credentials import Credential, Kind
from overnight.demo.reply import Cut, Say, Text, Usage
from overnight.demo.script import Scenario
from overnight.demo.server import ScriptedModel
from tests.demo.prices import LONG_PROMPT_FACTOR, LONG_PROMPT_TOKENS
from tests.demo.prices import PRICES as MEASURED

BODY = {"model": "claude-opus-5-5", "max_tokens": 10, "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def credential(kind: Kind, upstream: str) -> Credential:
    return Credential(kind=kind, secret=SecretStr("the-secret"), source="test", upstream=upstream)


def lease(budget_usd: float = 1.0) -> Lease:
    return Lease("a-session", "execute", iteration=3, attempt=2, budget_usd=budget_usd)


async def post(gateway: Gateway, token: str, body: object = BODY) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(f"{gateway.url}/v1/messages?beta=true", json=body, headers={"x-api-key": token})


@pytest.mark.parametrize("kind", ["api_key", "auth_token", "oauth_token", "claude_login"])
async def test_the_dummy_key_becomes_the_credential(kind: Kind) -> None:
    async with ScriptedModel(Scenario([], default=Text("hello"))) as model:
        async with Gateway(lambda: credential(kind, model.url)).running() as gateway, gateway.lease(lease()) as held:
            answer = await post(gateway, held.token)
            assert answer.status_code == 200
            assert b"hello" in answer.content
        headers = model.requests[0].headers
        assert held.token not in str(headers)
        expected = ("x-api-key", "the-secret") if kind == "api_key" else ("authorization", "Bearer the-secret")
        assert headers[expected[0]] == expected[1]
        assert ("oauth-2025-04-20" in headers.get("anthropic-beta", "")) is (kind in {"oauth_token", "claude_login"})
        request = model.requests[0]
        assert (request.session, request.phase, request.iteration, request.attempt) == ("a-session", "execute", 3, 2)


async def test_nobody_gets_through_without_a_lease() -> None:
    async with ScriptedModel(Scenario([], default=Text("hello"))) as model:
        async with Gateway(lambda: credential("api_key", model.url)).running() as gateway:
            assert (await post(gateway, "the-secret")).status_code == 403
            async with gateway.lease(lease()) as held:
                pass
            assert (await post(gateway, held.token)).status_code == 403
        assert model.requests == []


async def test_a_spent_budget_refuses_the_next_request() -> None:
    costly = Say(Text("hello"), usage=Usage(input_tokens=100_000, output_tokens=0))
    async with ScriptedModel(Scenario([], default=costly)) as model:
        async with Gateway(lambda: credential("api_key", model.url)).running() as gateway:
            async with gateway.lease(lease(0.3)) as held:
                assert (await post(gateway, held.token)).status_code == 200
                refused = await post(gateway, held.token)
                assert refused.status_code == 403
                assert "budget" in refused.text
                assert held.usage.cost_usd == pytest.approx(0.4)
        assert len(model.requests) == 1


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/files", "/v1/messages/", "/v1/organizations", "/"])
async def test_it_carries_messages_and_nothing_else(path: str) -> None:
    async with ScriptedModel(Scenario([], default=Text("hello"))) as model:
        async with Gateway(lambda: credential("api_key", model.url)).running() as gateway:
            async with gateway.lease(lease()) as held, httpx2.AsyncClient(trust_env=False) as client:
                answer = await client.post(f"{gateway.url}{path}", json=BODY, headers={"x-api-key": held.token})
                assert answer.status_code == 403
        assert model.requests == []


async def test_many_requests_at_once_overshoot_by_one_response() -> None:
    costly = Say(Text("hello"), usage=Usage(input_tokens=10_000, output_tokens=0))
    async with ScriptedModel(Scenario([], default=costly)) as model:
        async with Gateway(lambda: credential("api_key", model.url)).running() as gateway:
            async with gateway.lease(lease(0.1)) as held:
                answers = await asyncio.gather(*(post(gateway, held.token) for _ in range(20)))
        assert sorted(a.status_code for a in answers) == [200] * 3 + [403] * 17
        assert held.usage.cost_usd == pytest.approx(0.12)


async def test_a_body_that_is_too_large_is_not_held() -> None:
    async with ScriptedModel(Scenario([], default=Text("hello"))) as model:
        async with Gateway(lambda: credential("api_key", model.url)).running() as gateway:
            async with gateway.lease(lease()) as held:
                answer = await post(gateway, held.token, {"model": "m", "pad": "x" * (MAX_REQUEST_BYTES + 1)})
                assert answer.status_code == 413
        assert model.requests == []


async def test_a_cut_stream_is_charged_as_an_estimate() -> None:
    async with ScriptedModel(Scenario([], default=Cut(after="start"))) as model:
        async with Gateway(lambda: credential("api_key", model.url)).running() as gateway:
            async with gateway.lease(lease()) as held:
                with pytest.raises(httpx2.HTTPError):
                    await post(gateway, held.token)
            assert held.usage.responses == 1
            assert held.usage.estimated_usd == held.usage.cost_usd > 0


async def test_a_service_out_of_reach_is_a_502() -> None:
    async with Gateway(lambda: credential("api_key", "http://127.0.0.1:9")).running() as gateway:
        async with gateway.lease(lease()) as held:
            answer = await post(gateway, held.token)
    assert answer.status_code == 502
    assert "the-secret" not in answer.text
    assert held.usage.cost_usd == 0


def stream(usage: dict[str, object], text: str) -> bytes:
    start = {"type": "message_start", "message": {"model": "claude-sonnet-5", "usage": {**usage, "output_tokens": 1}}}
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}}
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in (start, delta, end))


@given(cuts=st.lists(st.integers(0, 600), max_size=12), text=st.text(max_size=80))
def test_the_meter_reads_a_stream_however_it_is_chopped(cuts: list[int], text: str) -> None:
    body = stream({"input_tokens": 1_000, "cache_read_input_tokens": 20}, text)
    meter = Meter("claude-opus-5-5", streamed=True)
    places = sorted({0, len(body), *(c for c in cuts if c < len(body))})
    for begin, end in pairwise(places):
        meter.feed(body[begin:end])
    used = meter.usage()
    assert (used.input_tokens, used.output_tokens, used.cache_read_tokens) == (1_000, 50, 20)
    assert used.cost_usd == pytest.approx((1_000 * 2 + 50 * 10 + 20 * 0.2) / 1e6)
    assert used.estimated_usd == 0


@given(length=st.integers(0, 600))
def test_a_stream_that_stops_anywhere_is_never_free_and_never_exact(length: int) -> None:
    body = stream({"input_tokens": 1_000}, "some words")
    whole = body.index(b"message_delta")
    meter = Meter("claude-opus-5-5", streamed=True)
    meter.feed(body[: min(length, whole)])
    used = meter.usage(prompt_bytes=4_000)
    assert used.cost_usd == used.estimated_usd > 0


@pytest.mark.parametrize("model", sorted(set(MEASURED) & set(PRICES)))
def test_prices_are_those_of_the_bundled_claude_code(model: str) -> None:
    """``tests/demo/test_prices.py`` asks the binary; this holds our table to what it said."""
    ours, theirs = PRICES[model], MEASURED[model]
    assert (ours.input, ours.output, ours.cache_read) == (theirs.input, theirs.output, theirs.cache_read)
    assert (ours.cache_write_5m, ours.cache_write_1h) == (theirs.cache_write_5m, theirs.cache_write_1h)
    assert ours.long_prompt_factor == LONG_PROMPT_FACTOR.get(model, 1)
    if model in LONG_PROMPT_FACTOR:
        at, above = Tokens(input=LONG_PROMPT_TOKENS), Tokens(input=LONG_PROMPT_TOKENS + 1)
        assert cost_usd(model, above) > LONG_PROMPT_FACTOR[model] * cost_usd(model, at)


def test_a_dated_name_has_the_price_of_its_family_and_a_stranger_that_of_opus() -> None:
    tokens = Tokens(input=1_000_000)
    assert cost_usd("claude-haiku-4-5-20251001", tokens) == cost_usd("claude-haiku-4-5", tokens)
    assert cost_usd("some-other-model", tokens) == cost_usd("claude-opus-5-5", tokens)
