"""Every tool in every way and era: success, unknown argument, unknown id, wrong state, over a limit, bad cursor.

What is tried comes from the tools' own schemas as on record, so that a new tool or argument is tried, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from mcp import Client

from overnight.demo.reply import Hang
from tests.mcp.conftest import Place, call, patiently, text_of
from tests.mcp.matrix import CASES, UNKNOWN, Ground, beyond, names_a_session, tools, unknown
from tests.mcp.reaches import REACHES, Clients, Reach
from tests.sessions.plays import play

TOOLS = tools()
COMMON = {"session_id", "status", "next"}
CURSORS = {"cursor", "after"}

Grounds = Callable[[Reach], Awaitable[tuple[Client, Ground]]]


@pytest_asyncio.fixture(scope="module")
async def grounds(place: Place, done: str) -> AsyncIterator[Grounds]:
    """Clients, each with a session of its own whose plan waits for a person, and one session for all that is done."""
    clients = Clients(place)
    known: dict[Reach, Ground] = {}

    async def get(reach: Reach) -> tuple[Client, Ground]:
        client = await clients.get(reach)
        if reach not in known:
            ground = Ground(done=done, held=place.name(play(Hang())))
            await call(client, "claude_autonomous", **CASES["claude_autonomous"].right(ground))
            waited = await call(client, "claude_autonomous_wait", session_ids=[ground.held], timeout_seconds=50)
            assert waited["status"] == "waiting_approval", waited
            known[reach] = ground
        return client, known[reach]

    yield get
    async with place.client() as client:
        await asyncio.gather(
            *(call(client, "claude_autonomous_cancel", session_id=ground.held) for ground in known.values())
        )
    await clients.close()


async def not_done(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that must refuse."""
    result = await patiently(client, tool, arguments)
    said = text_of(result)
    assert result.is_error, said
    assert "Traceback" not in said
    assert "errors.pydantic.dev" not in said
    return said


def test_every_tool_is_in_the_matrix() -> None:
    assert set(CASES) == set(TOOLS), "a tool without cases, or cases without a tool: see tests/mcp/matrix.py"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_acts_has_a_wrong_state_or_says_why_not(tool: str) -> None:
    case = CASES[tool]
    acts = not TOOLS[tool]["annotations"]["readOnlyHint"]
    assert bool(case.wrong or case.harmless) == acts
    assert not (case.wrong and case.harmless)


@pytest.mark.parametrize("reach", REACHES, ids=str)
async def test_all_see_the_tools_on_record(grounds: Grounds, reach: Reach) -> None:
    client, _ = await grounds(reach)
    listed = await client.list_tools()
    assert [tool.name for tool in listed.tools] == list(TOOLS)


@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize("tool", CASES)
async def test_success(grounds: Grounds, reach: Reach, tool: str) -> None:
    client, ground = await grounds(reach)
    case = CASES[tool]
    result = await patiently(client, tool, dict(case.right(ground)))
    if (words := case.not_over.get(str(reach))) is not None:
        assert result.is_error
        assert words in text_of(result)
        return
    assert not result.is_error, text_of(result)
    answer = result.structured_content
    assert isinstance(answer, dict)
    assert json.loads(text_of(result)) == answer, "a client that reads text sees the same"
    assert len(text_of(result)) <= 40_000
    promised = COMMON & set(TOOLS[tool]["outputSchema"]["properties"])
    assert "next" in promised
    assert all(answer[name] for name in promised)
    assert {name: answer[name] for name in case.holds} == case.holds


@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize("tool", TOOLS)
async def test_an_unknown_argument(grounds: Grounds, reach: Reach, tool: str) -> None:
    client, ground = await grounds(reach)
    said = await not_done(client, tool, **{**CASES[tool].right(ground), "colour": "red"})
    assert said.startswith("Unknown argument 'colour'")
    assert f"{tool} takes: " in said


@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize("tool", [name for name, tool in TOOLS.items() if names_a_session(tool)])
async def test_an_unknown_id(grounds: Grounds, reach: Reach, tool: str) -> None:
    client, ground = await grounds(reach)
    said = await not_done(client, tool, **unknown(TOOLS[tool], CASES[tool].right(ground)))
    assert f"there is no session '{UNKNOWN}'" in said
    assert "; the newest are: " in said


@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize(
    ("tool", "number"), [(tool, number) for tool, case in CASES.items() for number in range(len(case.wrong))]
)
async def test_a_wrong_state(grounds: Grounds, reach: Reach, tool: str, number: int) -> None:
    client, ground = await grounds(reach)
    wrong = CASES[tool].wrong[number]
    said = await not_done(client, tool, **{"session_id": ground.done, **wrong.arguments})
    assert wrong.words in said


@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize("tool", TOOLS)
async def test_over_a_limit(grounds: Grounds, reach: Reach, tool: str) -> None:
    client, ground = await grounds(reach)
    for name, value in beyond(TOOLS[tool]):
        said = await not_done(client, tool, **{**CASES[tool].right(ground), name: value})
        assert said.startswith(f"Bad arguments for {tool}:"), said
        assert f"- {name}: " in said or f"- {name}." in said
        assert len(said) < 600


@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize(
    ("tool", "name"),
    [(tool, name) for tool in TOOLS for name in CURSORS & set(TOOLS[tool]["inputSchema"]["properties"])],
)
async def test_a_bad_cursor(grounds: Grounds, reach: Reach, tool: str, name: str) -> None:
    client, ground = await grounds(reach)
    for cursor in ("no-such-cursor", "eyJhIjoxfQ==", "-1"):
        said = await not_done(client, tool, **{**CASES[tool].right(ground), name: cursor})
        assert name in said
