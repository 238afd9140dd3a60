"""The installation's own HTTP proxy, where that is the only way out."""

from __future__ import annotations

import asyncio
import base64
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import h11

from activities.sandbox.egress.blocked import clean
from activities.sandbox.egress.errors import EgressError
from overnight.base.destinations import Address, Target, read_host

_DEFAULT_PORT = 80
_MAX_HEAD = 65_536
_CHUNK = 4_096
_INSIDE = frozenset(
    (
        "local", "localhost", "localdomain", "internal", "intranet", "private", "lan", "home", "corp", "domain",
        "test", "example", "invalid", "onion", "alt", "arpa", "workgroup", "consul", "cluster", "svc",
    )
)  # fmt: skip
"""Last labels that no public name has, or that lead to machines and not to hosts of the internet."""


@dataclass(frozen=True)
class Upstream:
    """Where the installation's proxy is, and what to tell it."""

    host: str
    port: int
    address: Address | None
    credentials: str = field(default="", repr=False)

    @classmethod
    def read(cls, url: str) -> Upstream:
        """Read ``http://[user:password@]host[:port]``; raises ``ValueError`` in words that show no password."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http":
            raise ValueError(f"a proxy at {parts.scheme}:// is not supported: write http://host:port in HTTPS_PROXY")
        try:
            host, address = read_host(parts.hostname or "")
            port = parts.port or _DEFAULT_PORT
        except ValueError:
            # What is wrong may be a piece of the password.
            raise ValueError("the proxy's address cannot be read: write http://host:port in HTTPS_PROXY") from None
        user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        return cls(host, port, address, "" if user == ":" else base64.b64encode(user.encode()).decode())

    async def greet(self, sock: socket.socket, target: Target) -> bytes:
        """Make ``sock``, connected to this proxy, a connection to ``target``; returns what came with the answer.

        Raises ``EgressError`` when the proxy refuses, and ``OSError``.
        """
        loop = asyncio.get_running_loop()
        wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        headers = [("Host", str(target))]
        if self.credentials:
            headers.append(("Proxy-Authorization", f"Basic {self.credentials}"))
        asked = wire.send(h11.Request(method="CONNECT", target=str(target), headers=headers))
        await loop.sock_sendall(sock, asked + wire.send(h11.EndOfMessage()))
        try:
            while not isinstance(event := wire.next_event(), h11.Response):
                if event is h11.NEED_DATA:
                    wire.receive_data(await loop.sock_recv(sock, _CHUNK))
                elif not isinstance(event, h11.InformationalResponse):
                    raise ConnectionError("the installation's own proxy closed the connection")
        except h11.RemoteProtocolError as error:
            raise ConnectionError("the installation's own proxy speaks no HTTP") from error
        if not 200 <= event.status_code < 300:
            raise EgressError(
                f"The installation's own proxy did not let {clean(str(target))} through (status {event.status_code}). "
                "Whoever runs Overnight can ask for it there.",
                HTTPStatus.BAD_GATEWAY,
            )
        return wire.trailing_data[0]


def may_go_by_name(name: str) -> bool:
    """Whether a name that is not known here may be left to the proxy: one of several labels, and a public one.

    The proxy looks it up where we cannot see the answer, so whatever looks like a machine of its own network stays out.
    """
    labels = name.split(".")
    return len(labels) > 1 and labels[-1] not in _INSIDE
