"""The meter reads whatever a service sends, and nothing that it sends breaks it or makes it slow."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.claude.meter import Meter
from tests.activities.claude.service import COST, USAGE, events

NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5)
ANYTHING = st.recursive(
    NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "usage", "message", "delta", "text", "model", "input_tokens", "output_tokens", "cache_creation",
         "cache_creation_input_tokens", "ephemeral_1h_input_tokens", "server_tool_use", "web_search_requests", "speed"]
    ), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(parts=st.lists(st.tuples(st.sampled_from(["message_start", "message_delta", "content_block_delta"]), ANYTHING)))
def test_whatever_it_is_told_it_has_an_answer(parts: list[tuple[str, Any]]) -> None:
    streamed, whole = Meter(streamed=True), Meter(streamed=False)
    for kind, value in parts:
        event = {**(value if isinstance(value, dict) else {}), "type": kind, "usage": value, "message": value}
        event["delta"] = value
        streamed.feed(f"data: {json.dumps(event)}\n".encode())
    whole.feed(json.dumps({"type": "message", "usage": [part for _, part in parts]}).encode())
    for meter in (streamed, whole):
        used = meter.usage(prompt_bytes=400)
        assert used.responses == 1
        assert 0 <= used.estimated_usd <= used.cost_usd


@given(data=st.binary(max_size=300))
def test_noise_is_no_figure(data: bytes) -> None:
    meter = Meter(streamed=True)
    meter.feed(b"data: " + data + b"\n")
    assert meter.usage(prompt_bytes=4_000).cost_usd == pytest.approx(1_000 * 4 / 1e6)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_deep_nest_is_no_figure(streamed: bool) -> None:
    meter = Meter(streamed=streamed)
    meter.feed(b"data: " + b"[" * 200_000 + b"\n")
    meter.feed(b"".join(events()) if streamed else b"")
    assert meter.usage().cost_usd == pytest.approx(COST if streamed else 0)


def test_a_long_line_in_small_pieces_takes_no_longer_than_it_must() -> None:
    line = b"data: " + b"x" * 7_000_000
    meter = Meter(streamed=True)
    began = time.perf_counter()
    for start in range(0, len(line), 1_400):
        meter.feed(line[start : start + 1_400])
    meter.feed(b"\n" + b"".join(events()))
    assert time.perf_counter() - began < 1
    assert meter.usage().cost_usd == pytest.approx(COST)


def test_a_line_that_is_too_long_is_skipped_whole_and_what_follows_is_read() -> None:
    meter = Meter(streamed=True)
    for _ in range(20):
        meter.feed(b"data: " + b"x" * 1_000_000)
    meter.feed(b'data: {"type": "message_delta", "usage": {"output_tokens": 900000}}\n')
    meter.feed(b"".join(events()))
    used = meter.usage()
    assert used.output_tokens == USAGE["output_tokens"]
    assert used.cost_usd == pytest.approx(COST)


def test_lines_may_end_as_they_like() -> None:
    meter = Meter(streamed=True)
    meter.feed(b"".join(events()).replace(b"\n", b"\r\n"))
    assert meter.usage().cost_usd == pytest.approx(COST)


SILENT = [None, {}, {"service_tier": "standard"}]


@pytest.mark.parametrize("usage", SILENT)
def test_a_service_that_gives_no_figures_costs_a_marked_estimate(usage: dict[str, Any] | None) -> None:
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": usage}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x" * 400}},
        {"type": "message_delta", "usage": usage},
    ]
    meter = Meter(streamed=True)
    meter.feed(b"".join(f"data: {json.dumps(event)}\n".encode() for event in told))
    for _ in range(2):
        used = meter.usage(prompt_bytes=4_000)
        assert (used.input_tokens, used.output_tokens) == (1_000, 100)
        assert used.estimated_usd == used.cost_usd == pytest.approx((1_000 * 4 + 100 * 20) / 1e6)
    assert meter.is_final


@pytest.mark.parametrize("usage", SILENT)
def test_a_whole_answer_without_figures_costs_a_marked_estimate(usage: dict[str, Any] | None) -> None:
    body = {
        "type": "message",
        "model": "claude-opus-5-5",
        "usage": usage,
        "content": [{"type": "text", "text": "x" * 400}],
    }
    meter = Meter(streamed=False)
    meter.feed(json.dumps(body).encode())
    for _ in range(2):
        used = meter.usage(prompt_bytes=4_000)
        assert used.input_tokens == 1_000
        assert 100 <= used.output_tokens <= 160
        assert used.estimated_usd == used.cost_usd > 1_000 * 4 / 1e6


def test_what_is_told_of_one_side_is_exact_and_the_other_is_guessed() -> None:
    only_output, only_prompt = Meter("claude-opus-5-5", streamed=True), Meter("claude-opus-5-5", streamed=True)
    only_output.feed(b'data: {"type": "message_start", "message": {}}\n')
    only_output.feed(b'data: {"type": "message_delta", "usage": {"output_tokens": 7}}\n')
    only_prompt.feed(b"".join(events({"input_tokens": 30}, text="x" * 400)))
    told, guessed = only_output.usage(prompt_bytes=4_000), only_prompt.usage(prompt_bytes=4_000)
    assert (told.input_tokens, told.output_tokens) == (1_000, 7)
    assert (guessed.input_tokens, guessed.output_tokens) == (30, 100)
    assert told.estimated_usd > 0 < guessed.estimated_usd
