"""The MCP server over HTTP: on loopback, or elsewhere for callers with tokens. No process of it holds state.

``serve`` ends the process when a signal says so: waits are answered, short calls are finished, streams are cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import structlog
import uvicorn
from mcp.server.request_state import RequestStateSecurity
from mcp.server.transport_security import TransportSecuritySettings
from uvicorn.protocols.http.h11_impl import H11Protocol

from overnight.base.finish import finish
from overnight.base.settings import Settings
from overnight.errors import InvalidRequestError, NotReadyError
from overnight.mcp.access import Access
from overnight.mcp.callers import NOBODY, calling
from overnight.mcp.guard import PATH, Address, Guard, is_loopback
from overnight.mcp.lifetime import told_to_leave
from overnight.mcp.limits import AtOnce
from overnight.mcp.server import QUESTION_SECONDS, OvernightServer
from overnight.mcp.tokens import Registry
from overnight.stack.home import prepare, read_text

log = structlog.get_logger("mcp_server")

PORT = 8808
MAX_CONNECTIONS = 2_000
MAX_HEADER_BYTES = 32_768
LEAVE_SECONDS = 5
"""How long calls may take to end when the server has to leave; waits are ended at once."""
STATE_KEY = "mcp-state.key"
KEY_CHARACTERS = 32


def request_state(settings: Settings) -> RequestStateSecurity:
    """What seals the state of a call that asks a question back: the same key in all servers of a home, or by setting.

    Raises ``NotReadyError``.
    """
    given = settings.mcp_state_key
    if given is not None and len(given) < KEY_CHARACTERS:
        raise NotReadyError(f"OVERNIGHT_MCP_STATE_KEY: it has fewer than {KEY_CHARACTERS} characters; take random ones")
    return RequestStateSecurity(keys=[given or _key_of(settings.home)], ttl=QUESTION_SECONDS)


def _key_of(home: Path) -> str:
    place = prepare(home).path / STATE_KEY
    try:
        fresh = place.with_name(f".{STATE_KEY}.{os.getpid()}")
        if not place.exists():
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, place)  # whole or not at all, and the first of several servers gives it
            fresh.unlink()
    except OSError as error:
        raise NotReadyError(f"{place} cannot be written: {error.strerror}; or set OVERNIGHT_MCP_STATE_KEY") from None
    key = (read_text(place) or "").strip()
    if len(key) < KEY_CHARACTERS:
        raise NotReadyError(f"{place} holds no key; remove it, and the next server makes another")
    return key


def application(server: OvernightServer, settings: Settings, address: Address, *, stateless: bool = True) -> Guard:
    """The server behind its door, as an ASGI application. Raises ``NotReadyError`` for tokens that cannot be read."""
    server.access = Access(AtOnce(settings.mcp_waits_at_once, "waits"))
    inner = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=stateless,
        max_request_body_size=settings.mcp_body_kb * 1_024,
        # The door looks at Host and Origin, for every path.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        host=address.host,
    )
    return Guard(inner, Registry(settings), settings, address, stateless=stateless)


def listen(settings: Settings, host: str, port: int) -> tuple[socket.socket, Address]:
    """A socket that listens, and what it is called.

    Raises ``NotReadyError`` for an address that others reach while nobody has a token, ``InvalidRequestError``.
    """
    registry = Registry(settings)
    address = Address(host, port, is_loopback(host), tuple(settings.mcp_hosts))
    if (registry.demanded or not address.private) and not registry.usable():
        why = f"{host} is reached from other machines"
        if address.loopback:
            why = "tokens are asked for here" if address.private else "OVERNIGHT_MCP_HOSTS lets other machines come"
        raise NotReadyError(
            f"refusing to listen: {why}, and nobody has a token that holds. Make one: overnight mcp token add NAME"
            " --scope read,control"
        )
    bound = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.AF_INET6 if ":" in bound else socket.AF_INET
        listener = socket.create_server((bound, port), family=family, backlog=128)
    except (OSError, OverflowError, UnicodeError, TypeError) as error:  # the last for a name that is none
        raise InvalidRequestError(_cannot_listen(host, port, error)) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener, replace(address, port=listener.getsockname()[1])


def _cannot_listen(host: str, port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; choose another with --port, or 0 for a free one"
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return f"port {port} needs rights that this user does not have; choose one above 1023"
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot listen on {host}, port {port}: {why}"


class Serving:
    """A server on a listening socket, in somebody's event loop."""

    def __init__(
        self,
        server: OvernightServer,
        settings: Settings,
        listener: socket.socket,
        address: Address,
        *,
        stateless: bool = True,
    ) -> None:
        self._server = server
        self._app = application(server, settings, address, stateless=stateless)
        self._listener = listener
        self.url = f"http://{'127.0.0.1' if address.loopback else address.host}:{address.port}{PATH}"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http=_impatient(settings.mcp_request_seconds),
            ws="none",
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            log_config=None,
            access_log=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=LEAVE_SECONDS,
        )
        self._uvicorn = _Guest(config)

    async def run(self) -> None:
        """Serve until ``leave``; then returns when all that was under way has ended."""
        with calling(NOBODY):  # and so is whatever runs here, until the door knows who calls
            await self._uvicorn.serve(sockets=[self._listener])

    def leave(self) -> None:
        """Take no more, and come to an end."""
        self._server.access.leave()
        self._app.leave()
        self._uvicorn.should_exit = True


async def serve(
    server: OvernightServer, settings: Settings, listener: socket.socket, address: Address, *, stateless: bool = True
) -> NoReturn:
    """Serve callers over HTTP; ends the process when a signal says so."""
    serving = Serving(server, settings, listener, address, stateless=stateless)
    running = asyncio.create_task(serving.run())
    leaving = asyncio.create_task(told_to_leave(None))
    log.info("listening", url=serving.url, tokens=Registry(settings).demanded)
    await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
    if leaving.done():
        log.info("leaving", why=leaving.result())
        serving.leave()
    try:
        await running
    except Exception as error:
        log.error("the server cannot go on", exc_info=error)
        finish(1)
    finish(0 if leaving.done() else 1)


class _Guest(uvicorn.Server):
    """A server that leaves the signals of the process to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _impatient(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, for callers that begin requests and do not end them: it closes their connections.

    uvicorn itself waits for ever for the head of a request.
    """

    class Impatient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._look()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._look()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._disarm()

        def _busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _look(self) -> None:
            if self._busy() or self.transport.is_closing():
                self._disarm()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self._out_of_patience)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _out_of_patience(self) -> None:
            self._timer = None
            if not self._busy():
                self.transport.close()

    return Impatient


def warnings(settings: Settings, address: Address) -> list[str]:
    """What whoever starts the server should know."""
    said: list[str] = []
    registry = Registry(settings)
    if not registry.demanded:
        said.append(
            "no token is asked for: whoever has an account on this machine can use it as you. To ask for one:"
            " overnight mcp token add NAME --scope read,control"
        )
    elif not settings.mcp_projects:
        said.append(
            "callers can start new projects only, since no place is allowed to them; OVERNIGHT_MCP_PROJECTS allows some"
        )
    if not address.loopback:
        said.append(
            "tokens and sessions travel unencrypted here; let callers come through a proxy that speaks TLS, and name it"
            " with OVERNIGHT_MCP_HOSTS"
        )
    return said
