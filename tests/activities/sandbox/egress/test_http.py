"""Plain HTTP and CONNECT through the proxy, byte by byte."""

from __future__ import annotations

import asyncio

import pytest

from activities.sandbox.egress import Bounds, EgressRules
from tests.activities.sandbox.egress.support import (
    OTHER_IP,
    PUBLIC_IP,
    PUBLIC_IP6,
    Site,
    World,
    ask,
    connect_to,
    echo,
    get,
    read_request,
    say,
    served,
    server,
    tunnel_to,
)


async def test_a_plain_request_is_forwarded() -> None:
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            answer = await ask(port, get("http://user:word@Site.Example/a%20b?c=d#e", "X-Mine: 1"))
    assert (answer.status, answer.body) == (200, b"hello")
    (asked,) = site.asked
    assert asked.line == "GET /a%20b?c=d HTTP/1.1"
    assert asked.headers == {"Host": "site.example", "X-Mine": "1", "Connection": "close"}
    assert world.dialled == [(PUBLIC_IP, 80)]


@pytest.mark.parametrize(
    ("url", "port", "line", "host"),
    [
        ("http://site.example", 80, "GET / HTTP/1.1", "site.example"),
        ("http://site.example?x=1", 80, "GET /?x=1 HTTP/1.1", "site.example"),
        ("http://site.example:8080/", 8080, "GET / HTTP/1.1", "site.example:8080"),
        ("HTTP://SITE.example:80//x", 80, "GET //x HTTP/1.1", "site.example"),
        (f"http://{PUBLIC_IP}/", 80, "GET / HTTP/1.1", PUBLIC_IP),
        ("http://0x5db8d822/", 80, "GET / HTTP/1.1", PUBLIC_IP),
        (f"http://[{PUBLIC_IP6}]:81/", 81, "GET / HTTP/1.1", f"[{PUBLIC_IP6}]:81"),
    ],
)
async def test_the_url_alone_says_where_to(url: str, port: int, line: str, host: str) -> None:
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", port, there)
        world.places[PUBLIC_IP6, port] = there
        async with served(world.egress()) as at:
            assert (await ask(at, get(url))).status == 200
    assert (site.asked[0].line, site.asked[0].headers["Host"]) == (line, host)


async def test_what_belongs_to_one_hop_stays_there() -> None:
    hops = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
        b"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-End: 2\r\n\r\nok"
    )
    world, site = World(), Site(hops)
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            answer = await ask(
                port,
                get(
                    "http://site.example/",
                    "Proxy-Authorization: Basic c2VjcmV0",
                    "Proxy-Connection: keep-alive",
                    "Keep-Alive: 5",
                    "TE: trailers",
                    "Upgrade: h2c",
                    "HTTP2-Settings: x",
                    "Connection: X-Private, HTTP2-Settings",
                    "X-Private: 1",
                    "Authorization: Basic b3JpZ2lu",
                ),
            )
    assert site.asked[0].headers == {
        "Host": "site.example",
        "Authorization": "Basic b3JpZ2lu",
        "Connection": "close",
    }
    assert {name.lower() for name in answer.headers} == {"content-length", "connection", "x-end"}


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_bodies_arrive_whole(framing: str) -> None:
    body = bytes(range(256)) * 4_000
    world = World()
    got: list[bytes] = []

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append((await read_request(reader)).body)
        if framing == "length":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            pieces = [body[i : i + 70_000] for i in range(0, len(body), 70_000)]
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.writelines(b"%x;ext=1\r\n%b\r\n" % (len(p), p) for p in pieces)
            writer.write(b"0\r\nX-Trailer: 1\r\n\r\n")
        await writer.drain()

    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\n"
            if framing == "length":
                writer.write(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            else:
                writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            answer = await read_request(reader)
            writer.close()
    assert got == [body]
    assert answer.line == "HTTP/1.1 200 OK"
    assert answer.body == body


async def test_one_connection_carries_many_requests() -> None:
    world, site, other = World(), Site(), Site(b"HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n")
    async with server(site) as there, server(other) as elsewhere:
        world.put("site.example", 80, there)
        world.put("other.example", 80, elsewhere, OTHER_IP)
        async with served(world.egress()) as port:
            one = b"GET http://site.example/ HTTP/1.1\r\nHost: x\r\n\r\n"
            two = b"GET http://other.example/ HTTP/1.1\r\nHost: x\r\n\r\n"
            said = await say(port, one + two + one + get("http://site.example/"))
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert said.count(b"HTTP/1.1 404 Gone Fishing") == 1
    assert (len(site.asked), len(other.asked)) == (3, 1)


async def test_an_answer_of_unknown_length_is_framed() -> None:
    world, site = World(), Site(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            modern = await ask(port, get("http://site.example/"))
            old = await ask(port, b"GET http://site.example/ HTTP/1.0\r\n\r\n")
    assert modern.headers["Transfer-Encoding"] == "chunked"
    assert modern.body == b"d\r\nuntil the end\r\n0\r\n\r\n"
    assert (old.body, "Transfer-Encoding" in old.headers) == (b"until the end", False)


async def test_a_head_has_no_body() -> None:
    world, site = World(), Site(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress(EgressRules("allow-list", ("site.example",)))) as port:
            allowed = await ask(port, b"HEAD http://site.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            refused = await ask(port, b"HEAD http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (allowed.status, allowed.headers["Content-Length"], allowed.body) == (200, "500", b"")
    assert (refused.status, refused.body) == (403, b"")


async def test_a_client_may_wait_for_a_go_ahead() -> None:
    world = World()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Expect: 100-continue" in head
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(4) == b"body"
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"PUT http://site.example/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"body")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
            writer.close()


async def test_an_old_client_gets_no_go_ahead() -> None:
    world, site = (
        World(),
        Site(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    )
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            modern = await say(port, get("http://site.example/"))
            old = await say(port, b"GET http://site.example/ HTTP/1.0\r\n\r\n")
    assert modern.startswith(b"HTTP/1.1 103 ")
    assert old.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_is_kept_for_later_ends_without_words() -> None:
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress(bounds=Bounds(header_s=0.2))) as port:
            said = await say(port, b"GET http://site.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert said.endswith(b"\r\n\r\nhello")


async def test_an_answer_may_come_before_the_request_is_whole() -> None:
    world = World()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno")

    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PUT http://site.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\nsome")
            async with asyncio.timeout(60):
                assert (await reader.read()).endswith(b"\r\n\r\nno")
            writer.close()


async def test_it_streams() -> None:
    """Each piece arrives before the next one is sent, in both directions."""
    world = World()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            chunk = await reader.readuntil(b"\r\n") + await reader.readuntil(b"\r\n")
            writer.write(chunk)
        writer.write(b"0\r\n\r\n")

    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            for piece in (b"1\r\na\r\n", b"2\r\nbc\r\n", b"3\r\ndef\r\n"):
                writer.write(piece)
                assert await reader.readexactly(len(piece)) == piece
            writer.write(b"0\r\n\r\n")
            assert await reader.readexactly(5) == b"0\r\n\r\n"
            writer.close()


async def test_two_lengths_are_not_passed_on() -> None:
    """What is read one way here must not be readable in another way there."""
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            smuggle = b"0\r\n\r\nGET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n"
            said = await say(
                port,
                b"POST http://site.example/ HTTP/1.1\r\nHost: x\r\nConnection: transfer-encoding\r\n"
                b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (len(smuggle), smuggle),
            )
    assert {"Content-Length", "Transfer-Encoding"} & set(site.asked[0].headers) == {"Transfer-Encoding"}
    assert site.asked[0].body == b""
    # What followed was a request of its own, judged like any other.
    assert said.count(b"HTTP/1.1 200 ") == 1
    assert said.count(b"HTTP/1.1 403 ") == 1


async def test_a_tunnel_carries_both_ways() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port, tunnel_to(port, "site.example:443") as (reader, writer):
            for text in (b"\x16\x03\x01", b"more", b"\x00" * 70_000):
                writer.write(text)
                assert await reader.readexactly(len(text)) == text


async def test_what_comes_with_the_request_for_a_tunnel_is_not_lost() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            said = await say(port, connect_to("site.example:443") + b"at once", end=True)
    assert said == b"HTTP/1.1 200 Connection established\r\n\r\nat once"


async def test_old_clients_send_no_host() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            said = await say(port, b"CONNECT site.example:443 HTTP/1.0\r\n\r\nhello", end=True)
    assert said.endswith(b"\r\n\r\nhello")
