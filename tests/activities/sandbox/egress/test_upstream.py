"""Out through the installation's own proxy."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from activities.sandbox.egress import Bounds, Egress, EgressRules
from activities.sandbox.egress.upstream import Upstream, may_go_by_name
from tests.activities.sandbox.egress.support import (
    OTHER_IP,
    PUBLIC_IP,
    Asked,
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

PROXY_IP = "10.9.9.9"


class CompanyProxy:
    """A CONNECT proxy that leads everything to one place."""

    def __init__(self, leads_to: int, answer: bytes = b"HTTP/1.1 200 OK\r\nVia: corp\r\n\r\n") -> None:
        self.asked: list[Asked] = []
        self._leads_to = leads_to
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await read_request(reader))
        if not self._answer.startswith(b"HTTP/1.1 200"):
            writer.write(self._answer)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._leads_to)
        writer.write(self._answer)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
            sink.write_eof()

        try:
            await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
        finally:
            far_writer.close()


@asynccontextmanager
async def behind(company: CompanyProxy, world: World) -> AsyncIterator[str]:
    async with server(company) as there:
        world.put("proxy.corp", 3128, there, PROXY_IP)
        yield "http://us%40er:pass%2Fword@proxy.corp:3128"


async def test_tunnels_go_through_it_by_the_address_that_was_judged() -> None:
    world = World(names={"site.example": [[PUBLIC_IP], ["127.0.0.1"]]})
    async with server(echo) as there:
        company = CompanyProxy(there)
        async with behind(company, world) as url:
            async with served(world.egress(upstream_proxy=url)) as port:
                async with tunnel_to(port, "site.example:443") as (reader, writer):
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
                    writer.write_eof()
                    assert await reader.read() == b""
    (asked,) = company.asked
    assert asked.line == f"CONNECT {PUBLIC_IP}:443 HTTP/1.1"
    assert base64.b64decode(asked.headers["Proxy-Authorization"].removeprefix("Basic ")) == b"us@er:pass/word"
    assert world.dialled == [(PROXY_IP, 3128)]


async def test_plain_requests_go_through_it_too() -> None:
    world, site = World(names={"site.example": [[PUBLIC_IP]]}), Site()
    async with server(site) as there:
        company = CompanyProxy(there)
        async with behind(company, world) as url:
            async with served(world.egress(upstream_proxy=url)) as port:
                answer = await ask(port, get("http://site.example/"))
    assert answer.body == b"hello"
    assert company.asked[0].line == f"CONNECT {PUBLIC_IP}:80 HTTP/1.1"
    assert "Proxy-Authorization" not in site.asked[0].headers


async def test_what_it_says_at_once_is_not_lost() -> None:
    world = World(names={"site.example": [[PUBLIC_IP]]})
    hello = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as there:
        company = CompanyProxy(there, b"HTTP/1.1 200 OK\r\n\r\n" + hello)
        async with behind(company, world) as url:
            async with served(world.egress(upstream_proxy=url)) as port:
                async with tunnel_to(port, "site.example:443") as (reader, _):
                    assert await reader.readexactly(len(hello)) == hello
                assert (await ask(port, get("http://site.example/"))).body == b"hello"
                name = b"site.example"
                socks = b"\x05\x01\x00\x05\x01\x00\x03" + bytes((len(name),)) + name + b"\x01\xbb"
                assert (await say(port, socks, end=True)).endswith(bytes(6) + hello)


async def test_a_public_name_that_is_not_known_here_is_left_to_it() -> None:
    world = World()
    async with server(echo) as there:
        company = CompanyProxy(there)
        async with behind(company, world) as url:
            egress = world.egress(EgressRules("public", exceptions=("index.corp:80",)), upstream_proxy=url)
            async with served(egress) as port:
                async with tunnel_to(port, "pkgs.dev:443"):
                    pass
                async with tunnel_to(port, "index.corp:80"):
                    pass
                inside = [
                    await ask(port, connect_to(f"{name}:80")) for name in ("vault", "vault.corp", "a.svc", "x.local")
                ]
    assert [asked.line for asked in company.asked] == [
        "CONNECT pkgs.dev:443 HTTP/1.1",
        "CONNECT index.corp:80 HTTP/1.1",
    ]
    assert [answer.status for answer in inside] == [502] * 4
    assert egress.blocked == []


async def test_what_is_known_to_be_private_is_refused_all_the_same() -> None:
    world = World(names={"mixed.example": [[PUBLIC_IP, "10.0.0.1"]]})
    company = CompanyProxy(1)
    async with behind(company, world) as url:
        async with served(world.egress(upstream_proxy=url)) as port:
            for target in ("mixed.example:443", "169.254.169.254:80", "127.0.0.1:7233"):
                assert (await ask(port, connect_to(target))).status == 403
    assert company.asked == []


async def test_exceptions_are_reached_directly() -> None:
    world = World()
    async with server(echo) as there:
        world.put("index.corp", 443, there, "10.0.0.5")
        company = CompanyProxy(1)
        async with behind(company, world) as url:
            rules = EgressRules("public", exceptions=("10.0.0.0/24",))
            async with served(world.egress(rules, upstream_proxy=url)) as port:
                async with tunnel_to(port, "index.corp:443"):
                    pass
    assert company.asked == []


@pytest.mark.parametrize("target", ["proxy.corp:3128", f"{PROXY_IP}:3128", f"{PROXY_IP}:22", "alias.example:3128"])
async def test_the_proxy_itself_is_out_of_reach(target: str) -> None:
    """Whoever speaks to it himself can ask it for anything."""
    world = World(names={"alias.example": [[PROXY_IP]]})
    company = CompanyProxy(1)
    async with behind(company, world) as url:
        rules = EgressRules("public", exceptions=("10.0.0.0/8", "proxy.corp"))
        egress = world.egress(rules, upstream_proxy=url)
        async with served(egress) as port:
            assert (await ask(port, connect_to(target))).status == 403
    assert company.asked == []
    assert [b.reason for b in egress.blocked] == ["this installation's own proxy"]


async def test_it_is_known_by_its_name_too() -> None:
    """One name, many addresses: each look-up may bring another one."""
    world = World(names={"proxy.corp": [["10.9.9.1"], ["10.9.9.2"]]})
    rules = EgressRules("public", exceptions=("10.0.0.0/8",))
    async with served(world.egress(rules, upstream_proxy="http://proxy.corp:3128")) as port:
        assert (await ask(port, connect_to("proxy.corp:3128"))).status == 403
    assert world.dialled == []


async def test_a_public_proxy_is_out_of_reach_too() -> None:
    world = World(names={"alias.example": [[OTHER_IP]]})
    async with served(world.egress(upstream_proxy=f"http://{OTHER_IP}:3128")) as port:
        assert (await ask(port, connect_to("alias.example:3128"))).status == 403
    assert world.dialled == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b"status 407"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", b"status 403"),
        (b"SSH-2.0-x\r\n", b"speaks no HTTP"),
        (b"", b"installation's own proxy"),
    ],
)
async def test_its_refusal_is_told_without_its_password(answer: bytes, said: bytes) -> None:
    world = World(names={"site.example": [[PUBLIC_IP]]})
    company = CompanyProxy(1, answer)
    async with behind(company, world) as url:
        egress = world.egress(upstream_proxy=url)
        async with served(egress) as port:
            told = await ask(port, connect_to("site.example:443"))
    assert told.status == 502
    assert said in told.body
    assert b"pass" not in told.body
    assert egress.blocked == []


async def test_one_that_is_silent_is_given_up() -> None:
    world = World(names={"site.example": [[PUBLIC_IP]]})

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.sleep(30)

    async with server(silent) as there:
        world.put("proxy.corp", 3128, there, PROXY_IP)
        egress = world.egress(upstream_proxy="http://proxy.corp:3128", bounds=Bounds(connect_s=0.2))
        async with served(egress) as port:
            assert (await ask(port, connect_to("site.example:443"))).status == 504


async def test_one_that_is_not_there_is_told() -> None:
    world = World(names={"site.example": [[PUBLIC_IP]]})
    async with served(world.egress(upstream_proxy="http://gone.corp:3128")) as port:
        answer = await ask(port, connect_to("site.example:443"))
    assert answer.status == 502
    assert b"own proxy cannot be found" in answer.body


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://proxy.corp:3128/", "proxy.corp", 3128),
        ("proxy.corp:8080", "proxy.corp", 8080),
        ("http://10.0.0.1", "10.0.0.1", 80),
    ],
)
def test_its_address_is_read(url: str, host: str, port: int) -> None:
    upstream = Upstream.read(url)
    assert (upstream.host, upstream.port, upstream.credentials) == (host, port, "")


@pytest.mark.parametrize(
    "url",
    [
        "https://u:secret@proxy.corp",
        "socks5://u:secret@proxy.corp",
        "http://u:secret@:1",
        "http://u:secret@p:x",
        "http://u:secret/x@p:1",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="write http://host:port") as caught:
        Egress(EgressRules("public"), upstream_proxy=url)
    assert "secret" not in str(caught.value)


def test_its_password_is_not_shown() -> None:
    assert "c2VjcmV0" not in repr(Upstream.read("http://:secret@proxy.corp"))


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("pkgs.dev", True), ("a.b.co.uk", True), ("localhost", False), ("vault", False), ("x.localhost", False),
        ("x.local", False), ("metadata.google.internal", False), ("nas.lan", False), ("x.home.arpa", False),
        ("x.corp", False), ("db.svc.cluster.local", False),
    ],
)  # fmt: skip
def test_which_names_may_be_left_to_it(name: str, may: bool) -> None:
    assert may_go_by_name(name) is may
