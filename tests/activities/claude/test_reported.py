"""What one process used, by Claude Code's own report: alone, resumed, ended by a limit, cut off."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultError, query

from activities.claude.reported import Report, totals_before, used_since
from overnight.demo.reply import Hang, Reply, Say, Text, ToolUse, Usage
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from tests.demo.claude import options

BILLED = Usage(input_tokens=1_000, output_tokens=200, cache_read=5_000, cache_write_5m=300, cache_write_1h=70)
COST = (1_000 * 4 + 200 * 20 + 5_000 * 0.2 + 300 * 5 + 70 * 8) / 1e6


def script(request: Request) -> Reply:
    if request.prompt == "hang":
        return Hang(after="block", usage=BILLED)
    return (Say(ToolUse("Bash", {"command": "true"}), usage=BILLED), Say(Text("Done."), usage=BILLED))[request.turn % 2]


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(Scenario(default=script)) as there:
        yield there


class Conversation:
    """One conversation, each ``said`` in a process of its own."""

    def __init__(self, model: ScriptedModel, home: Path) -> None:
        self.id = str(uuid4())
        self._config = home / "config"
        self._options = options(model.url, home, tools=["Bash"])
        self._begun = False

    def asked(self, **more: Any) -> ClaudeAgentOptions:
        named: dict[str, Any] = {"resume": self.id} if self._begun else {"session_id": self.id}
        self._begun = True
        return replace(self._options, permission_mode="bypassPermissions", **named, **more)

    def report(self) -> Report:
        return Report(totals_before(self._config, self.id) if self._begun else None)

    async def said(self, **more: Any) -> Report:
        report = self.report()
        with suppress(ResultError):
            async for message in query(prompt="go", options=self.asked(**more)):
                report.hear(message)
        return report


async def test_each_process_of_a_resumed_conversation_is_told_apart(model: ScriptedModel, tmp_path: Path) -> None:
    conversation = Conversation(model, tmp_path)
    for _ in range(3):
        used = (await conversation.said()).usage()
        assert used.cost_usd == pytest.approx(2 * COST)
        assert (used.responses, used.calls, used.estimated_usd) == (2, 0, 0)
        assert (used.input_tokens, used.output_tokens) == (2_000, 400)
        assert (used.cache_read_tokens, used.cache_write_tokens) == (10_000, 740)


async def test_a_limit_of_turns_or_money_is_told_too(model: ScriptedModel, tmp_path: Path) -> None:
    conversation = Conversation(model, tmp_path)
    await conversation.said()
    assert (await conversation.said(max_turns=1)).usage().cost_usd == pytest.approx(COST)
    assert (await conversation.said(max_budget_usd=0.0001)).usage().cost_usd == pytest.approx(COST)
    assert (await conversation.said()).usage().cost_usd > 0


async def test_what_was_cut_off_is_an_estimate_and_the_next_process_is_not_charged_for_it(
    model: ScriptedModel, tmp_path: Path
) -> None:
    conversation = Conversation(model, tmp_path)
    await conversation.said()
    report = conversation.report()
    async with ClaudeSDKClient(conversation.asked()) as client:
        await client.query("go")
        async for message in client.receive_messages():
            report.hear(message)
            if report.usage().responses:
                break
    used = report.usage()
    assert used.estimated_usd == used.cost_usd > 0
    assert used.input_tokens == 1_000
    assert (await conversation.said()).usage().cost_usd <= 2 * COST + 1e-9


async def test_an_interrupted_answer_is_an_estimate(model: ScriptedModel, tmp_path: Path) -> None:
    conversation = Conversation(model, tmp_path)
    report = conversation.report()
    async with ClaudeSDKClient(conversation.asked()) as client:
        await client.query("hang")
        while not model.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await client.interrupt()
        async for message in client.receive_response():
            report.hear(message)
    used = report.usage()
    assert used.input_tokens == 1_000
    assert used.cost_usd == pytest.approx(used.estimated_usd, rel=0.1), "it was cut off, so that part is a guess"


def test_a_model_without_a_price_counts_as_an_estimate() -> None:
    now: dict[str, dict[str, Any]] = {
        "stranger": {"inputTokens": 10, "costUSD": 0.5, "costBasis": "unknown"},
        "known": {"costUSD": 0.25},
    }
    used = used_since(now, {})
    assert (used.cost_usd, used.estimated_usd, used.input_tokens) == (0.75, 0.5, 10)


def test_totals_that_went_back_count_as_they_stand() -> None:
    before = {"m": {"inputTokens": 100, "costUSD": 5.0}}
    assert used_since({"m": {"inputTokens": 40, "costUSD": 2.0}}, before).cost_usd == 2.0


@pytest.mark.parametrize("value", [None, "5", True, -1, float("nan"), float("inf"), 1e300, [], {}])
def test_what_is_no_figure_counts_nothing(value: object) -> None:
    used = used_since({"m": {"inputTokens": value, "costUSD": value}}, {"m": {"costUSD": value}})
    assert (used.cost_usd, used.input_tokens) == (0, 0)


# The transcript lies where the agent can write.


def state(cost: float) -> str:
    return json.dumps({"type": "cost-state", "totalCostUSD": cost, "modelUsage": {"m": {"costUSD": cost}}})


def transcript(config: Path, *lines: str) -> Path:
    path = config / "projects" / "-workspace" / "c.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    return path


def test_the_last_totals_of_a_transcript_count(tmp_path: Path) -> None:
    quoted = json.dumps({"type": "user", "text": state(9)})
    transcript(tmp_path, state(1), state(2), quoted, '{"type": "cost-state"', '{"type":"cost-state","modelUsage":7}')
    assert totals_before(tmp_path, "c") == {"m": {"costUSD": 2}}
    assert totals_before(tmp_path, "d") == {}
    assert totals_before(tmp_path / "absent", "c") == {}


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    path = transcript(tmp_path, state(1))
    path.unlink()
    os.mkfifo(path)
    assert totals_before(tmp_path, "c") == {}
    path.unlink()
    other = tmp_path / "elsewhere"
    other.write_text(state(3) + "\n")
    path.symlink_to(other)
    assert totals_before(tmp_path, "c") == {}


def test_lines_without_an_end_are_read_in_pieces(tmp_path: Path) -> None:
    transcript(tmp_path, state(1), "x" * 5_000_000, state(2))
    assert totals_before(tmp_path, "c") == {"m": {"costUSD": 2}}
