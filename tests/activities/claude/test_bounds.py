"""The gateway's bounds: what a client or a service does badly ends in time, and holds no memory until then."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from functools import partial

import httpx2
import psutil
import pytest

from activities.claude import body, exchange
from activities.claude.lease import MAX_REQUESTS
from activities.claude.listening import MAX_HEADER_BYTES
from activities.claude.upstream import open_client
from tests.activities.claude.service import (
    BODY,
    COST,
    ESTIMATE,
    HEAD,
    Asked,
    answers,
    begun,
    connected,
    events,
    gateway_to,
    head,
    post,
    service,
    silent,
    status,
)


def rss() -> int:
    size: int = psutil.Process().memory_info().rss
    return size


# What a client does badly


async def test_a_request_that_comes_in_drops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.5)
    async with service() as there, gateway_to(there.url) as (gateway, held):
        reader, writer = await connected(gateway)
        writer.write(head(held, "content-length: 1000"))

        async def drip() -> None:
            with suppress(ConnectionError):
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        began = time.monotonic()
        assert await status(reader) == 408
        assert 0.5 <= time.monotonic() - began < 30
        dripping.cancel()
        writer.close()
        assert held.usage.cost_usd == 0, "the service never had the request"
        assert (await post(gateway, held)).status_code == 200, "and the turn is free again"


async def test_a_request_without_an_end_is_cut_where_the_api_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_REQUEST_BYTES", 5_000_000)
    async with service() as there, gateway_to(there.url) as (gateway, held):
        reader, writer = await connected(gateway)
        writer.write(head(held, "transfer-encoding: chunked"))
        piece = b"%x\r\n%b\r\n" % (2**20, b"x" * 2**20)

        async def pour() -> None:
            with suppress(ConnectionError):
                while True:
                    writer.write(piece)
                    await writer.drain()

        pouring = asyncio.create_task(pour())
        assert await status(reader) == 413
        pouring.cancel()
        writer.close()
        assert there.asked == []


async def test_requests_that_wait_hold_no_memory() -> None:
    """Behind one that is under way, the others' bodies stay with their clients."""
    async with service(silent) as there, gateway_to(there.url) as (gateway, held):
        first = asyncio.create_task(post(gateway, held))
        await there.until(1)
        before = rss()
        waiting = []
        for _ in range(MAX_REQUESTS - 1):
            reader, writer = await connected(gateway)
            writer.transport.set_write_buffer_limits(high=0)
            writer.write(head(held, "content-length: 30000000"))
            waiting.append((reader, writer))
        await asyncio.sleep(0.1)
        piece = b"x" * 2**20
        for _, writer in waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    while True:
                        writer.write(piece)
                        await writer.drain()
        # Our own side of each connection holds a piece as well.
        assert rss() - before < MAX_REQUESTS * 3 * 2**20
        for _, writer in waiting:
            writer.transport.abort()
        first.cancel()


async def test_an_answer_that_nobody_reads_is_not_held_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "UNREAD_SECONDS", 0.5)
    sent = 0

    async def flood(asked: Asked) -> None:
        nonlocal sent
        delta = events(text="x" * 60_000)[2]
        await asked.say(HEAD, events()[0])
        while True:
            await asked.say(delta)
            sent += len(delta)

    async with service(flood) as there, gateway_to(there.url) as (gateway, held):
        before = rss()
        _, writer = await connected(gateway)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent_body = json.dumps(BODY).encode()
        writer.write(head(held, f"content-length: {len(sent_body)}") + sent_body)
        while not held.last_error:
            await asyncio.sleep(0.02)
        assert sent < exchange.MAX_ANSWER_BYTES / 2, "it stopped because nobody read"
        assert rss() - before < 30 * 2**20
        assert held.usage.estimated_usd == held.usage.cost_usd > 0
        assert "nobody read" in held.last_error
        writer.transport.abort()


async def test_so_many_requests_wait_and_no_more() -> None:
    async with service(silent) as there, gateway_to(there.url) as (gateway, held):
        posts = [asyncio.create_task(post(gateway, held)) for _ in range(MAX_REQUESTS)]
        await there.until(1)
        while not held.is_full:
            await asyncio.sleep(0.01)
        assert (await post(gateway, held)).status_code == 429
        held.refusal = "paused"
        held.closed.set()
        ended = [answer.status_code for answer in await asyncio.gather(*posts)]
        assert ended == [403] * MAX_REQUESTS
        assert len(there.asked) == 1


async def test_headers_are_bounded() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        reader, writer = await connected(gateway)
        writer.write(head(held)[:-2] + b"x-pad: " + b"x" * MAX_HEADER_BYTES + b"\r\n")
        assert await status(reader) == 400
        writer.close()
        assert (await post(gateway, held, x_stainless_pad="x" * 20_000)).status_code == 200


async def test_what_is_no_http_and_a_client_that_leaves_at_once_do_no_harm() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        for said in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", head(held, "content-length: 10"), b""):
            _, writer = await connected(gateway)
            writer.write(said)
            await writer.drain()
            writer.transport.abort()
        assert (await post(gateway, held)).status_code == 200
        assert held.usage.responses == 1


async def test_a_client_that_leaves_ends_the_request_at_the_service() -> None:
    gone = asyncio.Event()

    async def waits(asked: Asked) -> None:
        await asked.rest()
        gone.set()

    async with service(waits) as there, gateway_to(there.url) as (gateway, held):
        asking = asyncio.create_task(post(gateway, held))
        await there.until(1)
        asking.cancel()
        await asyncio.wait({asking})
        async with asyncio.timeout(120):
            await gone.wait()
            while held.usage.responses == 0:
                await asyncio.sleep(0.01)
        assert held.usage.cost_usd == held.usage.estimated_usd == pytest.approx(ESTIMATE)
        there.play = answers
        assert (await post(gateway, held)).status_code == 200, "the turn is free again"


async def test_a_client_that_leaves_after_the_last_event_is_charged_exactly() -> None:
    async def lingers(asked: Asked) -> None:
        await asked.say(HEAD, *events())
        await asked.rest()

    async with service(lingers) as there, gateway_to(there.url) as (gateway, held):
        reader, writer = await connected(gateway)
        sent = json.dumps(BODY).encode()
        writer.write(head(held, f"content-length: {len(sent)}") + sent)
        await reader.readuntil(b"message_stop")
        writer.close()
        async with asyncio.timeout(120):
            while held.usage.responses == 0:
                await asyncio.sleep(0.01)
        assert held.usage.cost_usd == pytest.approx(COST)
        assert held.usage.estimated_usd == 0


# What a service does badly


async def test_a_service_that_does_not_begin_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.claude.gateway.open_client", partial(open_client, read=0.3))
    async with service(silent) as there, gateway_to(there.url) as (gateway, held):
        answer = await post(gateway, held)
        assert (answer.status_code, "in time" in answer.text) == (504, True)
        assert held.usage.cost_usd == held.usage.estimated_usd == pytest.approx(ESTIMATE), "it may bill all the same"


async def test_a_service_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SILENCE_SECONDS", 0.3)
    async with service(begun) as there, gateway_to(there.url) as (gateway, held):
        with pytest.raises(httpx2.RemoteProtocolError):
            await post(gateway, held)
        assert "no byte" in held.last_error
        assert (held.usage.responses, held.usage.input_tokens) == (1, 1_000)
        assert held.usage.estimated_usd == held.usage.cost_usd


async def test_a_service_that_does_not_let_anybody_in() -> None:
    full = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = full.sockets[0].getsockname()[1]
    full.close()
    await full.wait_closed()
    async with gateway_to(f"http://127.0.0.1:{port}") as (gateway, held):
        assert (await post(gateway, held)).status_code == 502
        assert held.usage.cost_usd == 0


async def test_an_answer_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_ANSWER_BYTES", 2_000_000)

    async def endless(asked: Asked) -> None:
        await asked.say(HEAD, events()[0])
        while True:
            await asked.say(b"x" * 65_536)

    async with service(endless) as there, gateway_to(there.url) as (gateway, held):
        before = rss()
        with pytest.raises(httpx2.RemoteProtocolError):
            await post(gateway, held)
        assert rss() - before < 30 * 2**20
        assert held.usage.estimated_usd == held.usage.cost_usd > 0


async def test_an_endless_error_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 500 .\r\nconnection: close\r\n\r\n")
        while True:
            await asked.say(b"x" * 65_536)

    async with service(endless) as there, gateway_to(there.url) as (gateway, held):
        assert (await post(gateway, held)).status_code == 502
        assert held.usage.cost_usd == 0


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 .\r\n" + b"x-pad: x\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 .\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    ],
)
async def test_a_service_that_speaks_no_http_is_out_of_reach(said: bytes) -> None:
    async def nonsense(asked: Asked) -> None:
        await asked.say(said)

    async with service(nonsense) as there, gateway_to(there.url) as (gateway, held):
        assert (await post(gateway, held)).status_code == 502
