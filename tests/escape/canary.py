"""What stands outside and notices: servers that count who came, sockets that sing, files that must stay as they are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

SONG = b"the canary sings"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n" + SONG
_REQUEST = re.compile(rb"^(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (\S+) HTTP/1\.1\r$", re.MULTILINE)


@dataclass
class Canary:
    """Servers on this machine that nobody in a sandbox may reach; what came is in ``visits``."""

    nonce: str
    port: int = 0
    udp_port: int = 0
    allowed_port: int = 0
    """Of a server that the installation opened to sandboxes: it sends its visitors wherever they want."""
    abstract: str = ""
    sockets: dict[str, Path] = field(default_factory=dict)
    visits: list[str] = field(default_factory=list)
    allowed: int = 0

    async def sing(self, where: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits.append(where)
        with suppress(OSError):
            writer.write(_ANSWER if where == "tcp" else SONG)
            await writer.drain()
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(4_096), 1)
        writer.close()

    async def guide(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The open server: ``/to/URL`` is sent on to that URL."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.allowed += 1
                path = head.split(b" ")[1].decode()
                _, found, target = path.partition("/to/")
                if found:
                    writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                await writer.drain()
                if b"Connection: close" in head:
                    break
        writer.close()


class _Echo(asyncio.DatagramProtocol):
    def __init__(self, canary: Canary) -> None:
        self._canary = canary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The event loop's own is one without saying so.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._canary.visits.append("udp")
        self._transport.sendto(SONG, addr)


@asynccontextmanager
async def canaries(nonce: str, folders: dict[str, Path]) -> AsyncIterator[Canary]:
    """Canaries on TCP, UDP, an abstract Unix socket, and one Unix socket in each of ``folders``."""
    canary = Canary(nonce, abstract=f"@overnight-canary-{nonce}-{os.getpid()}")
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:

        def singer(where: str):  # type: ignore[no-untyped-def]
            return lambda reader, writer: canary.sing(where, reader, writer)

        everywhere = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        canary.port = everywhere.getsockname()[1]
        await stack.enter_async_context(await asyncio.start_server(singer("tcp"), sock=everywhere))
        guide = await stack.enter_async_context(await asyncio.start_server(canary.guide, "127.0.0.1", 0))
        canary.allowed_port = guide.sockets[0].getsockname()[1]
        transport, _ = await loop.create_datagram_endpoint(lambda: _Echo(canary), local_addr=("127.0.0.1", 0))
        stack.callback(transport.close)
        canary.udp_port = transport.get_extra_info("sockname")[1]
        named = socket.socket(socket.AF_UNIX)
        named.bind("\0" + canary.abstract[1:])
        await stack.enter_async_context(await asyncio.start_unix_server(singer("abstract"), sock=named))
        for label, folder in folders.items():
            path = canary.sockets[label] = folder / "canary.sock"
            await stack.enter_async_context(await asyncio.start_unix_server(singer(label), path))
            stack.callback(path.unlink, missing_ok=True)
        yield canary


@dataclass
class Tap:
    """A relay in front of a server that keeps the paths which were asked for, and all that was sent."""

    upstream: tuple[str, int]
    port: int = 0
    sent: bytearray = field(default_factory=bytearray)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> set[str]:
        return {found.decode().partition("?")[0] for found in _REQUEST.findall(bytes(self.sent))}

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self.upstream)
        await asyncio.gather(self._copy(reader, there_writer, keep=True), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool = False) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                if keep:
                    self.sent += chunk
                writer.write(chunk)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def tap(upstream: tuple[str, int]) -> AsyncIterator[Tap]:
    """A relay on a free port of 127.0.0.1."""
    relay = Tap(upstream)
    server = await asyncio.start_server(relay._relay, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()


def snapshot(*places: Path, without: tuple[Path, ...] = ()) -> dict[str, tuple[object, ...]]:
    """All that could show that somebody was here: names, modes, owners, sizes, times of change, contents."""
    seen: dict[str, tuple[object, ...]] = {}
    for place in places:
        for path in [place, *sorted(place.rglob("*"))]:
            if any(path.is_relative_to(other) for other in without):
                continue
            status = path.lstat()
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = str(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            seen[str(path)] = (status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns, content)
    return seen
