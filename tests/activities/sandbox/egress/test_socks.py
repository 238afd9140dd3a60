"""SOCKS5 on the same port."""

from __future__ import annotations

import asyncio
import shutil
from ipaddress import ip_address

import pytest

from activities.sandbox.egress import Blocked, EgressRules
from tests.activities.sandbox.egress.support import PUBLIC_IP, PUBLIC_IP6, Site, World, echo, say, served, server

HELLO = b"\x05\x01\x00"


def by_name(name: bytes, port: int, command: int = 1) -> bytes:
    return bytes((5, command, 0, 3, len(name))) + name + port.to_bytes(2, "big")


def by_address(text: str, port: int) -> bytes:
    address = ip_address(text)
    return bytes((5, 1, 0, 1 if address.version == 4 else 4)) + address.packed + port.to_bytes(2, "big")


@pytest.mark.parametrize(
    "request_bytes",
    [
        by_name(b"Site.Example.", 443),
        by_address(PUBLIC_IP, 443),
        by_address(PUBLIC_IP6, 443),
        by_name(b"0x5db8d822", 443),
    ],
)
async def test_it_connects(request_bytes: bytes) -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        world.places[PUBLIC_IP6, 443] = there
        async with served(world.egress()) as port:
            said = await say(port, HELLO + request_bytes + b"hello", end=True)
    assert said == b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6) + b"hello"


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (by_address("127.0.0.1", 80), 2),
        (by_address("::1", 80), 2),
        (by_address("::ffff:10.0.0.1", 80), 2),
        (by_name(b"127.1", 80), 2),
        (by_name(b"::1", 80), 2),
        (by_name(b"site.example", 25), 2),
        (by_name(b"no.such.example", 80), 4),
        (by_name(b"site.example", 81), 5),
        (by_name(b"site.example", 0), 1),
        (by_name(b"", 80), 8),
        (by_name(b"\xff\xfe", 80), 8),
        (by_name(b"a b", 80), 8),
        (by_name(b"site.example", 80, command=2), 7),
        (by_name(b"site.example", 80, command=3), 7),
        (b"\x05\x01\x00\x02\x00\x00", 8),
        (b"\x04\x01\x00\x01\x00\x00", 1),
    ],
)
async def test_what_does_not_work_has_its_code(request_bytes: bytes, code: int) -> None:
    world = World(names={"site.example": [[PUBLIC_IP]]})
    egress = world.egress()
    async with served(egress) as port:
        said = await say(port, HELLO + request_bytes)
    assert said == b"\x05\x00" + bytes((5, code, 0, 1)) + bytes(6)
    assert bool(egress.blocked) is (code == 2)


async def test_a_refusal_is_kept() -> None:
    egress = World().egress(EgressRules("allow-list", ("pkgs.dev",)))
    async with served(egress) as port:
        await say(port, HELLO + by_name(b"evil.example", 443))
    assert egress.blocked == [Blocked("evil.example:443", "not on this session's allow-list", 1)]


@pytest.mark.parametrize("greeting", [b"\x05\x01\x02", b"\x05\x00"])
async def test_nobody_logs_in(greeting: bytes) -> None:
    async with served(World().egress()) as port:
        assert await say(port, greeting) == b"\x05\xff"


async def test_it_may_come_byte_by_byte() -> None:
    world = World()
    async with server(echo) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in HELLO + by_name(b"site.example", 443):
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.001)
            async with asyncio.timeout(60):
                assert len(await reader.readexactly(12)) == 12
            writer.close()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_curl_speaks_it() -> None:
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            command = ["curl", "-sS", "--proxy", f"socks5h://127.0.0.1:{port}", "http://site.example/x"]
            curl = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            out, _ = await curl.communicate()
    assert (curl.returncode, out) == (0, b"hello")
