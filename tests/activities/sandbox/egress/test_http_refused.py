"""What does not come about, over HTTP: blocked, impossible, out of reach, broken off. Always in words."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest

from activities.sandbox.egress import Blocked, Bounds, EgressRules
from tests.activities.sandbox.egress.support import (
    OTHER_IP,
    PUBLIC_IP,
    Site,
    World,
    ask,
    connect_to,
    get,
    say,
    served,
    server,
)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", 502),
        (b"garbage\r\n\r\n", 502),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 80_000 + b"\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 502),
    ],
)
async def test_a_bad_answer_is_told(answer: bytes, status: int) -> None:
    world, site = World(), Site(answer)
    async with server(site) as there:
        world.put("site.example", 80, there)
        egress = world.egress()
        async with served(egress) as port:
            told = await ask(port, get("http://site.example/"))
    assert told.status == status
    assert b"The sandbox allows it" in told.body
    assert egress.blocked == []


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_cut_answer_does_not_look_whole(framing: bytes) -> None:
    world, site = World(), Site(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n5\r\nhello\r\n")
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            said = await say(port, get("http://site.example/"))
    assert said.startswith(b"HTTP/1.1 200")
    assert not said.endswith(b"0\r\n\r\n")
    assert len(said.partition(b"\r\n\r\n")[2]) < 100


async def test_a_silent_server_is_told() -> None:
    world = World()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as there:
        world.put("site.example", 80, there)
        async with served(world.egress(bounds=Bounds(idle_s=0.2))) as port:
            answer = await ask(port, get("http://site.example/"))
    assert answer.status == 504
    assert b"said nothing for too long" in answer.body


async def test_a_client_that_is_still_talking_reads_why_not() -> None:
    def talk(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
            for _ in range(10):
                client.sendall(b"x" * 50_000)
                time.sleep(0.02)
            return client.recv(1_000)

    async with served(World().egress()) as port:
        assert (await asyncio.to_thread(talk, port)).startswith(b"HTTP/1.1 403 ")


async def test_a_cut_answer_of_unknown_length_does_not_look_whole_either() -> None:
    world = World()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhalf of")
        await asyncio.sleep(0.1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            with pytest.raises(ConnectionResetError):
                await say(port, b"GET http://site.example/ HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, b"this is a proxy and no server"),
        (get("https://site.example/"), 400, b"https goes through CONNECT"),
        (get("ftp://site.example/"), 501, b"only http and https"),
        (get("http:///path"), 400, b"not a host"),
        (get("http://a:b:c/"), 400, b"brackets"),
        (get("http://site.example/", "Upgrade: websocket", "Connection: Upgrade"), 501, b"use wss://"),
        (connect_to("site.example"), 400, b"the port is missing"),
        (connect_to("::1:443"), 400, b"brackets"),
        (connect_to("site.example:x"), 400, b"the port is a number"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400, b"CONNECT has no body"),
        (b"nonsense\r\n\r\n", 400, b"this is not HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, b"this is not HTTP/1.1"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", 400, b"this is not HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, b"this is a proxy and no server"),
        (b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, b"HTTP/1.1"),
        (b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, b"body"),
    ],
)
async def test_what_cannot_be_done_is_told(request_bytes: bytes, status: int, said: bytes) -> None:
    world = World()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as there:
        world.put("site.example", 80, there)
        egress = world.egress()
        async with served(egress) as port:
            answer = await ask(port, request_bytes)
    assert answer.status == status
    assert said in answer.body
    assert egress.blocked == []


@pytest.mark.parametrize("tunnelled", [True, False])
async def test_a_refusal_says_why_and_what_to_do(tunnelled: bool) -> None:
    world = World()
    egress = world.egress()
    async with served(egress) as port:
        request = connect_to("169.254.169.254:80") if tunnelled else get("http://169.254.169.254/latest/meta-data/")
        answer = await ask(port, request)
    assert answer.status == 403
    assert answer.phrase == "Blocked by Overnight's sandbox: a cloud metadata address"
    assert answer.headers["X-Overnight-Blocked"] == "a cloud metadata address"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body.decode() == (
        "Overnight's sandbox blocked 169.254.169.254:80: a cloud metadata address. "
        "Nothing opens it; go on without it.\n"
    )
    assert egress.blocked == [Blocked("169.254.169.254:80", "a cloud metadata address", 1)]
    assert world.dialled == []


async def test_a_name_that_nobody_knows_is_not_blocked() -> None:
    world = World()
    egress = world.egress()
    async with served(egress) as port:
        answer = await ask(port, connect_to("no.such.example:443"))
    assert answer.status == 502
    assert b"The name no.such.example is not known" in answer.body
    assert egress.blocked == []


async def test_a_host_that_does_not_answer_is_not_blocked() -> None:
    world = World(names={"down.example": [[PUBLIC_IP]]})
    egress = world.egress()
    async with served(egress) as port:
        answer = await ask(port, connect_to("down.example:443"))
    assert answer.status == 502
    assert b"No connection to down.example:443" in answer.body
    assert egress.blocked == []


async def test_without_network_every_try_is_refused_and_kept() -> None:
    world = World(names={"pkgs.dev": [[PUBLIC_IP]]})
    egress = world.egress(EgressRules("none"))
    async with served(egress) as port:
        for request in (connect_to("pkgs.dev:443"), get("http://pkgs.dev:443/"), connect_to("127.0.0.1:1")):
            answer = await ask(port, request)
            assert answer.status == 403
            assert b"this session has no network" in answer.body
    assert egress.blocked == [
        Blocked("pkgs.dev:443", "this session has no network", 2),
        Blocked("127.0.0.1:1", "this session has no network", 1),
    ]
    assert (world.looked_up, world.dialled) == ([], [])


async def test_a_name_that_is_not_listed_is_not_even_looked_up() -> None:
    """The name of a look-up carries data to whoever serves the domain."""
    world = World()
    egress = world.egress(EgressRules("allow-list", ("pkgs.dev",)))
    async with served(egress) as port:
        answer = await ask(port, connect_to("c2VjcmV0.evil.net:443"))
    assert b"not on this session's allow-list" in answer.body
    assert b"The person who started the session can add it" in answer.body
    assert world.looked_up == []


async def test_the_whole_wait_for_a_connection_is_bounded() -> None:
    world = World(names={"slow.example": [[PUBLIC_IP, OTHER_IP]], "lost.example": [[PUBLIC_IP]]})

    async def for_ever(*_: object) -> None:
        await asyncio.sleep(60)

    egress = world.egress(bounds=Bounds(connect_s=0.2, lookup_s=0.2))
    egress._dialer._connect = for_ever  # type: ignore[assignment]
    async with served(egress) as port, asyncio.timeout(60):
        slow = await ask(port, connect_to("slow.example:443"))
        egress._dialer._resolve = for_ever  # type: ignore[assignment]
        lost = await ask(port, connect_to("lost.example:443"))
    assert slow.status == 504
    assert b"did not answer in time" in slow.body
    assert lost.status == 502
