"""The server over HTTP, in this process on a free port, and clients of it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import mcp_server
from overnight.base.settings import Settings
from overnight.mcp import http
from overnight.mcp.engine import Engine
from overnight.mcp.server import OvernightServer
from tests.mcp.conftest import Mode

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}

NOBODYS = "ovn_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A token that nobody has."""

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Takes no time to make: the authorities that nobody asks here are not read for each client."""


def settings_of(tmp_path: Path, **chosen: Any) -> Settings:
    return Settings(home=tmp_path / "home", **chosen)


def words_of(response: httpx2.Response) -> str:
    """The words of a refusal, which is one small object of JSON-RPC."""
    body = response.json()
    assert set(body) == {"jsonrpc", "id", "error"}
    assert len(response.content) < 600
    message = body["error"]["message"]
    assert isinstance(message, str)
    return message


def caller(**options: Any) -> httpx2.AsyncClient:
    """Sends requests as they are."""
    return httpx2.AsyncClient(verify=_NO_TLS, **options)


def token_of(owner: str, scopes: str) -> str:
    """A token that ``given`` makes known."""
    return f"ovn_of_{owner}_for_{scopes}"


def given(*owners: tuple[str, str]) -> list[str]:
    """Owners and scopes (``read+control``), as a setting knows their tokens."""
    return [f"{o}:{scopes}:{hashlib.sha256(token_of(o, scopes).encode()).hexdigest()}" for o, scopes in owners]


@dataclass
class Served:
    """A server that is up."""

    url: str
    server: OvernightServer
    serving: http.Serving

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def bearer(self, token: str | None) -> dict[str, str]:
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    async def post(self, content: Any = LIST, *, token: str | None = None, **headers: str) -> httpx2.Response:
        """One request, as it is; ``headers`` with _ for -."""
        sent = {**ACCEPT, **self.bearer(token), **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with caller(timeout=30) as client:
            if isinstance(content, bytes):
                return await client.post(
                    self.url, content=content, headers={"Content-Type": "application/json", **sent}
                )
            return await client.post(self.url, json=content, headers=sent)

    @asynccontextmanager
    async def client(self, token: str | None = None, mode: Mode = "auto", **options: Any) -> AsyncIterator[Client]:
        async with client_of(self.url, token, mode, **options) as client:
            yield client


@asynccontextmanager
async def client_of(url: str, token: str | None = None, mode: Mode = "auto", **options: Any) -> AsyncIterator[Client]:
    """A client of whatever serves at ``url``; ``options`` are the client's."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with caller(headers=headers, timeout=60) as http_client:
        async with Client(streamable_http_client(url, http_client=http_client), mode=mode, **options) as client:
            yield client


@asynccontextmanager
async def served(settings: Settings, server: OvernightServer | None = None) -> AsyncIterator[Served]:
    """A server of this home on a free port, which has ended with nothing under way when this is left."""
    listener, address = http.listen(settings, "127.0.0.1", 0)
    made = server or mcp_server.build(Engine(settings), http.request_state(settings))
    serving = http.Serving(made, settings, listener, address)
    running = asyncio.create_task(serving.run())
    try:
        async with caller() as client:
            async with asyncio.timeout(120):
                while True:
                    try:
                        if (await client.get(f"http://127.0.0.1:{address.port}/health")).status_code == 200:
                            break
                    except httpx2.TransportError:
                        assert not running.done()
                        await asyncio.sleep(0.02)
        yield Served(serving.url, made, serving)
    finally:
        serving.leave()
        async with asyncio.timeout(120):
            await running
