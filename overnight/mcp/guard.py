"""The door of the MCP server over HTTP: who may come in, from where, with how much, how often.

It stands before everything of the protocol, answers in words of our own, and tells nobody outside what is inside.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from secrets import token_hex

import structlog
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overnight.base.settings import Settings
from overnight.errors import NotReadyError
from overnight.mcp import envelope
from overnight.mcp.callers import Caller, calling, holds
from overnight.mcp.lifetime import LeavingError, until
from overnight.mcp.limits import AtOnce, Rate, TooManyError
from overnight.mcp.tokens import Registry
from overnight.reach import Reach

log = structlog.get_logger("mcp_server")

PATH = "/mcp"
HEALTH = "/health"
_DRAINED = 16
"""Of a body that is too large, how many times the limit is read and thrown away."""
_MAY = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name",
    "Access-Control-Max-Age": "600",
}
_SHOWN = "WWW-Authenticate, Retry-After"
_LISTENING = "subscriptions/listen"
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""What proxies add to requests that they hand on."""
HOLDS_SECONDS = 2.0
"""How often it is looked whether the token of somebody who listens still holds."""


class _RefusedError(Exception):
    """The request ends at the door."""

    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True)
class Address:
    """Where the server listens, and what else it is called."""

    host: str
    port: int
    loopback: bool
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "others", tuple(name.lower() for name in self.others))

    @property
    def private(self) -> bool:
        """Whether only this machine comes here: by its address, and by no name at which a proxy takes others' calls."""
        return self.loopback and all(is_loopback(_without_port(name)) for name in self.others)

    @property
    def names(self) -> frozenset[str]:
        """What we are called, with the port where it has to be told."""
        own = ("127.0.0.1", "localhost", "[::1]") if self.loopback else (_bracketed(self.host),)
        return frozenset(
            {f"{name}:{self.port}" for name in own} | (set(own) if self.port in {80, 443} else set()) | set(self.others)
        )

    def is_called(self, host: str) -> bool:
        """Whether a request with this Host is meant for us, and not for a name that somebody led here."""
        host = host.lower()
        bare = _without_port(host)
        if host in self.names or bare in self.others:
            return True
        # A server for all of a machine's addresses: a number cannot be led elsewhere, as a name can.
        return _is_everywhere(self.host) and _number(bare) is not None


class Guard:
    """An application in front of another, which it lets see only whom it knows.

    The caller is told to the inner one as ``callers.current``, and as the SDK tells it, so that what it seals for one
    caller cannot be opened by another.
    """

    def __init__(
        self, app: ASGIApp, registry: Registry, settings: Settings, address: Address, *, stateless: bool = True
    ) -> None:
        self._app = app
        self._registry = registry
        self._settings = settings
        self._address = address
        self._methods = ("POST",) if stateless else ("POST", "GET", "DELETE")
        self._rate = Rate(settings.mcp_requests_per_minute)
        self._at_once = AtOnce(settings.mcp_at_once, "requests")
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """End streams that would go on for ever."""
        self._leaving.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        page = self._page(Headers(scope=scope))

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", ()), *page]}
            await send(message)

        try:
            await self._handle(scope, receive, sending)
        except _RefusedError as refused:
            await _answer(sending, refused.status, _error(str(refused)), refused.headers)
        except envelope.EnvelopeError as refused:
            await _answer(sending, refused.status, _error(str(refused), refused.code))
        except Exception as error:
            reference = token_hex(4)
            log.error("a request crashed", reference=reference, exc_info=error)
            if not started:
                said = f"Internal error (reference {reference}; the details are in this server's log)."
                await _answer(sending, HTTPStatus.INTERNAL_SERVER_ERROR, _error(said, -32603))

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == HEALTH and scope["method"] in {"GET", "HEAD"}:
            await _answer(send, HTTPStatus.OK, {"status": "ok"}, body=scope["method"] == "GET")
            return
        headers = Headers(scope=scope)
        self._check_origin(headers)
        if scope["path"] != PATH:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"There is nothing here; the MCP endpoint is {PATH}.")
        if scope["method"] == "OPTIONS" and headers.get("origin") in self._settings.mcp_origins:
            await _answer(send, HTTPStatus.OK, {}, _MAY)
            return
        if scope["method"] not in self._methods:
            allowed = ", ".join(self._methods)
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {allowed}.", {"Allow": allowed})
        self._check_way(headers)
        where = _where(scope)
        caller = self._caller(headers, where)
        try:
            self._rate.take(caller.name)
            with self._at_once.one(caller.name):
                body = await self._body(headers, receive)
                if scope["method"] == "POST":
                    envelope.check(body)
                given = headers.getlist("authorization")
                with calling(caller, lambda: self._holds(caller, given, where)):
                    await self._inside(scope, body, receive, send, caller, headers)
        except TooManyError as error:
            raise _RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": str(error.seconds or 1)}
            ) from None

    def _page(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """What lets a page read the answer, if its origin was given."""
        origin = headers.get("origin")
        if origin is None or origin not in self._settings.mcp_origins:
            return []
        shown = {"access-control-allow-origin": origin, "access-control-expose-headers": _SHOWN, "vary": "Origin"}
        return [(name.encode(), value.encode()) for name, value in shown.items()]

    def _check_origin(self, headers: Headers) -> None:
        """Raises ``_RefusedError`` for a page, or a name, that leads a browser here."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._address.is_called(hosts[0]):
            raise _RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This server is not called by that name. Whoever runs it adds names with OVERNIGHT_MCP_HOSTS.",
            )
        for origin in headers.getlist("origin"):
            own = origin.lower() in {f"http://{name}" for name in self._address.names}
            own = own or origin.lower() in {f"https://{name}" for name in self._address.others}
            if not own and origin not in self._settings.mcp_origins:
                raise _RefusedError(HTTPStatus.FORBIDDEN, "Web pages of that origin may not call this server.")

    def _check_way(self, headers: Headers) -> None:
        """Raises ``_RefusedError`` where whoever is on this machine may come in, for one that a proxy hands on."""
        if not self._registry.demanded and any(name in headers for name in _OF_PROXIES):
            raise _RefusedError(
                HTTPStatus.FORBIDDEN,
                "This request came through a proxy, and no token is asked for here yet. Whoever runs the server makes"
                " one with `overnight mcp token add`.",
            )

    def _caller(self, headers: Headers, where: str) -> Caller:
        """Who calls. Raises ``_RefusedError`` for somebody without a token that holds."""
        given = headers.getlist("authorization")
        try:
            caller = self._known(given, where)
        except NotReadyError as error:
            log.error("tokens cannot be checked, so nobody is let in", error=str(error))
            raise _RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "This server cannot check tokens now; its log says why."
            ) from None
        if caller is not None:
            return caller
        try:
            self._rate.take(f"unknown/{where}")
        except TooManyError as error:
            raise _RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, str(error), {"Retry-After": str(error.seconds or 1)}
            ) from None
        said = "This token is not known here, or no longer." if given else "A token is needed."
        challenge = 'Bearer realm="overnight"' + (', error="invalid_token"' if given else "")
        raise _RefusedError(
            HTTPStatus.UNAUTHORIZED,
            f"{said} Send `Authorization: Bearer <token>`; whoever runs the server makes one"
            " with `overnight mcp token add`.",
            {"WWW-Authenticate": challenge},
        )

    def _known(self, given: list[str], where: str) -> Caller | None:
        """Who comes with these credentials; None for nobody. Raises ``NotReadyError``."""
        if not self._registry.demanded and self._address.private:
            return Caller(f"open/{where}", reach=Reach(projects=tuple(self._settings.mcp_projects) or None))
        kind, _, presented = (given[0] if len(given) == 1 else "").partition(" ")
        return self._registry.caller(presented.strip()) if kind.lower() == "bearer" else None

    def _holds(self, caller: Caller, given: list[str], where: str) -> bool:
        """Whether who came with these credentials would still be let in as the same."""
        try:
            return self._known(given, where) == caller
        except NotReadyError:
            return False

    async def _over(self) -> None:
        """Returns when the caller's stream has to end: the server leaves, or the token does not hold any more."""
        while not self._leaving.is_set() and holds():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), HOLDS_SECONDS)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body. Raises ``_RefusedError`` for one that is too large, too slow or encoded."""
        most = self._settings.mcp_body_kb * 1_024
        too_large = _RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request is larger than {self._settings.mcp_body_kb:,} kB, the most that this server takes.",
            {"Connection": "close"},
        )
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the request as it is, not compressed.")
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > most * _DRAINED:
            raise too_large
        body, got = bytearray(), 0
        try:
            async with asyncio.timeout(self._settings.mcp_request_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise _RefusedError(HTTPStatus.BAD_REQUEST, "The request broke off.")
                    piece = message.get("body", b"")
                    got += len(piece)
                    if got <= most:
                        body += piece
                    # Who still sends does not hear an answer, but that the connection broke: a little is taken in.
                    if got > most * _DRAINED or (got > most and not message.get("more_body", False)):
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise _RefusedError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The request was not there within {self._settings.mcp_request_seconds:g} s.",
                {"Connection": "close"},
            ) from None

    async def _inside(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, caller: Caller, headers: Headers
    ) -> None:
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        token = AccessToken(
            token="", client_id=caller.reach.owner or "local", subject=caller.reach.owner, scopes=sorted(caller.scopes)
        )
        user = AuthenticatedUser(token)
        before = auth_context_var.set(user)
        try:
            inner = self._app({**scope, "user": user}, replay, send)
            if headers.get("mcp-method") != _LISTENING:
                await inner
                return
            with suppress(LeavingError):  # the protocol lets such a stream be cut
                await until(self._over(), inner)
        finally:
            auth_context_var.reset(before)


def _where(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "somewhere"


def _error(message: str, code: int = -32600) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


async def _answer(
    send: Send,
    status: HTTPStatus,
    content: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
    *,
    body: bool = True,
) -> None:
    raw = json.dumps(content).encode()
    given = {"content-type": "application/json", "content-length": str(len(raw)), "cache-control": "no-store"}
    given |= {name.lower(): value for name, value in (headers or {}).items()}
    shown = [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": shown})
    await send({"type": "http.response.body", "body": raw if body else b""})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() and _number(host) is None else host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _is_everywhere(host: str) -> bool:
    number = _number(host)
    return number is not None and number.is_unspecified


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    number = _number(host)
    return host.lower() == "localhost" or (number is not None and number.is_loopback)
