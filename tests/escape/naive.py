"""What Overnight's proxy and gateway are not: they do whatever they are asked, so that attacks on them succeed."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import psutil

from tests.escape.outpost import known_names

_URL = re.compile(rb"^[A-Z]+ (\S+) HTTP")


async def _proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, UnicodeError):
        first = await reader.readexactly(1)
        if first == b"\x05":
            await _socks(reader, writer)
        else:
            await _http(first, reader, writer)
    writer.close()


async def _http(first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in range(3):
        head = first + await reader.readuntil(b"\r\n\r\n")
        first = b""
        target = _URL.findall(head)[0].decode()
        if head.startswith(b"CONNECT"):
            host, _, port = target.rpartition("@")[2].rpartition(":")
            there = await _reach(host, int(port))
            writer.write(b"HTTP/1.1 200 fine\r\n\r\n")
            await _tunnel((reader, writer), there)
            return
        url = urlsplit(target)
        host = re.findall(rb"\r\nHost: ([^\r]+)", head)[0].decode()
        # In a first request it believes the Host header more than the URL, as some did.
        where = url if number or "@" in url.netloc else urlsplit(f"//{host}")
        there_reader, there_writer = await _reach(where.hostname or "", where.port or 80)
        there_writer.write(f"GET {url.path or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        writer.write(await there_reader.read())
        there_writer.close()
        await writer.drain()
        if b"Connection: close" in head:
            return


async def _socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly((await reader.readexactly(1))[0])
    writer.write(b"\x05\x00")
    kind = (await reader.readexactly(4))[3]
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        host = socket.inet_ntop(family, await reader.readexactly(size))
    port = int.from_bytes(await reader.readexactly(2), "big")
    there = await _reach(host, port)
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    await _tunnel((reader, writer), there)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _reach(host: str, port: int) -> Ends:
    name = (
        unicodedata.normalize("NFKC", host.strip("[]").replace("%25", "%")).replace("\u3002", ".").rstrip(".").lower()
    )
    addresses = await asyncio.to_thread(known_names, name, port, 0, socket.SOCK_STREAM)
    # The last of them: whoever looks at the first alone is led astray. Nothing leaves this machine all the same.
    address = addresses[-1][4][0]
    if not ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback and address not in own_addresses():
        raise OSError("not this machine")
    return await asyncio.wait_for(asyncio.open_connection(address, port), 2)


def own_addresses() -> set[str]:
    """This machine's, and the one that stands for all of them."""
    return {entry.address for entries in psutil.net_if_addrs().values() for entry in entries} | {"0.0.0.0", "::"}  # noqa: S104


async def _tunnel(one: Ends, other: Ends) -> None:
    await asyncio.gather(_copy(one[0], other[1]), _copy(other[0], one[1]))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes")
        await writer.drain()
    writer.close()


@asynccontextmanager
async def naive_proxy() -> AsyncIterator[str]:
    """URL of a proxy that carries everything everywhere."""
    server = await asyncio.start_server(_proxy, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def naive_gateway() -> AsyncIterator[str]:
    """URL of a gateway that says yes to everything."""
    server = await asyncio.start_server(_yes, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
