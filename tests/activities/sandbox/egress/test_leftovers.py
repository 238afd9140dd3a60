"""A proxy begins and ends with its context, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading

import psutil
import pytest

from activities.sandbox.egress import Egress, EgressRules, network
from tests.activities.sandbox.egress.support import (
    PUBLIC_IP,
    World,
    ask,
    connect_to,
    served,
    server,
    until,
)

MB = 1_000_000


async def test_nothing_is_left_when_the_context_ends() -> None:
    """With tunnels at every stage: before a head, in a look-up, in a connect, open, half closed, refused."""
    process = psutil.Process()
    world = World(names={"stuck.example": [["93.184.216.99"]]})
    stuck, let_go = asyncio.Event(), asyncio.Event()
    in_connect: list[int] = []

    async def site(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await let_go.wait()

    async with server(site) as there:
        world.put("site.example", 443, there)
        world.put("site.example", 80, there)
        plain_connect, plain_resolve = world.connect, world.resolve

        async def connect(address: object, port: int) -> socket.socket:
            if str(address) == "93.184.216.99":
                in_connect.append(port)
                await stuck.wait()
            return await plain_connect(address, port)  # type: ignore[arg-type]

        async def resolve(host: str, port: int) -> object:
            if host == "lost.example":
                in_connect.append(port)
                await stuck.wait()
            return await plain_resolve(host, port)

        tasks = asyncio.all_tasks()
        descriptors, threads = process.num_fds(), threading.active_count()
        egress = Egress(EgressRules("public"), resolve=resolve, connect=connect)  # type: ignore[arg-type]
        clients: list[socket.socket] = []
        async with served(egress) as port:
            loop = asyncio.get_running_loop()
            stages = [
                b"",
                b"CONN",
                b"\x05",
                b"\x05\x01\x00\x05\x01",
                connect_to("stuck.example:1"),
                connect_to("lost.example:2"),
                connect_to("127.0.0.1:80"),
                b"GET http://site.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
                b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
                connect_to("site.example:443"),
            ]
            for stage in stages * 3:
                client = socket.create_connection(("127.0.0.1", port))
                client.setblocking(False)
                clients.append(client)
                await loop.sock_sendall(client, stage)
            half_closed = clients[-1]
            half_closed.shutdown(socket.SHUT_WR)
            await until(lambda: len(in_connect) == 6 and world.dialled.count((PUBLIC_IP, 80)) == 6)
            await until(lambda: world.dialled.count((PUBLIC_IP, 443)) == 3)
            # One that has only just arrived: its task has not taken a step.
            clients.append(socket.create_connection(("127.0.0.1", port)))
        assert not [task for task in asyncio.all_tasks() if "Intake" in repr(task.get_coro())]
        for client in clients:
            client.close()
        let_go.set()
        await until(lambda: len(asyncio.all_tasks() - tasks) == 0)  # the test's own server notices
        await until(lambda: process.num_fds() <= descriptors)
        assert threading.active_count() == threads


async def test_the_listener_is_shut_at_once() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with World().egress().serving(listener):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


async def test_one_session_may_have_several_boxes() -> None:
    egress = World().egress()
    async with served(egress) as one, served(egress) as two:
        for port in (one, two, one):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(connect_to("127.0.0.1:1"))
            assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
            writer.close()
    assert [b.count for b in egress.blocked] == [3]


async def test_the_systems_resolver_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    egress = Egress(EgressRules("public"))
    async with served(egress) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect_to("localhost:1"))
        assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
        writer.close()
        assert set(threading.enumerate()) - before
    await until(lambda: not set(threading.enumerate()) - before)
    assert egress.blocked


async def test_a_box_that_ends_takes_no_look_up_of_another_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        go_on.wait(10)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(network, "LOOKUPS", 1)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    egress = Egress(EgressRules("public"))
    async with served(egress) as one:
        async with served(egress):
            answers = [asyncio.create_task(ask(one, connect_to(f"{n}.example:1"))) for n in range(2)]
            await until(lambda: len(asked) == 1)
            await asyncio.sleep(0.05)
        go_on.set()
        assert [answer.status for answer in await asyncio.gather(*answers)] == [502, 502]


def test_the_hosts_own_network_is_not_served() -> None:
    with pytest.raises(ValueError, match="no proxy serves it"):
        Egress(EgressRules("host"))
