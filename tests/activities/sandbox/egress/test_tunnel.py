"""Tunnels: ends and cuts are passed on, nothing piles up, nothing stays behind."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time

import psutil
import pytest

from activities.sandbox.egress import Bounds
from activities.sandbox.egress.pipe import Pace, tunnel
from tests.activities.sandbox.egress.support import (
    World,
    connect_to,
    echo,
    served,
    server,
    tunnel_to,
    until,
)

MB = 1_000_000


async def test_an_end_is_passed_on_and_leaves_the_other_direction_open() -> None:
    world = World()
    ended = asyncio.Event()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b"question"
        ended.set()
        writer.write(b"answer")
        await writer.drain()
        writer.write(b" and more")

    async with server(site) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port, tunnel_to(port, "site.example:443") as (reader, writer):
            writer.write(b"question")
            writer.write_eof()
            assert await reader.read() == b"answer and more"
    assert ended.is_set()


async def test_the_other_side_may_end_first() -> None:
    world = World()
    got: list[bytes] = []

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        got.append(await reader.read())

    async with server(site) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port, tunnel_to(port, "site.example:443") as (reader, writer):
            assert await reader.read() == b""
            for _ in range(3):
                writer.write(b"still here;")
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.write_eof()
            await until(lambda: bool(got))
    assert got == [b"still here;" * 3]


async def test_a_cut_does_not_look_like_an_end() -> None:
    world = World()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with server(site) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port, tunnel_to(port, "site.example:443") as (reader, writer):
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()


@pytest.mark.parametrize("abrupt", [True, False])
async def test_a_client_that_goes_away_takes_its_tunnel_with_it(abrupt: bool) -> None:
    world = World()
    gone = asyncio.Event()

    async def site(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        finally:
            gone.set()

    async with server(site) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            async with tunnel_to(port, "site.example:443") as (reader, writer):
                await reader.readexactly(MB)
                if abrupt:
                    writer.transport.abort()
            async with asyncio.timeout(60):
                await gone.wait()


async def test_a_tunnel_in_which_nothing_moves_is_closed() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress(bounds=Bounds(idle_s=0.3))) as port:
            async with tunnel_to(port, "site.example:443") as (reader, writer):
                started = time.monotonic()
                for _ in range(10):  # as long as something moves, it stays
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                    await asyncio.sleep(0.05)
                async with asyncio.timeout(60):
                    assert await reader.read() == b""
    assert time.monotonic() - started > 0.7


async def test_an_alarm_that_rang_is_not_set_again() -> None:
    """Bytes may move in the very moment in which time is up."""
    late = asyncio.timeout(0)
    with pytest.raises(TimeoutError):
        async with late:
            await asyncio.sleep(1)
    Pace(late, 0.001).moved()


def pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


async def test_what_was_said_before_a_refusal_to_listen_still_arrives() -> None:
    """A server may answer, and listen no more, while the client is still talking."""
    loop = asyncio.get_running_loop()
    client, near = pair()
    far, site = pair()
    with client, near, far, site:
        site.shutdown(socket.SHUT_RD)
        tunnelling = asyncio.create_task(tunnel(near, far, idle_s=5))
        await loop.sock_sendall(client, b"a long question")
        await asyncio.sleep(0.05)
        await loop.sock_sendall(site, b"answer")
        site.close()
        await tunnelling
        near.close()
        assert await loop.sock_recv(client, 100) == b"answer"


async def test_sockets_that_are_always_ready_share_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    left = [500, 500]
    turns = 0

    async def read(source: socket.socket, _view: memoryview) -> int:
        side = 0 if source is near else 1
        left[side] -= 1
        return max(left[side], 0)

    async def write(*_: object) -> None:
        """Takes all at once."""

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(loop, "sock_recv_into", read)
    monkeypatch.setattr(loop, "sock_sendall", write)
    client, near = pair()
    far, site = pair()
    with client, near, far, site:
        waiting = asyncio.create_task(others())
        await tunnel(near, far, idle_s=5)
        waiting.cancel()
    assert turns > 450


async def test_a_tunnel_in_which_nothing_ever_moved_is_closed() -> None:
    client, near = pair()
    far, site = pair()
    with client, near, far, site:
        async with asyncio.timeout(60):
            await tunnel(near, far, idle_s=0.1)


@pytest.mark.parametrize("to_client", [True, False])
async def test_who_does_not_read_is_not_read_for(to_client: bool) -> None:
    """The sender is held back: what is on its way is what kernels buffer, whatever is sent."""
    world = World()
    sent = [0]

    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        while True:
            writer.write(b"x" * MB)
            await writer.drain()
            sent[0] += MB

    async def site(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if to_client:
            await pour(writer)
        await asyncio.sleep(60)

    async with server(site) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
            writer.write(connect_to("site.example:443"))
            await reader.readuntil(b"\r\n\r\n")
            pouring = None if to_client else asyncio.create_task(pour(writer))
            last = -1
            while sent[0] != last:
                last = sent[0]
                await asyncio.sleep(0.3)
            if pouring:
                pouring.cancel()
            writer.transport.abort()
    assert 0 < last < 50 * MB


async def test_big_transfers_pass_in_little_memory() -> None:
    total = 200 * MB
    world = World()
    piece = b"x" * 262_144

    def pour(listener: socket.socket) -> None:
        with listener, listener.accept()[0] as sock:
            left = total
            while left > 0:
                left -= sock.send(piece[: min(left, len(piece))])

    def drink(port: int) -> int:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(connect_to("site.example:443"))
            buffer, got = bytearray(262_144), 0
            while read := sock.recv_into(buffer):
                got += read
            return got

    listener = socket.create_server(("127.0.0.1", 0))
    world.put("site.example", 443, listener.getsockname()[1])
    pouring = threading.Thread(target=pour, args=(listener,))
    pouring.start()
    process = psutil.Process()
    peak = before = process.memory_info().rss
    async with served(world.egress()) as port:
        drinking = asyncio.create_task(asyncio.to_thread(drink, port))
        while not drinking.done():
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.02)
        got = await drinking
    pouring.join()
    assert got == total + len("HTTP/1.1 200 Connection established\r\n\r\n")
    assert peak - before < 30 * MB
