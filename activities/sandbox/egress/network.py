"""The two things that a proxy asks of the outside: the addresses of a name, and a connection to an address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address

from overnight.base.destinations import Address

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Addresses of a name, best first. Raises ``OSError`` for a name that is not known."""
Connect = Callable[[Address, int], Awaitable[socket.socket]]
"""A connected socket that does not block. Raises ``OSError``."""

LOOKUPS = 8
"""Names looked up at once for one box."""


class SystemResolver:
    """Asks the system, in threads of its own: a box that asks for names without end holds up nobody else."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def __call__(self, host: str, port: int) -> list[Address]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="egress-names")
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))

    def close(self) -> None:
        """Let the threads go; one that waits for a name server ends when that gives up."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


async def connect_directly(address: Address, port: int) -> socket.socket:
    """A TCP connection from this machine. Raises ``OSError``."""
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock
