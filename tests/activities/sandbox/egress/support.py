"""A little internet on loopback: names that lead to public addresses, which are really servers of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from activities.sandbox.egress import Bounds, Egress, EgressRules
from activities.sandbox.egress.network import connect_directly
from overnight.base.destinations import Address

PUBLIC_IP = "93.184.216.34"
OTHER_IP = "151.101.0.223"
PUBLIC_IP6 = "2606:2800:220:1:248:1893:25c8:1946"
LOOPBACK = ip_address("127.0.0.1")

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class World:
    """Who has which address, and which of our servers plays whom."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    """Answers to successive look-ups of a name; the last one stays."""
    places: dict[tuple[str, int], int] = field(default_factory=dict)
    """Address and port of the internet to a port of loopback."""
    looked_up: list[str] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)

    def put(self, name: str, port: int, local_port: int, address: str = PUBLIC_IP) -> None:
        """A host with one address, played by a server of ours."""
        self.names.setdefault(name, [[address]])
        self.places[address, port] = local_port

    async def resolve(self, host: str, port: int) -> list[Address]:
        self.looked_up.append(host)
        answers = self.names.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(text) for text in answer]

    async def connect(self, address: Address, port: int) -> socket.socket:
        self.dialled.append((str(address), port))
        place = self.places.get((str(address), port))
        if place is None:
            raise ConnectionRefusedError("nobody lives there")
        return await connect_directly(LOOPBACK, place)

    def egress(
        self, rules: EgressRules | None = None, *, bounds: Bounds | None = None, upstream_proxy: str | None = None
    ) -> Egress:
        return Egress(
            rules or EgressRules("public"),
            resolve=self.resolve,
            connect=self.connect,
            bounds=bounds,
            upstream_proxy=upstream_proxy,
            trusted_names=True,
        )


@asynccontextmanager
async def served(egress: Egress, backlog: int = 128) -> AsyncIterator[int]:
    """The port on which ``egress`` serves."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    port = int(listener.getsockname()[1])
    async with egress.serving(listener):
        yield port
    assert listener.fileno() == -1


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    """A TCP server; what it still does at the end is cancelled."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    running = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield int(running.sockets[0].getsockname()[1])
    finally:
        running.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=60)
        await running.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it hears, and ends when the other side has ended."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


@dataclass
class Asked:
    """What a server of the test got."""

    line: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Site:
    """A plain HTTP server: keeps what it was asked, gives a fixed answer."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await read_request(reader))
        writer.write(self.answer)
        await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    lower = {name.lower(): value for name, value in headers.items()}
    body = b""
    if lower.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    elif length := int(lower.get("content-length", 0)):
        body = await reader.readexactly(length)
    return Asked(head[0], headers, body)


@dataclass(frozen=True)
class Answer:
    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


async def say(port: int, data: bytes, *, seconds: float = 60, end: bool = False) -> bytes:
    """Send ``data`` and read until the other side ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(data)
            await writer.drain()
            if end:
                writer.write_eof()
            return await reader.read()
    finally:
        writer.close()


async def ask(port: int, data: bytes, *, seconds: float = 60) -> Answer:
    """Send ``data`` and read one answer that ends the connection."""
    return read_answer(await say(port, data, seconds=seconds))


def read_answer(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    _, status, phrase = lines[0].split(" ", 2)
    return Answer(int(status), phrase, dict(line.split(": ", 1) for line in lines[1:]), body)


def connect_to(target: str) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


def get(url: str, *headers: str) -> bytes:
    lines = [f"GET {url} HTTP/1.1", "Host: ignored.example", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def tunnel_to(port: int, target: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A tunnel through the proxy at ``port``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(connect_to(target))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        yield reader, writer
    finally:
        writer.close()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
