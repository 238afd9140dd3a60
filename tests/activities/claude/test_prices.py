"""Contract tests with the bundled Claude Code: what it believes that a response costs, the meter says too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import ClaudeSDKClient, query

from activities.claude.meter import Meter
from activities.claude.prices import PRICES, Tokens, cost_usd, price_of
from tests.activities.claude.service import Asked, events, gateway_to, http, service
from tests.demo.claude import ask_again, options

DATED = {
    "claude-3-5-haiku": "claude-3-5-haiku-20241022",
    "claude-3-5-sonnet": "claude-3-5-sonnet-20241022",
    "claude-3-7-sonnet": "claude-3-7-sonnet-20250219",
}
MANY = 90_000
CACHED = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": MANY}
USES: list[dict[str, Any]] = [
    {"input_tokens": MANY},
    {"output_tokens": MANY},
    {"cache_read_input_tokens": MANY},
    {"cache_creation_input_tokens": MANY},
    {"cache_creation_input_tokens": MANY, "cache_creation": CACHED},
    {"input_tokens": MANY, "output_tokens": 500, "speed": "fast"},
    {"input_tokens": 150_000, "cache_read_input_tokens": 7},
    {"output_tokens": 10, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3}},
    {"input_tokens": MANY, "inference_geo": "us", "speed": "fast", "server_tool_use": {"web_search_requests": 1}},
    {"input_tokens": MANY, "inference_geo": "global", "speed": "standard", "service_tier": "priority"},
]
NOTHING = {"input_tokens": 0, "output_tokens": 0}


async def bills(asked: Asked) -> None:
    """Bills what the last words of the user say."""
    body = json.loads(asked.body)
    said = [text for message in body["messages"] if message["role"] == "user" for text in texts(message["content"])]
    wanted = [text for text in said if text.startswith("bill ")]
    usage = {**NOTHING, **(json.loads(wanted[-1][5:]) if wanted and body.get("stream") else {})}
    if body.get("stream"):
        await asked.say(http(b"".join(events(usage, model=body["model"]))))
    else:  # changing the model asks the new one for a single token
        told = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "stop_reason": "end_turn"}
        whole = {**told, "content": [{"type": "text", "text": "ok"}], "usage": usage}
        await asked.say(http(json.dumps(whole).encode(), kind="application/json"))


def texts(content: Any) -> list[str]:
    return [content] if isinstance(content, str) else [str(block.get("text", "")) for block in content]


def metered(model: str, usage: dict[str, Any]) -> float:
    meter = Meter(streamed=True)
    for event in events({**NOTHING, **usage}, model=model):
        meter.feed(event)
    return meter.usage().cost_usd


@pytest.mark.chaos
async def test_every_price_of_every_model_is_that_of_the_binary(tmp_path: Path) -> None:
    async with service(bills) as there, ClaudeSDKClient(options(there.url, tmp_path)) as client:
        total = 0.0
        for family in PRICES:
            model = DATED.get(family, family)
            await client.set_model(model)
            for usage in [NOTHING, *USES]:
                before = total
                total = (await ask_again(client, "bill " + json.dumps(usage))).result.total_cost_usd or 0.0
                if usage is not NOTHING:  # which takes in what the change itself cost
                    assert total - before == pytest.approx(metered(model, usage), abs=1e-9), f"{model}: {usage}"


async def test_what_the_gateway_meters_is_what_claude_code_counts(tmp_path: Path) -> None:
    searched = {"web_search_requests": 3, "web_fetch_requests": 0}
    usage = {
        "input_tokens": 1_234,
        "output_tokens": 321,
        "cache_read_input_tokens": 5_678,
        "cache_creation_input_tokens": 100,
        "inference_geo": "us",
        "server_tool_use": searched,
        "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    }
    async with service(bills) as there, gateway_to(there.url) as (gateway, held):
        asked = options(gateway.url, tmp_path, env={"ANTHROPIC_API_KEY": held.token})
        said = [message async for message in query(prompt="bill " + json.dumps(usage), options=asked)]
        assert held.usage.cost_usd == pytest.approx(getattr(said[-1], "total_cost_usd", None))
        assert held.usage.estimated_usd == 0


def test_names_of_other_services_have_the_price_of_their_family() -> None:
    assert price_of("us.anthropic.claude-haiku-4-5-20251001-v1:0") is PRICES["claude-haiku-4-5"]
    assert price_of("anthropic/claude-sonnet-5-5") is PRICES["claude-sonnet-5-5"]
    assert price_of("claude-opus-4-1@20250805") is PRICES["claude-opus-4"]


def test_factors_are_of_tokens_and_not_of_searches() -> None:
    plain = Tokens(input=1_000, searches=2)
    dear = cost_usd("claude-opus-5-5", replace(plain, us_only=True, fast=True))
    assert dear == pytest.approx(1_000 * 4 * 1.1 * 2 / 1e6 + 0.02)
