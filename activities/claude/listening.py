"""Serve an application on a listening socket: at once, bounded, and with nothing left behind at the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS = 64
"""To one listener. Whoever opens more holds no handle of the worker with them."""
MAX_HEADER_BYTES = 65_536
IDLE_SECONDS = 120
END_SECONDS = 2.0


class Listening:
    """An application that can be served on many sockets, each for as long as somebody wants.

    uvicorn's protocol without its server: that one is made to be a process's only one. It wakes ten times a second,
    takes 0.2 s to stop, and leaves behind what is under way.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            http="h11",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            # It would write a line for whatever an agent sends, and for every stream that is cut on purpose. The
            # application tells its own errors.
            log_level="critical",
            access_log=False,
            timeout_keep_alive=IDLE_SECONDS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        self._config.load()

    @asynccontextmanager
    async def on(
        self, listener: socket.socket, *, connections: int = MAX_CONNECTIONS, known: dict[str, str] | None = None
    ) -> AsyncIterator[None]:
        """Serve on ``listener``, with ``known`` as the state in each request's scope.

        The socket is closed at the end, as is every connection; requests are told and waited for.

        Raises ``OSError`` if it cannot listen.
        """
        if listener.family in {socket.AF_INET, socket.AF_INET6}:
            # Connections inherit it. Without, the first bytes of an answer wait 40 ms for the client's delayed ACK;
            # asyncio sets it for sockets alone whose protocol number is not 0.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state = ServerState()
        config = self._config

        def accepted() -> asyncio.Protocol:
            full = len(state.connections) >= connections
            return _Refused() if full else H11Protocol(config=config, server_state=state, app_state=dict(known or {}))

        server = await asyncio.get_running_loop().create_server(accepted, sock=listener, backlog=16)
        try:
            yield
        finally:
            server.close()
            await _end(state)
            await server.wait_closed()


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


async def _end(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
    # Each request learns that its client is gone and ends in order; one that does not is cancelled.
    if state.tasks:
        _, late = await asyncio.wait(list(state.tasks), timeout=END_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
    # Aborted connections are taken apart in the next turn of the loop.
    await asyncio.sleep(0)
