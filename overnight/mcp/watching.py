"""Change events: who listens, in both protocol eras, and of what each may hear.

Clients of the newest protocol listen by one long request; older ones subscribe to addresses, and hear of lists once
they have asked for one. All get the same events: cues to read again, in which nothing else stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    Resource,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from overnight.mcp.addresses import ROOT, session_at
from overnight.mcp.engine import Engine
from overnight.mcp.following import Follower, Listener
from overnight.mcp.server import OvernightServer

MOST_ADDRESSES = 500
"""Addresses that one client may follow."""


class Watching:
    """Knows who listens. ``who`` says whose request runs: callers of another reach hear nothing of each other's."""

    def __init__(
        self,
        engine: Engine,
        listed: Callable[[], Awaitable[Iterable[Resource]]],
        who: Callable[[], Hashable] = lambda: None,
    ) -> None:
        self._engine = engine
        self._listed = listed
        self._who = who
        self._followers: dict[Hashable, Follower] = {}
        self._connections: dict[int, tuple[Hashable, Listener]] = {}
        """Of the older protocol, by the connection."""

    def attach(self, server: OvernightServer) -> None:
        """Hear from ``server`` who listens."""
        server.middleware.append(self._overhear)
        server.answer("subscriptions/listen", SubscriptionsListenRequestParams, ListenHandler(self))
        server.answer("resources/subscribe", SubscribeRequestParams, self._subscribe)
        server.answer("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    # ------------------------------------------------------------------ a bus for the SDK, one for each reach

    async def publish(self, event: ServerEvent) -> None:
        """Tell an event to those who listen with the caller's reach."""
        if (follower := self._followers.get(self._who())) is not None:
            await follower.bus.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Tell ``listener`` events of the caller's reach, until what is returned is called.

        Who wants to hear of nothing that changes here is followed by nobody, and hears nothing.
        """
        follower = self._followers.get(self._who())
        return follower.bus.subscribe(listener) if follower is not None else lambda: None

    def _follower(self, who: Hashable) -> Follower:
        if who not in self._followers:
            self._followers[who] = Follower(self._engine, self._listed)
        return self._followers[who]

    def _leave(self, who: Hashable, listener: Listener) -> None:
        if (follower := self._followers.get(who)) is not None and follower.leave(listener):
            del self._followers[who]

    # ------------------------------------------------------------------ the newest protocol

    async def _overhear(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        if ctx.method == "subscriptions/listen" and modern:
            wanted = (ctx.params or {}).get("notifications")
            async with self._listening(wanted if isinstance(wanted, dict) else {}):
                return await call_next(ctx)
        result = await call_next(ctx)
        if modern or not isinstance(result, dict):
            return result
        if ctx.method == "initialize":
            result.get("capabilities", {}).get("resources", {})["listChanged"] = True
        elif ctx.method == "resources/list":
            self._asked_for_the_list(ctx, result)
        return result

    @asynccontextmanager
    async def _listening(self, wanted: dict[str, Any]) -> AsyncIterator[None]:
        uris, who = wanted.get("resourceSubscriptions"), self._who()
        followed = [uri for uri in uris if isinstance(uri, str)] if isinstance(uris, list) else []
        if len(followed) > MOST_ADDRESSES:
            raise _too_many()
        listener = Listener(uris=set(filter(_is_ours, followed)), lists=wanted.get("resourcesListChanged") is True)
        if not listener.uris and not listener.lists:
            yield
            return
        try:
            await self._follower(who).join(listener)
            yield
        finally:
            self._leave(who, listener)

    # ------------------------------------------------------------------ older protocols

    async def _subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        uri = str(params.uri)
        if not _is_ours(uri):
            raise MCPError(INVALID_PARAMS, f"There is nothing to follow at {uri[:200]!r}; {ROOT} lists what there is")
        if not _connection(ctx).has_standalone_channel:
            raise MCPError(INVALID_PARAMS, "This connection ends with each answer, so changes cannot be told on it")
        who, listener = self._known(ctx)
        if len(listener.uris) >= MOST_ADDRESSES:
            raise _too_many()
        listener.uris.add(uri)
        follower = self._follower(who)
        await follower.join(listener)
        if follower.lacks(session_id := session_at(uri)):
            listener.uris.discard(uri)
            self._settle(who, listener)
            raise MCPError(
                INVALID_PARAMS, f"There is no session {(session_id or '')[:80]!r}; {ROOT} lists those there are"
            )
        return EmptyResult()

    async def _unsubscribe(self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        if (known := self._connections.get(id(_connection(ctx)))) is not None:
            who, listener = known
            listener.uris.discard(str(params.uri))
            self._settle(who, listener)
        return EmptyResult()

    def _asked_for_the_list(self, ctx: ServerRequestContext[Any, Any], answer: dict[str, Any]) -> None:
        """From now on such a client is told of each change of the list: there is no other sign that it cares."""
        if not _connection(ctx).has_standalone_channel:
            return
        who, listener = self._known(ctx)
        listener.lists = True
        self._follower(who).join_from(listener, [str(one["uri"]) for one in answer.get("resources", [])])

    def _known(self, ctx: ServerRequestContext[Any, Any]) -> tuple[Hashable, Listener]:
        """The listener that a connection is, until it is closed, and the reach that it was opened with."""
        connection = _connection(ctx)
        if (known := self._connections.get(id(connection))) is not None:
            return known

        async def tell(event: ServerEvent) -> None:
            if isinstance(event, ResourceUpdated):
                await connection.send_resource_updated(event.uri)
            else:
                await connection.send_resource_list_changed()

        connection.exit_stack.callback(self._gone, id(connection))
        made = self._connections[id(connection)] = (self._who(), Listener(tell))
        return made

    def _gone(self, connection: int) -> None:
        if (known := self._connections.pop(connection, None)) is not None:
            self._leave(*known)

    def _settle(self, who: Hashable, listener: Listener) -> None:
        if not listener.uris and not listener.lists:
            self._leave(who, listener)


def _too_many() -> MCPError:
    return MCPError(INVALID_PARAMS, f"At most {MOST_ADDRESSES} addresses can be followed by one client")


def _is_ours(uri: str) -> bool:
    return uri == ROOT or session_at(uri) is not None


def _connection(ctx: ServerRequestContext[Any, Any]) -> Any:
    """What stays while a client of the older protocol is there; the SDK shows it in no other way."""
    return ctx.session._connection
