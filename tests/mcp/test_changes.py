"""Change events: told to clients of both eras while they listen, through a server's death, and to nobody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.types import Resource, ResourceListChangedNotification, ResourceUpdatedNotification

import mcp_server
from overnight import stack
from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.reply import Hang
from overnight.mcp import callers, following
from overnight.mcp.engine import Engine
from overnight.mcp.server import OvernightServer
from overnight.mcp.watching import Watching
from overnight.reach import Reach
from tests.mcp.conftest import MODES, NEWEST_FIRST, Mode, Place, call, kill, until
from tests.sessions.plays import GOAL, WRITES_IT, by_iteration, play

ROOT = "overnight://sessions"

pytestmark = pytest.mark.filterwarnings("ignore:resources/:mcp.MCPDeprecationWarning")


class Counting(Engine):
    """An engine that counts how often it is looked at, and for which owner."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.looks_of: Counter[str | None] = Counter()

    @property
    def looks(self) -> int:
        return self.looks_of.total()

    async def looking(self) -> Sessions | None:
        self.looks_of[callers.current().reach.owner] += 1
        return await super().looking()


class Ear:
    """A client that listens, whichever way its protocol has."""

    def __init__(self, client: Client, engine: Counting, mode: Mode) -> None:
        self.client = client
        self.engine = engine
        self.mode = mode
        self.heard: list[str] = []
        self._streams: list[asyncio.Task[None]] = []

    async def take(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.heard.append(str(message.params.uri))
        elif isinstance(message, ResourceListChangedNotification):
            self.heard.append("list")

    async def listen(self, *uris: str, lists: bool = False) -> None:
        if self.mode == "legacy":
            for uri in uris:
                await self.client.subscribe_resource(uri)
            if lists:
                await self.client.list_resources()
            return
        ready = asyncio.Event()

        async def stream() -> None:
            async with self.client.listen(resources_list_changed=lists, resource_subscriptions=uris) as events:
                ready.set()
                async for event in events:
                    if isinstance(event, ResourceUpdated):
                        self.heard.append(event.uri)
                    elif isinstance(event, ResourcesListChanged):
                        self.heard.append("list")

        self._streams.append(asyncio.create_task(stream()))
        await asyncio.wait_for(ready.wait(), 120)

    async def stop(self, *uris: str) -> None:
        for uri in uris if self.mode == "legacy" else ():
            await self.client.unsubscribe_resource(uri)
        for one in self._streams:
            one.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        self._streams.clear()

    async def hears(self, what: str, *, more_than: int = 0, seconds: float = 120) -> None:
        await until(lambda: self.heard.count(what) > more_than, seconds=seconds, what=f"word of {what}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert following.LOOK_SECONDS >= 1, "no busy polling"
    for name in ("LOOK_SECONDS", "LIST_SECONDS"):
        monkeypatch.setattr(following, name, 0.1)


@asynccontextmanager
async def an_ear(place: Place, mode: Mode) -> AsyncIterator[Ear]:
    engine = Counting(place.settings)
    async with hearing(mcp_server.build(engine), engine, mode) as ear:
        yield ear


@asynccontextmanager
async def hearing(server: OvernightServer | StdioServerParameters, engine: Counting, mode: Mode) -> AsyncIterator[Ear]:
    ears: list[Ear] = []

    async def take(message: Any) -> None:
        for ear in ears:
            await ear.take(message)

    async with Client(server, mode=mode, message_handler=take) as client:
        ears.append(Ear(client, engine, mode))
        try:
            yield ears[0]
        finally:
            await ears[0].stop()


async def a_session(place: Place, client: Client) -> str:
    """A session that waits for a model that says nothing."""
    sid = place.name(play(by_iteration(WRITES_IT), plan=Hang()))
    await call(client, "claude_autonomous", goal=GOAL, session_id=sid)
    await until(lambda: place.asked(sid, "plan"), what="the plan's first request")
    return sid


async def quiet(ear: Ear) -> int:
    """How often Temporal was looked at, once nobody looks any more."""
    before = -1
    while before != ear.engine.looks:
        before = ear.engine.looks
        await asyncio.sleep(0.5)
    return before


@pytest.mark.parametrize("mode", MODES)
async def test_who_listens_is_told_of_what_happens_and_of_nothing_else(place: Place, mode: Mode) -> None:
    async with an_ear(place, mode) as ear:
        sid, other = await a_session(place, ear.client), await a_session(place, ear.client)
        status, events, plan = f"{ROOT}/{sid}", f"{ROOT}/{sid}/events?after=3", f"{ROOT}/{sid}/plan"
        await ear.listen(status, events, plan)
        await call(ear.client, "claude_autonomous_steer", session_id=sid, guidance="Mind the umlauts.")
        await ear.hears(status)
        await ear.hears(events)
        assert plan not in ear.heard, "guidance is no new phase"
        await call(ear.client, "claude_autonomous_cancel", session_id=sid)
        await ear.hears(plan)
        assert set(ear.heard) == {status, events, plan}
        await call(ear.client, "claude_autonomous_cancel", session_id=other)
        await ear.stop(status, events, plan)


@pytest.mark.parametrize("mode", MODES)
async def test_sessions_that_come_and_go_change_the_list(place: Place, mode: Mode) -> None:
    async with an_ear(place, mode) as ear:
        await ear.listen(ROOT, lists=True)
        sid = await a_session(place, ear.client)
        await ear.hears("list")
        await ear.hears(ROOT)
        await listed(ear, f"{ROOT}/{sid}")
        told = ear.heard.count("list")
        await call(ear.client, "claude_autonomous_cancel", session_id=sid)
        await ear.hears("list", more_than=told)
        await listed(ear, f"{ROOT}/{sid}/report")


async def listed(ear: Ear, uri: str) -> None:
    async with asyncio.timeout(120):
        while uri not in [str(one.uri) for one in (await ear.client.list_resources()).resources]:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", MODES)
async def test_temporal_is_followed_only_while_somebody_listens(place: Place, mode: Mode) -> None:
    async with an_ear(place, mode) as ear:
        sid = await a_session(place, ear.client)
        assert ear.engine.looks == 0
        await ear.listen(f"{ROOT}/{sid}", f"{ROOT}/{sid}/diff")
        before = ear.engine.looks
        await until(lambda: ear.engine.looks > before + 3, what="looks at Temporal")
        await ear.stop(f"{ROOT}/{sid}", f"{ROOT}/{sid}/diff")
        await asyncio.wait_for(quiet(ear), 120)
        await ear.listen(f"{ROOT}/{sid}")
        heard = len(ear.heard)
        await call(ear.client, "claude_autonomous_cancel", session_id=sid)
        await until(lambda: len(ear.heard) > heard, what="news after having been away")


async def test_a_client_that_leaves_is_followed_no_more(place: Place) -> None:
    for mode in MODES:
        async with an_ear(place, mode) as ear:
            await ear.listen(ROOT, lists=True)
            before = ear.engine.looks
            await until(lambda: ear.engine.looks > before + 1, what="looks at Temporal")  # noqa: B023
        await asyncio.wait_for(quiet(ear), 120)


async def test_for_who_listens_to_nothing_that_changes_nothing_is_kept(tmp_path: Path) -> None:
    async def nothing() -> list[Resource]:
        return []

    owner = ["ada"]
    watching = Watching(Counting(Settings(home=tmp_path)), nothing, lambda: owner[0])
    for owner[0] in ("ada", "bob"):
        watching.subscribe(lambda _: pytest.fail("it hears"))()
        await watching.publish(ResourceUpdated(uri=ROOT))
    assert watching._followers == {}


async def test_older_clients_are_told_what_they_can_have(place: Place) -> None:
    async with an_ear(place, "legacy") as ear:
        offered = ear.client.server_capabilities
        assert offered is not None
        assert offered.resources is not None
        assert (offered.resources.subscribe, offered.resources.list_changed) == (True, True)
        for uri, said in (
            (f"{ROOT}/no-such-session/report", "There is no session 'no-such-session'"),
            ("file:///etc/passwd", "nothing to follow"),
        ):
            with pytest.raises(MCPError, match=said):
                await ear.client.subscribe_resource(uri)
        await asyncio.wait_for(quiet(ear), 120)


@pytest.mark.parametrize("mode", MODES)
async def test_who_may_not_see_a_session_hears_nothing_of_it(place: Place, mode: Mode) -> None:
    """Two callers of one server: what runs for the one that sees nothing must not be told what the other is told."""
    engine = Counting(place.settings)
    server = mcp_server.build(engine)
    her, eves = (callers.Caller(name, reach=Reach(name)) for name in ("ada", "eve"))

    async with hearing(server, engine, mode) as ada, hearing(server, engine, mode) as eve:
        with callers.calling(her):  # a request runs in the context of its sender
            sid = await a_session(place, ada.client)
        status = f"{ROOT}/{sid}"
        with callers.calling(eves):
            if mode == "legacy":
                with pytest.raises(MCPError, match="There is no session"):
                    await eve.listen(status)
            else:
                await eve.listen(status)
            await eve.listen(ROOT, lists=True)
        with callers.calling(her):
            await ada.listen(status, ROOT, lists=True)
            await call(ada.client, "claude_autonomous_cancel", session_id=sid)
        for what in (status, ROOT, "list"):
            await ada.hears(what)
        before = engine.looks_of["eve"]
        await until(lambda: engine.looks_of["eve"] > before + 1, what="looks at Temporal for eve")
        assert eve.heard == []
        assert set(engine.looks_of) == {"ada", "eve"}, "somebody looked with another reach"


@pytest.mark.parametrize("mode", NEWEST_FIRST)
async def test_a_server_of_its_own_tells_over_standard_input_and_output(place: Place, mode: Mode) -> None:
    async with hearing(place.parameters(), Counting(place.settings), mode) as ear:
        sid = await a_session(place, ear.client)
        assert sid in str((await ear.client.read_resource(f"{ROOT}/{sid}")).contents)
        await ear.listen(f"{ROOT}/{sid}/report", lists=True)
        await call(ear.client, "claude_autonomous_cancel", session_id=sid)
        await ear.hears(f"{ROOT}/{sid}/report")
        await ear.hears("list")


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_events_go_on_after_the_death_of_temporals_server(empty_place: Place) -> None:
    place = empty_place
    await asyncio.to_thread(stack.ensure_up, place.settings, wait_seconds=180)
    async with an_ear(place, "auto") as modern, an_ear(place, "legacy") as legacy:
        sid = await a_session(place, modern.client)
        for ear in (modern, legacy):
            await ear.listen(f"{ROOT}/{sid}")
        found = stack.find(place.settings)
        assert found is not None
        kill(found.server)
        await until(lambda: back(place), what="the server, brought back by the supervisor")
        told = [ear.heard.count(f"{ROOT}/{sid}") for ear in (modern, legacy)]
        await persistently(lambda: call(modern.client, "claude_autonomous_cancel", session_id=sid))
        for ear, before in zip((modern, legacy), told, strict=True):
            await ear.hears(f"{ROOT}/{sid}", more_than=before, seconds=40)


def back(place: Place) -> bool:
    found = stack.find(place.settings)
    return found is not None and found.up


async def persistently(ask: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                await ask()
                return
            except AssertionError:
                await asyncio.sleep(0.2)
