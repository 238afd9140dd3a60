"""A model's service of which every byte is in the test's hand, and the parts that most tests of the gateway need."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import SecretStr

from activities.claude import Gateway, Lease
from overnight.base.credentials import Credential, Kind

BODY = {"model": "claude-opus-5-5", "max_tokens": 10, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"input_tokens": 1_000, "output_tokens": 50}
COST = (1_000 * 4 + 50 * 20) / 1e6
"""USD of ``USAGE``."""
SECRET = "the-secret"
ESTIMATE = len(json.dumps(BODY, separators=(",", ":"))) // 4 * 4 / 1e6
"""USD for a prompt like ``BODY`` of which nobody saw what it cost."""


def events(usage: Mapping[str, Any] = USAGE, *, model: str = "claude-opus-5-5", text: str = "ok") -> list[bytes]:
    """A streamed answer, event by event."""
    message = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": list[str]()}
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": {**usage, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in told]


def http(body: bytes, *, status: int = 200, kind: str = "text/event-stream", **headers: str) -> bytes:
    """A whole response."""
    lines = [f"HTTP/1.1 {status} .", f"content-type: {kind}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


HEAD = b"HTTP/1.1 200 .\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
"""The head of a response that ends with its connection."""
ANSWER = http(b"".join(events()))


@dataclass
class Asked:
    """A request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def rest(self) -> None:
        """Until the other side goes away."""
        with suppress(ConnectionError):
            await self.reader.read(1)


Play = Callable[[Asked], Awaitable[None]]


@dataclass
class Service:
    """What was asked of it, and how it answers."""

    url: str
    play: Play
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    async def until(self, count: int) -> None:
        """Until so many requests are there."""
        while len(self.asked) < count:
            await asyncio.sleep(0.005)


async def answers(asked: Asked) -> None:
    """The usual answer."""
    await asked.say(ANSWER)


@asynccontextmanager
async def service(play: Play = answers, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
    """A service on loopback, for as long as the context lasts."""
    there: list[asyncio.StreamWriter] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.append(writer)
        found.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                asked = await _asked(reader, writer)
                found.asked.append(asked)
                await found.play(asked)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, limit=2**24, ssl=tls)
    scheme = "http" if tls is None else "https"
    found = Service(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", play)
    try:
        yield found
    finally:
        server.close()
        for writer in there:
            writer.transport.abort()
        await asyncio.sleep(0)


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split(" ")[1], headers, body, reader, writer)


def credential(upstream: str, kind: Kind = "api_key", **more: Any) -> Credential:
    return Credential(kind=kind, secret=SecretStr(SECRET), source="test", upstream=upstream, **more)


def lease(budget_usd: float = 1.0) -> Lease:
    return Lease("a-session", "execute", iteration=3, attempt=2, budget_usd=budget_usd)


@asynccontextmanager
async def gateway_to(upstream: str | Credential) -> AsyncIterator[tuple[Gateway, Lease]]:
    """A gateway before the service, and a lease on it."""
    held = credential(upstream) if isinstance(upstream, str) else upstream
    async with Gateway(lambda: held).running() as gateway, gateway.lease(lease()) as granted:
        yield gateway, granted


async def post(
    gateway: Gateway, held: Lease, body: object = BODY, *, url: str | None = None, **headers: str
) -> httpx2.Response:
    """A request as Claude Code makes it, and its answer, whole."""
    sent = {"x-api-key": held.token, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=60) as client:
        return await client.post(f"{url or gateway.url}/v1/messages?beta=true", json=body, headers=sent)


async def silent(asked: Asked) -> None:
    """No answer."""
    await asked.rest()


async def begun(asked: Asked) -> None:
    """An answer that does not come to its end."""
    await asked.say(HEAD, *events()[:3])
    await asked.rest()


async def connected(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the gateway, for what no client of HTTP would send."""
    return await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))


def head(held: Lease, *lines: str) -> bytes:
    """The head of a request, with these header lines."""
    first = ["POST /v1/messages HTTP/1.1", "host: gateway", f"x-api-key: {held.token}"]
    return "\r\n".join([*first, *lines, "", ""]).encode()


async def status(reader: asyncio.StreamReader) -> int:
    """The status of the answer that comes."""
    return int((await reader.readuntil(b"\r\n")).split()[1])
