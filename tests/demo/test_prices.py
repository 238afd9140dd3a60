"""The price table inside the bundled binary. A new version of it that charges otherwise fails here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from claude_agent_sdk import ClaudeSDKClient

from overnight.demo.reply import NO_USAGE, Rates, Reply, Say, Text, Usage
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from tests.demo.claude import ask_again, options
from tests.demo.prices import LONG_PROMPT_FACTOR, LONG_PROMPT_TOKENS, PRICES

# Far below what would make Claude Code compact a model with a context of 200,000 tokens.
TOKENS = 90_000


def billing(request: Request) -> Reply:
    if request.prompt.startswith("bill "):
        return Say(Text("ok"), usage=Usage(**{**_ZERO, **json.loads(request.prompt.removeprefix("bill "))}))
    # Changing the model asks the new one for a single token first.
    return Say(Text("ok"), usage=NO_USAGE)


_ZERO = {"input_tokens": 0, "output_tokens": 0}


class Till:
    """Bills tokens one reply at a time and reads what Claude Code adds to the costs of the conversation."""

    def __init__(self, client: ClaudeSDKClient) -> None:
        self._client = client
        self._total = 0.0

    async def switch(self, model: str) -> None:
        await self._client.set_model(model)

    async def costs(self, **tokens: int) -> float:
        """USD that a reply with ``tokens`` costs."""
        before = self._total
        self._total = (await ask_again(self._client, "bill " + json.dumps(tokens))).result.total_cost_usd or 0.0
        return self._total - before


@asynccontextmanager
async def till(home: Path) -> AsyncIterator[Till]:
    async with (
        ScriptedModel(Scenario(default=billing)) as model,
        ClaudeSDKClient(options(model.url, home)) as client,
    ):
        yield Till(client)


async def test_every_price_of_every_model(tmp_path: Path) -> None:
    async with till(tmp_path) as open_till:
        found = {}
        for model in PRICES:
            await open_till.switch(model)
            costs = [
                await open_till.costs(input_tokens=TOKENS),
                await open_till.costs(output_tokens=TOKENS),
                await open_till.costs(cache_read=TOKENS),
                await open_till.costs(cache_write_5m=TOKENS),
                await open_till.costs(cache_write_1h=TOKENS),
            ]
            found[model] = Rates(*(round(cost * 1_000_000 / TOKENS, 6) for cost in costs))
    assert found == PRICES


async def test_long_prompts(tmp_path: Path) -> None:
    async with till(tmp_path) as open_till:
        for model in ("claude-haiku-5-5", "claude-sonnet-5-5"):
            await open_till.switch(model)
            factor = LONG_PROMPT_FACTOR.get(model, 1)
            rates = PRICES[model]
            below = Usage(input_tokens=LONG_PROMPT_TOKENS - 2, output_tokens=10, cache_read=1, cache_write_5m=1)
            assert await open_till.costs(**vars(below)) == pytest.approx(below.cost_usd(rates))
            above = below + Usage(input_tokens=1, output_tokens=0)
            assert await open_till.costs(**vars(above)) == pytest.approx(factor * above.cost_usd(rates))
