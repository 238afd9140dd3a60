"""Callers of one server over HTTP hear nothing of each other's sessions, by none of the ways that there are to hear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

import mcp_server
from overnight.mcp import following, http
from tests.mcp.conftest import MODES, Mode, Place, call, text_of, until
from tests.mcp.knows_tasks import KnowsTasks, ask, begun
from tests.mcp.over_http import Served, given, served, token_of
from tests.mcp.test_changes import Counting, Ear, a_session
from tests.mcp.test_owners import listed
from tests.sessions.plays import GOAL

ROOT = "overnight://sessions"
ALL = "read+control+approve"
ADA, BOB = token_of("ada", ALL), token_of("bob", ALL)
LOOKS, ACTS = token_of("ada", "read"), token_of("ada", "control")
TOKENS = given(("ada", ALL), ("bob", ALL), ("ada", "read"), ("ada", "control"))

pytestmark = pytest.mark.filterwarnings("ignore:resources/:mcp.MCPDeprecationWarning")


class Two(NamedTuple):
    """A server, what it looks at, and a session of each of two owners."""

    up: Served
    engine: Counting
    hers: str
    his: str


@pytest_asyncio.fixture(scope="module")
async def two(place: Place) -> AsyncIterator[Two]:
    settings = place.settings.model_copy(update={"mcp_tokens": TOKENS})
    engine = Counting(settings)
    async with served(settings, mcp_server.build(engine, http.request_state(settings))) as up:
        async with up.client(ADA) as ada, up.client(BOB) as bob:
            hers, his = await a_session(place, ada), await a_session(place, bob)
            await listed(ada, hers)
            await listed(bob, his)
        yield Two(up, engine, hers, his)
        for token, sid in ((ADA, hers), (BOB, his)):
            async with up.client(token) as client:
                await call(client, "claude_autonomous_cancel", session_id=sid)


async def error_of(client: Client, uri: str) -> str:
    with pytest.raises(MCPError) as raised:
        await client.read_resource(uri)
    return str(raised.value)


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_is_listed_read_or_suggested_of_anothers(two: Two, mode: Mode) -> None:
    async with two.up.client(BOB, mode) as bob:
        seen = [str(one.uri) for one in (await bob.list_resources()).resources]
        assert f"{ROOT}/{two.his}" in seen
        seen.append(str((await bob.read_resource(ROOT)).contents))
        for ref in (ResourceTemplateReference(uri=f"{ROOT}/{{session_id}}"), PromptReference(name="review")):
            for typed in ("", two.hers, GOAL[:12]):
                found = (await bob.complete(ref, {"name": "session_id", "value": typed})).completion
                assert (two.his in found.values) == (typed != two.hers)
                assert found.total == len(found.values), "the number tells how many there are"
                seen += found.values
        for part in ("", "/report", "/plan", "/events", "/diff"):
            foreign = await error_of(bob, f"{ROOT}/{two.hers}{part}")
            assert foreign.replace(two.hers, "never-was") == await error_of(bob, f"{ROOT}/never-was{part}")
            assert "There is no session" in foreign
            seen.append(foreign.replace(f"no session {two.hers!r}", ""))
        cursor = None
        while True:
            page = await call(bob, "claude_autonomous_list", limit=1, cursor=cursor)
            seen += [row["session_id"] for row in page["sessions"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert (await call(bob, "claude_autonomous_list", query=two.hers))["sessions"] == []
    assert two.his in seen
    assert not [one for one in seen if two.hers in one]


async def test_a_cursor_of_anothers_list_leads_to_nothing_of_it(two: Two, place: Place) -> None:
    async with two.up.client(ADA) as ada, two.up.client(BOB) as bob:
        newer = await a_session(place, ada)
        await listed(ada, newer)
        cursor = (await call(ada, "claude_autonomous_list", limit=1))["next_cursor"]
        assert cursor is not None
        rows = (await call(bob, "claude_autonomous_list", cursor=cursor))["sessions"]
        assert not {two.hers, newer} & {row["session_id"] for row in rows}
        await call(ada, "claude_autonomous_cancel", session_id=newer)


async def test_the_task_of_another_is_no_task(two: Two) -> None:
    approve = {"plan": {"action": "accept", "content": {"decision": "approve"}}}
    async with (
        two.up.client(ADA, extensions=[KnowsTasks()]) as ada,
        two.up.client(BOB, extensions=[KnowsTasks()]) as bob,
    ):
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            said = []
            for task_id in (two.hers, "never-was"):
                with pytest.raises(MCPError, match="Task not found") as told:
                    await ask(bob, method, task_id, approve if method == "tasks/update" else None)
                said.append((told.value.code, str(told.value)))
            assert said[0] == said[1], f"{method} tells that it is there"
        taken = await bob.call_tool("claude_autonomous", {"goal": GOAL, "session_id": two.hers})
        assert text_of(taken) == f"session_id: {two.hers} is taken; choose another id or leave it out"
        assert (await begun(ada, goal=GOAL, session_id=two.hers))["taskId"] == two.hers
        assert (await ask(ada, "tasks/get", two.hers))["status"] == "working"


async def test_changes_are_looked_for_and_told_within_the_listeners_reach(
    two: Two, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "LIST_SECONDS"):
        monkeypatch.setattr(following, name, 0.1)
    up, looks = two.up, two.engine.looks_of
    async with up.client(ADA) as one, up.client(LOOKS) as another, up.client(BOB) as third, up.client(ACTS) as fourth:
        ada, looking, bob = (Ear(client, two.engine, "auto") for client in (one, another, third))
        with pytest.raises(MCPError, match="subscriptions/listen needs the scope 'read'"):
            async with fourth.listen(resource_subscriptions=[ROOT]):
                pytest.fail("it listens")
        sid, his = await a_session(place, ada.client), await a_session(place, bob.client)
        await listed(bob.client, his)
        looks.clear()
        status = f"{ROOT}/{sid}"
        for ear in (bob, ada, looking):  # the one that may see it does not come first
            await ear.listen(status, ROOT, f"{ROOT}/{his}", lists=True)
        await call(ada.client, "claude_autonomous_cancel", session_id=sid)
        for ear in (ada, looking):
            for what in (status, ROOT, "list"):
                await ear.hears(what)
        before = looks["bob"]
        await until(lambda: looks["bob"] > before + 1, what="looks at Temporal for bob")
        assert bob.heard == []
        await call(bob.client, "claude_autonomous_cancel", session_id=his)
        for what in (f"{ROOT}/{his}", ROOT, "list"):
            await bob.hears(what)
        assert status not in bob.heard
        before = looks["ada"]
        await until(lambda: looks["ada"] > before + 1, what="looks at Temporal for ada")
        assert f"{ROOT}/{his}" not in ada.heard
        assert set(looks) == {"ada", "bob"}, "changes were looked for with another reach than the listeners'"
        for ear in (bob, ada, looking):
            await ear.stop()


async def test_an_older_client_is_told_that_nothing_can_be_told(two: Two) -> None:
    async with two.up.client(BOB, "legacy") as bob:
        for sid in (two.his, two.hers):
            with pytest.raises(MCPError, match="changes cannot be told on it"):
                await bob.subscribe_resource(f"{ROOT}/{sid}")
