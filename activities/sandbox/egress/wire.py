"""One side of an HTTP/1.1 conversation: a socket and what h11 makes of its bytes."""

from __future__ import annotations

import asyncio
import socket

import h11

from activities.sandbox.egress.pipe import CHUNK, Pace

HEAD_CHUNK = 4_096
MAX_LINES = 256
"""Lines of a head; what a head costs to read is its lines, and the loop waits meanwhile."""
_BEFORE_BODY = {h11.IDLE, h11.SEND_RESPONSE}


class Wire:
    """Reads and writes events; holds one head or one chunk at most."""

    def __init__(
        self, sock: socket.socket, role: type[h11.CLIENT] | type[h11.SERVER], header_bytes: int, early: bytes = b""
    ) -> None:
        self.sock = sock
        self.state = h11.Connection(role, max_incomplete_event_size=header_bytes)
        self.pace: Pace | None = None
        self.heard = bool(early)
        """Whether the other side has said anything in this exchange."""
        self._loop = asyncio.get_running_loop()
        self._lines = 0
        if early:
            self.state.receive_data(early)

    async def next(self) -> h11.Event | None:
        """The next event, or None where none can come yet. Raises ``OSError`` and ``h11.RemoteProtocolError``."""
        while (event := self.state.next_event()) is h11.NEED_DATA:
            # A head in small bites, so that its limits are some.
            in_head = self.state.their_state in _BEFORE_BODY
            if in_head and self._lines > MAX_LINES:
                raise h11.RemoteProtocolError("too many lines", error_status_hint=431)
            data = await self._loop.sock_recv(self.sock, HEAD_CHUNK if in_head else CHUNK)
            self.state.receive_data(data)
            self._lines += data.count(b"\n") if in_head else 0
            self.heard = self.heard or bool(data)
            await self._moved()
        self._lines = 0
        return event if isinstance(event, h11.Event) else None

    async def send(self, event: h11.Event) -> None:
        """Send one event. Raises ``OSError`` and ``h11.LocalProtocolError``."""
        if data := self.state.send(event):
            await self._loop.sock_sendall(self.sock, data)
            await self._moved()

    async def _moved(self) -> None:
        if self.pace:
            self.pace.moved()
        # Sockets that are always ready, or a body in thousands of crumbs, would otherwise keep the loop to themselves.
        await asyncio.sleep(0)
