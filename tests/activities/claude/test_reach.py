"""Ways out through the model's service: each is refused, in every spelling, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.claude import reach
from activities.claude.reach import reaches_out
from tests.activities.claude.service import BODY, gateway_to, service

PICTURE = {"type": "image", "source": {"type": "url", "url": "https://out.example/?data"}}
WAYS_OUT: dict[str, dict[str, Any]] = {
    "search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "fetch": {"tools": [{"name": "Bash", "input_schema": {}}, {"type": "web_fetch_20250910", "name": "web_fetch"}]},
    "undated": {"tools": [{"type": "web_fetch", "name": "web_fetch"}]},
    "code": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
    "servers": {"mcp_servers": [{"type": "url", "url": "https://out.example", "name": "x"}]},
    "picture": {"messages": [{"role": "user", "content": [PICTURE]}]},
    "document in a result": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "tool_result", "content": [{**PICTURE, "type": "document"}]}],
            }
        ]
    },
    "system": {"system": [PICTURE]},
}
HONEST: dict[str, dict[str, Any]] = {
    "text about it": {"messages": [{"role": "user", "content": json.dumps(WAYS_OUT)}]},
    "own tools": {
        "tools": [
            {"name": "Fetch", "input_schema": {"properties": {"url": {"type": "string"}}}},
            {"type": "custom", "name": "x", "input_schema": {"properties": {"source": {"type": "url"}}}},
            {"type": "bash_20250124", "name": "bash"},
        ]
    },
    "a call with an address": {
        "messages": [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "name": "Fetch", "input": {"source": {"type": "url"}}}],
            }
        ]
    },
    "a picture of its own": {
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "aGk=", "url": 1}}]}
        ]
    },
    "coloured output": {"messages": [{"role": "user", "content": "\x1b[31mred\x1b[0m caf\u00e9"}]},
}


def bytes_of(more: dict[str, Any]) -> bytes:
    return json.dumps({**BODY, **more}).encode()


@pytest.mark.parametrize("way", WAYS_OUT)
def test_ways_out_are_seen(way: str) -> None:
    assert reaches_out(bytes_of(WAYS_OUT[way]))


@given(st.sampled_from(list(WAYS_OUT)), st.randoms(use_true_random=False))
def test_no_spelling_hides_a_way_out(way: str, random: Any) -> None:
    """Any letter of a JSON text may be written as its number."""
    plain = bytes_of(WAYS_OUT[way]).decode()
    parts, inside = [], False
    for character in plain:
        inside ^= character == '"'
        spelt = inside and character.isalpha() and random.random() < 0.3
        parts.append(f"\\u{ord(character):04x}" if spelt else character)
    spelling = "".join(parts)
    assert json.loads(spelling) == json.loads(plain)
    assert reaches_out(spelling.encode())


@pytest.mark.parametrize("way", ["search", "servers"])
def test_a_name_that_stands_twice_is_not_read_one_way_here_and_another_there(way: str) -> None:
    (name,) = WAYS_OUT[way]
    twice = bytes_of(WAYS_OUT[way])[:-1] + f', "{name}": []}}'.encode()
    assert reaches_out(twice)


def test_other_encodings_are_not_read() -> None:
    assert reaches_out(bytes_of(WAYS_OUT["search"]).decode().encode("utf-16"))


@pytest.mark.parametrize("what", HONEST)
def test_what_stays_inside_goes_through(what: str) -> None:
    assert reaches_out(bytes_of(HONEST[what])) is None


async def test_the_gateway_does_not_carry_them() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        headers = {"x-api-key": held.token}
        async with httpx2.AsyncClient(trust_env=False) as client:
            for way in WAYS_OUT.values():
                answer = await client.post(f"{gateway.url}/v1/messages", content=bytes_of(way), headers=headers)
                assert (answer.status_code, "does not carry" in answer.text) == (403, True)
            for what in HONEST.values():
                answer = await client.post(f"{gateway.url}/v1/messages", content=bytes_of(what), headers=headers)
                assert answer.status_code == 200
        assert len(there.asked) == len(HONEST)


@pytest.mark.parametrize("name", ["url", "mcp_servers", "mcp_toolset", "web_search", "web_fetch", "code_execution"])
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
def test_whatever_its_case_a_telling_name_has_the_request_read(name: str, spelled: Callable[[str], str]) -> None:
    assert reach._is_suspect(f'{{"{spelled(name)}"'.encode().lower())
    assert reach._is_suspect(b'"type":"web_search_20250305"')
    assert reach._is_suspect(b'"\\u0075rl"')
    assert not reach._is_suspect(b'{"text":"the \\"url\\" of report_20250305\\""}')
