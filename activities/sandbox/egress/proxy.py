"""The way out of one box: HTTP proxy and SOCKS5 on one listening socket, under the session's rules."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from activities.sandbox.egress.blocked import Blocked
from activities.sandbox.egress.bounds import Bounds
from activities.sandbox.egress.dialing import Dialer
from activities.sandbox.egress.errors import MalformedError
from activities.sandbox.egress.http import refusal, serve_http
from activities.sandbox.egress.intake import Intake
from activities.sandbox.egress.network import Connect, Resolve, SystemResolver, connect_directly
from activities.sandbox.egress.rules import EgressRules
from activities.sandbox.egress.socks import VERSION as SOCKS5
from activities.sandbox.egress.socks import serve_socks
from activities.sandbox.egress.upstream import Upstream

_FIRST_BYTES = 4_096


class Egress:
    """The way out of one box. Nothing is opened before ``serving``."""

    def __init__(
        self,
        rules: EgressRules,
        *,
        resolve: Resolve | None = None,
        connect: Connect = connect_directly,
        upstream_proxy: str | None = None,
        trusted_names: bool = False,
        bounds: Bounds | None = None,
    ) -> None:
        """``upstream_proxy`` (``http://[user:password@]host:port``) is the way out of this machine, if it needs one.

        Connections then go by CONNECT through it, to the address that was looked up here. With ``trusted_names`` a
        public name of several labels that is not known here is passed on as it is: only for a proxy that refuses
        private addresses itself. Exceptions are reached directly.
        Raises ``ValueError`` in words.
        """
        if rules.mode == "host":
            raise ValueError("the mode 'host' is the machine's own network: no proxy serves it")
        self._system = SystemResolver()
        self._serving = 0
        self._bounds = bounds or Bounds()
        upstream = Upstream.read(upstream_proxy) if upstream_proxy else None
        self._dialer = Dialer(
            rules, resolve or self._system, connect, upstream, self._bounds, trusted_names=trusted_names
        )

    @property
    def blocked(self) -> list[Blocked]:
        """What was refused so far, by destination and reason; at most 51 entries of bounded texts."""
        return self._dialer.blocked.entries()

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on ``listener``, a TCP socket that listens, until the context ends; all is closed then, it too."""
        intake = Intake(listener, self._serve, _turn_away, self._bounds)
        self._serving += 1
        try:
            intake.open()
            yield
        finally:
            await intake.close()
            self._serving -= 1
            if not self._serving:
                self._system.close()

    async def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(self._bounds.header_s):
            early = await asyncio.get_running_loop().sock_recv(client, _FIRST_BYTES)
        if not early:
            return
        serve = serve_socks if early[0] == SOCKS5 else serve_http
        await serve(client, early, self._dialer, self._bounds)


def _turn_away(client: socket.socket) -> None:
    """Say that there are too many, without waiting for anything."""
    words = MalformedError("too many connections are open at once: close some", HTTPStatus.SERVICE_UNAVAILABLE)
    with suppress(OSError):
        client.send(refusal(words))
        client.shutdown(socket.SHUT_WR)
        # Closed with something unread, a socket is reset; what has come by now is all that can be read in no time.
        client.recv(_FIRST_BYTES)
