"""Clients that mean harm: nothing crashes, nothing grows, nobody else waits."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from activities.sandbox.egress import Bounds, EgressRules
from activities.sandbox.egress.blocked import BlockedLog
from tests.activities.sandbox.egress.support import (
    PUBLIC_IP,
    Site,
    World,
    ask,
    connect_to,
    echo,
    get,
    say,
    served,
    server,
    tunnel_to,
)


@asynccontextmanager
async def watched(lag: list[float]) -> AsyncIterator[None]:
    """Adds how long, in seconds of this thread's CPU, the loop kept a sleeper waiting: a busy machine adds nothing."""

    async def beat() -> None:
        while True:
            started = time.thread_time()
            await asyncio.sleep(0.005)
            lag.append(time.thread_time() - started)

    beating = asyncio.create_task(beat())
    gc.collect()
    gc.disable()  # what other tests left in this process may take half a second to look through
    try:
        yield
    finally:
        gc.enable()
        beating.cancel()


async def lives(port: int) -> None:
    """Others are still served."""
    assert (await ask(port, connect_to("127.0.0.1:80"))).status == 403


TOKENS = st.sampled_from(
    [
        b"GET ", b"CONNECT ", b"POST ", b"HEAD ", b"http://", b"https://", b"site.example", b"127.0.0.1", b"[::1]",
        b":80", b":443", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"\r\n", b"\r\n\r\n", b"\n", b"Host: x\r\n",
        b"Connection: close\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\n", b"Connection: content-length, host\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n",
        b"/", b"@", b"%00", b"\x05\x01\x00", b"\x05\x01\x00\x03", b"\x0csite.example\x01\xbb",
        b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50",
        b"\x00", b"\xff",
    ]
)  # fmt: skip
HEADS = st.lists(st.one_of(TOKENS, st.binary(max_size=20)), max_size=30).map(b"".join)


@given(HEADS)
@example(b"GET http://site.example HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
@example(b"\x05\x01\x00\x05\x01\x00\x03\x0csite.example\x01\xbb")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_input_breaks_it(head: bytes) -> None:
    world, site = World(), Site()
    with capture_logs() as logs:
        async with server(site) as there:
            world.put("site.example", 80, there)
            world.put("site.example", 443, there)
            async with served(world.egress()) as port:
                with suppress(ConnectionResetError):
                    await say(port, head, end=True)
                await lives(port)
    assert logs == []
    assert all(place in {(PUBLIC_IP, 80), (PUBLIC_IP, 443)} for place in world.dialled)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
async def test_no_answer_breaks_it(noise: bytes) -> None:
    world = World()
    with capture_logs() as logs:
        async with server(Site(b"HTTP/1.1 200 OK\r\n" + noise)) as there, server(Site(noise)) as elsewhere:
            world.put("site.example", 80, there)
            world.put("site.example", 81, elsewhere)
            async with served(world.egress(bounds=Bounds(idle_s=2))) as port:
                with suppress(ConnectionResetError):
                    await say(port, get("http://site.example/"))
                    await say(port, get("http://site.example:81/"))
                await lives(port)
    assert logs == []


@pytest.mark.parametrize("size", [70_000, 500_000])
async def test_a_head_has_a_limit(size: int) -> None:
    async with served(World().egress()) as port:
        answer = await ask(port, b"GET http://site.example/ HTTP/1.1\r\nX: " + b"a" * size)
        assert answer.status == 431
        answer = await ask(port, b"GET http://site.example/ HTTP/1.1\r\n" + b"a:b\r\n" * (size // 5))
        assert answer.status == 431
        await lives(port)


@pytest.mark.parametrize(
    "before", [b"", b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"]
)
async def test_heads_of_many_lines_hold_up_nobody(before: bytes) -> None:
    """What a head costs is its lines, and 64 kB have room for thousands."""
    world, site, lag = World(), Site(), list[float]()
    head = b"GET http://site.example/ HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 12_000 + b"\r\n"
    body = b"x" * 9_000 if before else b""
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port, watched(lag):

            async def flood() -> bytes:
                with suppress(ConnectionResetError):
                    return await say(port, before + body + head, end=True)
                return b""

            said = await asyncio.gather(*(flood() for _ in range(100)))
    assert len(site.asked) == (100 if before else 0)
    assert before or all(answer.startswith(b"HTTP/1.1 431 ") for answer in said if answer)
    assert max(lag) < 0.4


async def test_a_head_without_end_is_cut() -> None:
    async with served(World().egress()) as port:
        with pytest.raises(ConnectionError):
            await say(port, b"GET http://site.example/ HTTP/1.1\r\nX: " + b"a" * 50_000_000)
        await lives(port)


async def test_a_long_head_within_the_limit_is_read() -> None:
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            assert (await ask(port, get("http://site.example/" + "a" * 60_000))).status == 200


@pytest.mark.parametrize("start", [b"", b"G", b"GET http://site.example/ HTTP/1.1\r\n", b"\x05", b"\x05\x01\x00\x05"])
async def test_a_head_that_drips_is_given_up(start: bytes) -> None:
    async with served(World().egress(bounds=Bounds(header_s=0.4))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        started = time.monotonic()

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.05)
                writer.write(b"a")

        dripping = asyncio.create_task(drip()) if start else None
        with suppress(ConnectionResetError):
            async with asyncio.timeout(60):
                said = await reader.read()
                assert (b" 408 " in said) is start.startswith(b"G")
        assert time.monotonic() - started < 30
        if dripping:
            dripping.cancel()
        writer.close()
        await lives(port)


async def test_two_thousand_connections_hold_up_nobody() -> None:
    """They wait in the kernel's queue; the ones let in are bounded, and so is what they cost."""
    process = psutil.Process()
    soft = 2_600
    if process.rlimit(psutil.RLIMIT_NOFILE)[0] < soft:
        pytest.skip("this shell's limit of open files is too low to be the attacker")
    lag: list[float] = []
    egress = World().egress()
    async with served(egress, backlog=4_096) as port:
        memory, descriptors = process.memory_info().rss, process.num_fds()
        idle: list[socket.socket] = []
        async with watched(lag):
            for _ in range(2_000):
                client = socket.socket()
                client.setblocking(False)
                with suppress(BlockingIOError):
                    client.connect(("127.0.0.1", port))
                idle.append(client)
                if len(idle) % 100 == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0.3)
            assert process.num_fds() - descriptors - len(idle) <= 256 + 5
            for client in idle:
                client.close()
            await lives(port)
        assert process.memory_info().rss - memory < 60_000_000
    assert max(lag) < 0.4


async def test_those_that_wait_are_let_in_when_others_leave() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress(bounds=Bounds(connections=2, queue_s=30))) as port:
            async with tunnel_to(port, "site.example:443"):
                async with tunnel_to(port, "site.example:443"):
                    waiting = asyncio.create_task(ask(port, connect_to("127.0.0.1:80")))
                    done, _ = await asyncio.wait({waiting}, timeout=0.3)
                    assert not done
                assert (await asyncio.wait_for(waiting, 60)).status == 403


async def test_when_nobody_leaves_they_are_told() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress(bounds=Bounds(connections=2, queue_s=0.6))) as port:
            async with tunnel_to(port, "site.example:443"), tunnel_to(port, "site.example:443"):
                waited: list[float] = []
                for _ in range(3):
                    started = time.monotonic()
                    answer = await ask(port, connect_to("127.0.0.1:80"))
                    waited.append(time.monotonic() - started)
                    assert answer.status == 503
                    assert b"close some" in answer.body
                assert waited[0] > 0.5
                assert max(waited[1:]) < 0.5
            await lives(port)
            async with tunnel_to(port, "site.example:443"), tunnel_to(port, "site.example:443"):
                started = time.monotonic()
                assert (await ask(port, connect_to("127.0.0.1:80"))).status == 503
                assert time.monotonic() - started > 0.5


async def test_a_body_in_crumbs_holds_up_nobody() -> None:
    world, lag = World(), list[float]()
    got: list[int] = []

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b""
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += await reader.read(65_536)
        got.append(len(body))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port, watched(lag):
            head = b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            said = await say(
                port, head + b"Connection: close\r\n\r\n" + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n", seconds=30
            )
    assert said.startswith(b"HTTP/1.1 204 ")
    assert got == [40_000 * 6 + 5]
    assert max(lag) < 0.3


async def test_a_flood_of_requests_leaves_the_loop_to_others() -> None:
    lag: list[float] = []
    request = get("http://127.0.0.1/").replace(b"Connection: close\r\n", b"")
    answered = 0

    async def flood(port: int, until: float) -> None:
        nonlocal answered
        while time.monotonic() < until:
            with suppress(OSError):
                await ask(port, request)
                answered += 1

    async with served(World().egress()) as port, watched(lag):
        end = time.monotonic() + 1
        await asyncio.gather(*(flood(port, end) for _ in range(100)))
        await lives(port)
    assert answered > 100
    assert max(lag) < 0.5


async def test_two_fast_ends_do_not_keep_the_loop_to_themselves() -> None:
    world, lag = World(), list[float]()

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 262_144)
            await writer.drain()

    async with server(pour) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port, watched(lag):
            async with tunnel_to(port, "site.example:443") as (reader, _):
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    await reader.read(262_144)
    assert max(lag) < 0.3


async def test_what_was_blocked_is_kept_in_bounded_memory() -> None:
    egress = World().egress(EgressRules("none"))
    async with served(egress) as port:
        for number in range(60):
            await ask(port, connect_to(f"host-{number}.{'a' * 60}.{'b' * 60}.example:443"))
        await ask(port, connect_to(f"host-0.{'a' * 60}.{'b' * 60}.example:443"))
    told = egress.blocked
    assert len(told) == 51
    assert told[0].count == 2
    assert (told[-1].target, told[-1].count) == ("and 10 other attempts", 10)
    assert all(len(text.encode()) <= 120 for entry in told for text in (entry.target, entry.reason))


@given(st.lists(st.tuples(st.text(max_size=400), st.text(max_size=400)), max_size=80))
def test_texts_of_a_box_are_tamed(tries: list[tuple[str, str]]) -> None:
    log = BlockedLog()
    for target, reason in tries:
        log.add(target, reason)
    told = log.entries()
    assert len(told) <= 51
    assert sum(entry.count for entry in told) == len(tries)
    for text in (text for entry in told for text in (entry.target, entry.reason)):
        assert len(text.encode()) <= 120
        assert text.isprintable()


async def test_a_box_that_shuts_its_listener_costs_nothing() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    twin = listener.dup()
    async with World().egress().serving(listener):
        twin.shutdown(socket.SHUT_RDWR)
        used = psutil.Process().cpu_times()
        await asyncio.sleep(0.3)
        after = psutil.Process().cpu_times()
    twin.close()
    assert (after.user + after.system) - (used.user + used.system) < 0.15
