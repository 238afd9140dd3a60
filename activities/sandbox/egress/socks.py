"""SOCKS5 (RFC 1928) on the same port, for tools that know no HTTP proxy: CONNECT only, no authentication."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address

from activities.sandbox.egress.bounds import Bounds
from activities.sandbox.egress.dialing import Dialer
from activities.sandbox.egress.errors import EgressError, MalformedError
from activities.sandbox.egress.pipe import say_goodbye, tunnel
from overnight.base.destinations import Target, read_host

VERSION = 5
_NO_AUTHENTICATION = 0
_NOTHING_FITS = b"\x05\xff"
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_UNKNOWN_COMMAND, _UNKNOWN_ADDRESS = 7, 8


async def serve_socks(sock: socket.socket, early: bytes, dialer: Dialer, bounds: Bounds) -> None:
    """Answer the one request that comes on ``sock``; ``early`` was read already. Raises ``OSError``; closes nothing."""
    loop = asyncio.get_running_loop()
    client = _Reader(sock, early)
    try:
        async with asyncio.timeout(bounds.header_s):
            _, methods = await client.take(2)
            if _NO_AUTHENTICATION not in await client.take(methods):
                await say_goodbye(sock, _NOTHING_FITS)
                return
            await loop.sock_sendall(sock, b"\x05\x00")
            target = await _read_request(client)
        link = await dialer.dial(target)
    except EgressError as error:
        await say_goodbye(sock, _reply(error.socks))
        return
    with link.sock:
        await loop.sock_sendall(sock, _reply(0) + link.early)
        if client.rest:
            await loop.sock_sendall(link.sock, client.rest)
        await tunnel(sock, link.sock, idle_s=bounds.idle_s)


class _Reader:
    """Takes exact numbers of bytes from a socket."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        self.rest = early
        self._sock = sock

    async def take(self, size: int) -> bytes:
        while len(self.rest) < size:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 1_024)
            if not data:
                raise ConnectionError("the client went away")
            self.rest += data
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


async def _read_request(client: _Reader) -> Target:
    version, command, _, kind = await client.take(4)
    if version != VERSION:
        raise MalformedError("this is not SOCKS5")
    address: IPv4Address | IPv6Address | None
    if kind == _IPV4:
        address = IPv4Address(await client.take(4))
        name = str(address)
    elif kind == _IPV6:
        address = IPv6Address(await client.take(16))
        name = str(address)
    elif kind == _NAME:
        (size,) = await client.take(1)
        name, address = _read_name(await client.take(size))
    else:
        raise MalformedError("an unknown kind of address", socks=_UNKNOWN_ADDRESS)
    port = int.from_bytes(await client.take(2), "big")
    if command != _CONNECT:
        raise MalformedError("only CONNECT is carried", HTTPStatus.NOT_IMPLEMENTED, _UNKNOWN_COMMAND)
    if port == 0:
        raise MalformedError("the port is a number from 1 to 65535")
    return Target(name, port, address)


def _read_name(raw: bytes) -> tuple[str, IPv4Address | IPv6Address | None]:
    try:
        return read_host(raw.decode())
    except ValueError as error:  # of which an encoding error is one
        raise MalformedError("this is not a host", socks=_UNKNOWN_ADDRESS) from error


def _reply(code: int) -> bytes:
    return bytes((VERSION, code, 0, _IPV4, 0, 0, 0, 0, 0, 0))
