"""The HTTP side of the proxy: CONNECT, and plain requests in absolute form."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus

import h11

from activities.sandbox.egress.bounds import Bounds
from activities.sandbox.egress.dialing import Dialer
from activities.sandbox.egress.errors import EgressError, MalformedError
from activities.sandbox.egress.forward import forward, read_url
from activities.sandbox.egress.pipe import reset_on_close, say_goodbye, tunnel
from activities.sandbox.egress.wire import HEAD_CHUNK, MAX_LINES, Wire
from overnight.base.destinations import read_target

BLOCKED_HEADER = "X-Overnight-Blocked"
_BOTH_DONE = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}


async def serve_http(sock: socket.socket, early: bytes, dialer: Dialer, bounds: Bounds) -> None:
    """Answer what comes on ``sock`` until it ends; ``early`` was read already. Closes nothing."""
    client = Wire(sock, h11.SERVER, bounds.header_bytes, early)
    method = b""
    try:
        while (request := await _head(client, bounds)) is not None:
            method = request.method
            if method == b"CONNECT":
                await _connect(client, request, dialer, bounds)
                return
            await _forward(client, request, dialer, bounds)
            waiting = client.state.trailing_data[0]
            # What was read together with a body is no head in small bites.
            if client.state.states != _BOTH_DONE or len(waiting) > HEAD_CHUNK:
                await say_goodbye(sock, b"")
                return
            client.state.start_next_cycle()
            client.heard = bool(waiting)
    except EgressError as error:
        await say_goodbye(sock, refusal(error, with_body=method != b"HEAD"))
    except (OSError, h11.ProtocolError):
        # An answer broke off, and must not look whole: an old client takes the end for its end.
        if (client.state.their_http_version or b"") < b"1.1":
            reset_on_close(sock)


async def _head(client: Wire, bounds: Bounds) -> h11.Request | None:
    """The next request, or None when there is none. Raises ``EgressError`` for what is none, and ``OSError``."""
    try:
        async with asyncio.timeout(bounds.header_s):
            event = await client.next()
    except TimeoutError as error:
        if not client.heard:
            return None
        raise MalformedError("the request took too long", HTTPStatus.REQUEST_TIMEOUT) from error
    except h11.RemoteProtocolError as error:
        if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            words = f"the head of a request has at most {bounds.header_bytes} bytes and {MAX_LINES} lines"
            raise MalformedError(words, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from error
        raise MalformedError("this is not HTTP/1.1") from error
    return event if isinstance(event, h11.Request) else None


async def _connect(client: Wire, request: h11.Request, dialer: Dialer, bounds: Bounds) -> None:
    try:
        target = read_target(request.target.decode("ascii"))
    except ValueError as error:
        raise MalformedError(str(error)) from error
    if not isinstance(client.state.next_event(), h11.EndOfMessage):
        raise MalformedError("CONNECT has no body")
    link = await dialer.dial(target)
    with link.sock:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client.sock, b"HTTP/1.1 200 Connection established\r\n\r\n" + link.early)
        if said := client.state.trailing_data[0]:
            await loop.sock_sendall(link.sock, said)
        await tunnel(client.sock, link.sock, idle_s=bounds.idle_s)


async def _forward(client: Wire, request: h11.Request, dialer: Dialer, bounds: Bounds) -> None:
    target, path = read_url(request)
    link = await dialer.dial(target)
    with link.sock:
        server = Wire(link.sock, h11.CLIENT, bounds.header_bytes, link.early)
        await forward(client, request, target, path, server, bounds.idle_s)


def refusal(error: EgressError, *, with_body: bool = True) -> bytes:
    """A whole answer that says why not. Tools that drop the body of a refused CONNECT still show the first line."""
    phrase = f"Blocked by Overnight's sandbox: {error.reason}" if error.reason else error.status.phrase
    body = f"{error.words}\n".encode()
    lines = [
        f"HTTP/1.1 {error.status.value} {phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if error.reason:
        lines.append(f"{BLOCKED_HEADER}: {error.reason}")
    return "\r\n".join([*lines, "", ""]).encode("ascii", "replace") + (body if with_body else b"")
