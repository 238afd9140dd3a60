"""What clients see before any call: tools, schemas, hints, instructions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client

import mcp_server
from overnight.base.settings import Settings
from overnight.mcp.engine import Engine
from tests.mcp import snapshot
from tests.mcp.conftest import MODES, Mode

NAMES = {
    f"claude_autonomous{verb}"
    for verb in ("", "_status", "_wait", "_list", "_control", "_steer", "_approve", "_cancel", "_events", "_diff")
} | {"claude_knowledge_search", "claude_learn_from_session"}


async def listed(mode: Mode = "auto") -> list[dict[str, Any]]:
    async with Client(mcp_server.build(Engine(Settings())), mode=mode) as client:
        answer = await client.list_tools()
    return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in answer.tools]


async def test_the_tools_are_those_on_record() -> None:
    assert await snapshot.tools() == snapshot.FILE.read_text(), (
        "what clients see has changed; if that is meant: python -m tests.mcp.snapshot"
    )


@pytest.mark.parametrize("mode", MODES)
async def test_both_eras_see_the_same(mode: Mode) -> None:
    assert await listed(mode) == json.loads(snapshot.FILE.read_text())


async def test_names_and_size_suit_every_client() -> None:
    tools = await listed()
    assert {tool["name"] for tool in tools} == NAMES
    assert all(len("overnight" + name) <= 60 and re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in NAMES)
    # As it goes over the wire.
    assert len(json.dumps({"tools": tools}, ensure_ascii=False, separators=(",", ":")).encode()) < 20_000


async def test_every_hint_is_explicit() -> None:
    hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    for tool in await listed():
        assert set(tool["annotations"]) == hints, tool["name"]
        assert tool["title"]


async def test_inputs_are_flat_described_and_portable() -> None:
    for tool in await listed():
        schema = tool["inputSchema"]
        assert schema["type"] == "object"
        assert not set(keys(schema)) & {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title"}, tool["name"]
        for name, argument in schema["properties"].items():
            assert argument["description"], f"{tool['name']}.{name}"
            bounded = {"maxLength", "maximum", "maxItems", "enum", "pattern"} & set(argument)
            assert bounded or argument["type"] == "boolean", f"{tool['name']}.{name}"


async def test_only_what_every_conversation_needs_is_always_loaded() -> None:
    always = {tool["name"] for tool in await listed() if tool.get("_meta", {}).get("anthropic/alwaysLoad")}
    assert always == {"claude_autonomous", "claude_autonomous_status", "claude_autonomous_wait"}


async def test_the_seeds_parameters_are_there() -> None:
    (start,) = [tool for tool in await listed() if tool["name"] == "claude_autonomous"]
    arguments = start["inputSchema"]["properties"]
    assert start["inputSchema"]["required"] == ["goal"]
    assert {name: argument["default"] for name, argument in arguments.items() if "default" in argument} == {
        "success_criteria": [],
        "recovery_strategies": [],
        "mode": "autonomous",
        "max_iterations": 50,
        "success_threshold": 0.95,
        "max_time_minutes": 60,
        "on_limit": "pause",
        "on_usage_limit": "wait",
        "allow_hosts": [],
        "auto_deploy": False,
        "protected_paths": [],
        "may_change": [],
        "held_out_tells": "names",
    }


@pytest.mark.parametrize("mode", MODES)
async def test_the_server_says_how_to_use_it(mode: Mode) -> None:
    async with Client(mcp_server.build(Engine(Settings())), mode=mode) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.title) == ("overnight", "Overnight")
        assert client.server_info.version
        said = client.instructions or ""
    assert 0 < len(said) <= 1_000
    for word in ("claude_autonomous_wait", "claude_autonomous_list", "`next`", "survive", "overnight://sessions"):
        assert word in said


def keys(schema: Any) -> Iterator[str]:
    """Keywords of a JSON schema, names of properties left out."""
    if isinstance(schema, list):
        for one in schema:
            yield from keys(one)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            yield key
            yield from keys(list(value.values()) if key in {"properties", "$defs"} else value)
