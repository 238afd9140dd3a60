"""Follows what changes, for the clients of one reach: while one of them listens, and not a moment longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp.types import Resource
from temporalio.service import RPCError

from overnight.base.tracing import part
from overnight.client import Sessions
from overnight.errors import SessionError
from overnight.exchange import Mark
from overnight.mcp.addresses import ROOT, part_at, session_at
from overnight.mcp.engine import Engine

log = structlog.get_logger("mcp_server")

LOOK_SECONDS = 2.0
LIST_SECONDS = 5.0
"""Between two looks where only the list is followed, as Claude Code does for as long as it runs."""
APART_SECONDS = 0.05
"""So many seconds more between two looks for each session that is followed: 20 questions a second at most."""
AT_ONCE = 8
FIRST_SECONDS = 1.8
"""How long a client waits until it is known from where on changes are told."""
TELL_SECONDS = 1.0
"""How long a client may take to be told before it is left out."""
INDEXED = 100
ALWAYS = frozenset({"", "events"})
"""Parts of a session that change with whatever happens to it; the others do with its phases."""

Tell = Callable[[ServerEvent], Awaitable[None]]


@dataclass(eq=False)
class Listener:
    """A client that is told, and of what."""

    tell: Tell | None = None
    """None for one that hears by the bus."""
    uris: set[str] = field(default_factory=set)
    lists: bool = False


@dataclass
class _Seen:
    """What was there at the last look."""

    marks: dict[str, Mark | None] = field(default_factory=dict)
    index: str | None = None
    listed: tuple[str, ...] | None = None


class Follower:
    """Tells its listeners what changed. Looks as whoever listened first: all of them may see the same."""

    def __init__(self, engine: Engine, listed: Callable[[], Awaitable[Iterable[Resource]]]) -> None:
        self.bus = InMemorySubscriptionBus()
        self._engine = engine
        self._listed = listed
        self._listeners: set[Listener] = set()
        self._seen = _Seen()
        self._task: asyncio.Task[None] | None = None
        self._look = asyncio.Lock()

    async def join(self, listener: Listener) -> None:
        """From the return on, what changes is told, unless Temporal did not say in time how things stand."""
        self._listeners.add(listener)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._compared(telling=False)
        self._wake()

    def join_from(self, listener: Listener, listed: Iterable[str]) -> None:
        """The same for one that follows the list, and has just been given the addresses in it."""
        if self._seen.listed is None:
            self._seen.listed = tuple(uri for uri in listed if session_at(uri))
        self._listeners.add(listener)
        self._wake()

    def leave(self, listener: Listener) -> bool:
        """Tell it no more. Returns whether nobody listens any more: then nothing is followed."""
        self._listeners.discard(listener)
        if self._listeners:
            return False
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._seen = _Seen()
        return True

    def lacks(self, session_id: str | None) -> bool:
        """Whether it is known that there is no such session."""
        marks = self._seen.marks
        return session_id is not None and session_id in marks and marks[session_id] is None

    def _wake(self) -> None:
        if (self._task is None or self._task.done()) and self._listeners:
            self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        part()  # it outlives the request that it began in
        # A cancellation can get lost in a call that ends at the same moment: whoever follows looks whether it is meant.
        while self._task is asyncio.current_task():
            followed = any(listener.uris for listener in self._listeners)
            await asyncio.sleep((LOOK_SECONDS if followed else LIST_SECONDS) + APART_SECONDS * len(self._followed()))
            for event in await self._compared(telling=True):
                await self._tell(event)

    async def _tell(self, event: ServerEvent) -> None:
        await self.bus.publish(event)
        for listener in list(self._listeners):
            concerned = event.uri in listener.uris if isinstance(event, ResourceUpdated) else listener.lists
            if listener.tell is not None and concerned:
                try:
                    async with asyncio.timeout(TELL_SECONDS):
                        await listener.tell(event)
                except TimeoutError:
                    log.warning("a client does not take in what it is told; it is left out from now on")
                    self.leave(listener)

    def _followed(self) -> set[str]:
        return {one for listener in self._listeners for uri in listener.uris if (one := session_at(uri))}

    async def _compared(self, *, telling: bool) -> list[ServerEvent]:
        """What changed since the last look. Not ``telling``: what was never looked at before is only taken down."""
        async with self._look:
            try:
                sessions = await self._engine.looking()
                return await self._events(sessions, telling) if sessions is not None else []
            except (SessionError, RPCError, OSError) as error:
                log.info("changes cannot be followed now", error=str(error))
                return []

    async def _events(self, sessions: Sessions, telling: bool) -> list[ServerEvent]:
        seen, uris = self._seen, {uri for listener in self._listeners for uri in listener.uris}
        found: list[ServerEvent] = []
        followed = self._followed()
        if not telling:
            followed = {one for one in followed if one not in seen.marks}
        marks = await _marks(sessions, followed)
        for uri in sorted(uris):
            one = session_at(uri)
            if one in marks and telling and _differs(seen.marks.get(one), marks[one], part_at(uri)):
                found.append(ResourceUpdated(uri=uri))
        if ROOT in uris and (telling or seen.index is None):
            index = "\n".join([known.model_dump_json() for known in await sessions.list(limit=INDEXED)])
            if telling and index != seen.index:
                found.append(ResourceUpdated(uri=ROOT))
            seen.index = index
        if any(listener.lists for listener in self._listeners) and (telling or seen.listed is None):
            listed = tuple(str(one.uri) for one in await self._listed())
            if telling and listed != seen.listed:
                found.append(ResourcesListChanged())
            seen.listed = listed
        seen.marks = {one: mark for one, mark in {**seen.marks, **marks}.items() if one in self._followed()}
        return found


async def _marks(sessions: Sessions, followed: Iterable[str]) -> dict[str, Mark | None]:
    few = asyncio.Semaphore(AT_ONCE)

    async def mark(session_id: str) -> tuple[str, Mark | None]:
        async with few:
            return session_id, await sessions.mark(session_id)

    return dict(await asyncio.gather(*(mark(one) for one in followed)))


def _differs(before: Mark | None, now: Mark | None, part_of_it: str) -> bool:
    if before is None or now is None:
        return before is not now
    return before.steps != now.steps if part_of_it in ALWAYS else before.phases != now.phases
