"""The ways in which a client reaches the server: in memory, over stdio, over HTTP; in both eras of the protocol."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from mcp import Client
from mcp.types import ElicitResult

import mcp_server
from overnight.mcp.engine import Engine
from tests.conformance.served import REAL, served
from tests.mcp.conftest import MODES, Mode, Place

T = TypeVar("T")

Over = Literal["memory", "stdio", "http"]


class Reach(NamedTuple):
    """One way."""

    over: Over
    mode: Mode

    def __str__(self) -> str:
        return f"{self.over}-{'modern' if self.mode == 'auto' else self.mode}"


async def approving(context: Any, params: Any) -> ElicitResult:
    """A person who approves whatever it is."""
    return ElicitResult(action="accept", content={"decision": "approve"})


REACHES = [Reach(over, mode) for over in get_args(Over) for mode in MODES]


class Clients:
    """One client for each way, opened when it is first asked for and kept until the end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open: dict[Reach, Client] = {}
        self._kept: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._url = ""

    async def get(self, reach: Reach) -> Client:
        """The client that reaches the server in this way."""
        if reach.over == "http" and not self._url:
            log = self._place.settings.home / "logs" / "http.log"
            self._url, _ = await self._keep(served(REAL, self._place.environment(), log))
        if reach not in self._open:
            self._open[reach] = await self._keep(self._client(reach))
        return self._open[reach]

    async def close(self) -> None:
        """End clients and servers, the last first."""
        for over, task in reversed(self._kept):
            over.set()
            await task

    def _client(self, reach: Reach) -> Client:
        match reach.over:
            case "memory":
                server: Any = mcp_server.build(Engine(self._place.settings))
            case "stdio":
                server = self._place.parameters()
            case "http":
                server = self._url
        return Client(server, mode=reach.mode, elicitation_callback=approving)

    async def _keep(self, manager: AbstractAsyncContextManager[T]) -> T:
        """What ``manager`` gives. Entered and left in a task of its own: tests and their fixtures are other tasks."""
        given: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        async def keep() -> None:
            try:
                async with manager as one:
                    given.set_result(one)
                    await over.wait()
            except Exception as error:
                if given.done():
                    raise
                given.set_exception(error)

        self._kept.append((over, asyncio.create_task(keep())))
        return await given
