"""One plain HTTP request, passed on and answered while both bodies stream."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from http import HTTPStatus

import h11

from activities.sandbox.egress.blocked import clean
from activities.sandbox.egress.errors import EgressError, MalformedError
from activities.sandbox.egress.pipe import paced
from activities.sandbox.egress.wire import Wire
from overnight.base.destinations import Target, read_target

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?")
_HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings", b"proxy-connection"}
_FRAMING = {b"content-length", b"transfer-encoding"}
_HTTP_PORT = 80
_MODERN = b"1.1"

Headers = list[tuple[bytes, bytes]]


def read_url(request: h11.Request) -> tuple[Target, bytes]:
    """Destination and path of a request in absolute form; raises ``MalformedError``."""
    url = _ABSOLUTE.fullmatch(request.target.decode("ascii"))
    if url is None:
        raise MalformedError("this is a proxy and no server: ask for a whole URL, or CONNECT host:port")
    scheme, authority, path = url.groups()
    if scheme.lower() == "https":
        raise MalformedError("https goes through CONNECT host:443, and TLS is the client's own")
    if scheme.lower() != "http":
        raise MalformedError(f"only http and https are carried, not {scheme[:20]}", HTTPStatus.NOT_IMPLEMENTED)
    if any(b"websocket" in value.lower() for name, value in request.headers if name == b"upgrade"):
        raise MalformedError("a websocket goes through CONNECT: use wss://", HTTPStatus.NOT_IMPLEMENTED)
    try:
        target = read_target(authority.rpartition("@")[2], _HTTP_PORT)
    except ValueError as error:
        raise MalformedError(str(error)) from error
    if not path and request.method == b"OPTIONS":
        return target, b"*"
    return target, (path if path.startswith("/") else f"/{path}").encode()


async def forward(client: Wire, request: h11.Request, target: Target, path: bytes, server: Wire, idle_s: float) -> None:
    """Pass ``request`` on to ``server`` and its answer back to ``client``.

    Raises ``EgressError`` when there is no answer that could be passed on, ``OSError`` and ``h11.ProtocolError`` when
    the exchange broke off after its answer had begun.
    """
    try:
        async with paced(idle_s) as pace:
            client.pace = server.pace = pace
            await server.send(_asked(request, target, path))
            await _exchange(client, server, modern=request.http_version >= _MODERN)
    except (OSError, h11.ProtocolError) as error:
        if client.state.our_state is not h11.SEND_RESPONSE:
            raise
        if client.state.their_state is h11.ERROR:
            raise MalformedError("the body of the request cannot be read") from error
        late = isinstance(error, TimeoutError)
        did = "said nothing for too long" if late else "closed the connection without a proper answer"
        raise EgressError(
            f"{clean(str(target))} {did}. The sandbox allows it; the fault is elsewhere.",
            HTTPStatus.GATEWAY_TIMEOUT if late else HTTPStatus.BAD_GATEWAY,
        ) from error
    finally:
        client.pace = None


async def _exchange(client: Wire, server: Wire, *, modern: bool) -> None:
    # An answer may come, and be all, while the request is still being sent.
    asking = asyncio.create_task(_pass_request(client, server))
    try:
        await _pass_answer(server, client, modern=modern)
    finally:
        asking.cancel()
        await asyncio.wait({asking})


async def _pass_request(client: Wire, server: Wire) -> None:
    try:
        while isinstance(event := await client.next(), h11.Data):
            try:
                await server.send(h11.Data(event.data))
            except OSError:
                return  # it listens no more; its answer may be there all the same
        with suppress(OSError):
            await server.send(h11.EndOfMessage())
    except (OSError, h11.ProtocolError):
        # Half a request must not be taken for a whole one; this also ends the wait for an answer.
        with suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)


async def _pass_answer(server: Wire, client: Wire, *, modern: bool) -> None:
    while True:
        event = await server.next()
        if isinstance(event, h11.InformationalResponse):
            if modern:
                await client.send(h11.InformationalResponse(status_code=event.status_code, headers=_kept(event)))
        elif isinstance(event, h11.Response):
            await client.send(_answered(event))
        elif isinstance(event, h11.Data):
            await client.send(h11.Data(event.data))
        elif isinstance(event, h11.EndOfMessage):
            await client.send(h11.EndOfMessage())
            return
        else:
            raise ConnectionError("no answer")


def _asked(request: h11.Request, target: Target, path: bytes) -> h11.Request:
    """The request as the server gets it. No Via header: servers that see one send no compressed answers."""
    host = str(target) if target.port != _HTTP_PORT else str(target).removesuffix(f":{_HTTP_PORT}")
    kept = [(name, value) for name, value in _kept(request) if name.lower() != b"host"]
    headers = [(b"Host", host.encode()), *kept, (b"Connection", b"close")]
    return h11.Request(method=request.method, target=path, headers=headers)


def _answered(response: h11.Response) -> h11.Response:
    return h11.Response(status_code=response.status_code, reason=response.reason, headers=_kept(response))


def _kept(message: h11.Request | h11.Response | h11.InformationalResponse) -> Headers:
    """The headers that are meant for the other end, framed in one way only."""
    named = {
        token.strip().lower() for name, value in message.headers if name == b"connection" for token in value.split(b",")
    }
    # What frames a body is not for the sender to take away: two readers would see two different bodies.
    dropped = (_HOP_BY_HOP | named) - _FRAMING
    if any(name == b"transfer-encoding" for name, _ in message.headers):
        dropped |= {b"content-length"}
    return [
        (name, value)
        for name, value in message.headers.raw_items()
        if name.lower() not in dropped and not name.lower().startswith(b"proxy-")
    ]
