"""The scripted model as a server on loopback, in the event loop of whoever opens it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from overnight.demo import wire
from overnight.demo.reply import NO_USAGE, Cut, Fault, Hang, HttpError, Rates, Say, Usage, billed
from overnight.demo.script import Request, Scenario

_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream", "cache-control": "no-cache"}


@dataclass(frozen=True)
class Exchange:
    """A request and what it got; ``usage`` is what the wire told of tokens, nothing for a refusal."""

    request: Request
    reply: Say | Fault
    usage: Usage


class ScriptedModel:
    """Plays a scenario at ``url`` from entering to leaving ``async with``, and records what it was asked.

    Params:
        scenario: decides every reply.
        port: TCP port on 127.0.0.1; a free one if 0.
        keep: how many exchanges the record holds; older ones leave it (the totals count all).
    Raises:
        OSError: on entering, if the port is taken.
    """

    def __init__(self, scenario: Scenario, *, port: int = 0, keep: int = 500) -> None:
        self._scenario = scenario
        self._port = port
        self._exchanges: deque[Exchange] = deque(maxlen=keep)
        self._billed: dict[str, Usage] = {}
        routes = [
            Route("/api/hello", _hello, methods=["GET", "HEAD"]),
            Route("/v1/messages", self._messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", _count_tokens, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._closing = asyncio.Event()
        config = uvicorn.Config(self.app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
        self._server = _QuietServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.should_exit = True
        await self._task

    @property
    def port(self) -> int:
        """The TCP port that it listens on, once entered."""
        return self._port

    @property
    def url(self) -> str:
        """What goes into ``ANTHROPIC_BASE_URL``."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def exchanges(self) -> list[Exchange]:
        """The latest exchanges, oldest first. A request is recorded before its reply is sent."""
        return list(self._exchanges)

    @property
    def requests(self) -> list[Request]:
        """The latest requests, oldest first."""
        return [exchange.request for exchange in self._exchanges]

    @property
    def billed_by_model(self) -> dict[str, Usage]:
        """All tokens billed since the start, by model."""
        return dict(self._billed)

    @property
    def billed(self) -> Usage:
        """All tokens billed since the start."""
        return sum(self._billed.values(), NO_USAGE)

    def cost_usd(self, rates: Mapping[str, Rates]) -> float:
        """What the tokens of all models cost at ``rates``, in USD.

        Raises:
            KeyError: if ``rates`` lacks a model that was used.
        """
        return sum((usage.cost_usd(rates[model]) for model, usage in self._billed.items()), 0.0)

    def forget(self) -> None:
        """Empties the record and the totals."""
        self._exchanges.clear()
        self._billed.clear()

    async def _messages(self, http: HttpRequest) -> Response:
        request = Request(headers=dict(http.headers), body=await http.json())
        try:
            reply = self._scenario.reply(request)
        except Exception as error:
            # A mistake in a script must reach the reader of the test, and Claude Code shows the text of a 400.
            reply = HttpError(status=400, message=f"the script failed: {error!r}")
        usage = billed(reply)
        self._exchanges.append(Exchange(request, reply, usage))
        self._billed[request.model] = self._billed.get(request.model, NO_USAGE) + usage
        return _Delivery(self, request, reply)

    async def rest(self, receive: Receive, seconds: float | None = None) -> None:
        """Waits for ``seconds`` (for ever if None), but no longer than the client and this model are there."""
        waits = [asyncio.ensure_future(receive()), asyncio.create_task(self._closing.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def drop(self, client: tuple[str, int], *, reset: bool = False) -> None:
        """Closes the connection from the address ``client``, whatever it is in the middle of."""
        for connection in self._server.server_state.connections:
            if isinstance(connection, H11Protocol) and connection.client == client:
                if reset:
                    end = connection.transport.get_extra_info("socket")
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.transport.close()


class _Delivery(Response):
    """Sends a reply by hand, since a framework does its best to prevent what the faults are for."""

    def __init__(self, model: ScriptedModel, request: Request, reply: Say | Fault) -> None:
        super().__init__()
        self._model, self._request, self._reply = model, request, reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, reply = self._request, self._reply
        if isinstance(reply, HttpError | Say) and reply.delay:
            await self._model.rest(receive, reply.delay)
        match reply:
            case HttpError():
                body = wire.error(reply, request).encode()
                await _send(send, reply.status, {**_JSON, **reply.headers}, [body])
            case Say() if request.stream:
                await _send(send, 200, {**_EVENTS, **reply.headers}, wire.events(request, reply))
            case Say():
                body = json.dumps(wire.message(request, reply), default=dict).encode()
                await _send(send, 200, {**_JSON, **reply.headers}, [body])
            case Hang() | Cut():
                if reply.after != "request":
                    await _send(send, 200, _EVENTS, wire.broken(request, reply.after, reply.usage), end=False)
                if isinstance(reply, Hang):
                    await self._model.rest(receive)
                self._model.drop(scope["client"], reset=isinstance(reply, Cut) and reply.reset)
                await receive()


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals of the process alone: it is a guest in somebody's event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _send(
    send: Send, status: int, headers: Mapping[str, str], parts: Iterable[bytes], *, end: bool = True
) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    # An empty part at once: the server holds the headers back until the first one.
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    if end:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hello(http: HttpRequest) -> Response:
    return Response()


async def _count_tokens(http: HttpRequest) -> Response:
    return JSONResponse({"input_tokens": len(await http.body()) // 4})
