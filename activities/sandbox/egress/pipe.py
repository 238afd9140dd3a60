"""Bytes from one socket to another: a chunk at a time, never more than one in memory, and everybody else in between."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1_000_000
_RESET = struct.pack("ii", 1, 0)


class Pace:
    """Tells the watch over a connection that something moved."""

    def __init__(self, limit: asyncio.Timeout, idle_s: float) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._last = 0.0

    def moved(self) -> None:
        now = self._loop.time()
        # A new alarm for every chunk would cost more than the chunk; one that has rung cannot be set again.
        if now - self._last > self._idle_s / 100 and not self._limit.expired():
            self._last = now
            self._limit.reschedule(now + self._idle_s)


@asynccontextmanager
async def paced(idle_s: float) -> AsyncIterator[Pace]:
    """A context that is left with ``TimeoutError`` when nothing moved in it for ``idle_s`` seconds."""
    async with asyncio.timeout(idle_s) as limit:
        yield Pace(limit, idle_s)


async def tunnel(near: socket.socket, far: socket.socket, *, idle_s: float) -> None:
    """Carry bytes both ways until both sides have ended theirs, one is lost, or nothing moved for ``idle_s`` seconds.

    An end in one direction is passed on and leaves the other open. Closes neither socket.
    """
    try:
        async with paced(idle_s) as pace, asyncio.TaskGroup() as both:
            both.create_task(_carry(near, far, pace))
            both.create_task(_carry(far, near, pace))
    except* TimeoutError:
        pass
    except* OSError:
        # What arrived must not look whole.
        reset_on_close(near)
        reset_on_close(far)


async def _carry(source: socket.socket, sink: socket.socket, pace: Pace) -> None:
    loop = asyncio.get_running_loop()
    view = memoryview(bytearray(CHUNK))
    while read := await loop.sock_recv_into(source, view):
        pace.moved()
        try:
            await loop.sock_sendall(sink, view[:read])
        except OSError:
            # Nobody listens there any more; what they said before is still on its way in the other direction.
            return
        pace.moved()
        # Sockets that are always ready would otherwise keep the loop to themselves.
        await asyncio.sleep(0)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def reset_on_close(sock: socket.socket) -> None:
    """Let the other side see a cut, not an end, when ``sock`` is closed."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def say_goodbye(sock: socket.socket, last: bytes) -> None:
    """Send ``last`` and wait, for at most 2 seconds and 1 MB, until the other side has read it and gone."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        async with asyncio.timeout(_LINGER_SECONDS):
            await loop.sock_sendall(sock, last)
            sock.shutdown(socket.SHUT_WR)
            # Closed with something unread, a socket is reset, and the answer lost.
            left = _LINGER_BYTES
            while left > 0 and (read := await loop.sock_recv(sock, CHUNK)):
                left -= len(read)
