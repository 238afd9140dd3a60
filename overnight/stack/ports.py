"""Loopback ports: is one free, does one answer, who has it, which to take."""

from __future__ import annotations

import errno
import os
import random
import socket
import zlib
from collections.abc import Container
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"

# Below the ranges that systems hand out to outgoing connections (32768 and up on Linux): a client that keeps trying
# to reach a dead server on such a port may be given that very port, and then talks to itself.
_FIRST, _LAST = 20_000, 29_999


def answers(port: int, seconds: float = 0.5) -> bool:
    """Whether something accepts a connection on the loopback port within ``seconds``."""
    try:
        with socket.create_connection((LOOPBACK, port), seconds):
            return True
    except OSError:
        return False


def why_not(port: int) -> str | None:
    """Why a server could not listen on the loopback port, in words; None when it could."""
    with socket.socket() as probe:
        # As servers do, so that connections of an earlier server that still linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"cannot be used: {os.strerror(error.errno or 0)}"
            holder = _holder(port)
            return f"is in use by {holder}" if holder else "is in use by another program"
    return None


def _holder(port: int) -> str | None:
    try:
        for connection in psutil.net_connections("tcp"):
            here = connection.laddr
            if here and here.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):  # other users' processes are not for everyone to see
        pass
    return None


def choose(home: Path, avoid: Container[int | None]) -> int:
    """A free loopback port that is not in ``avoid``: the same one for the same home where possible.

    Raises ``OSError`` when none is free.
    """
    start = zlib.crc32(os.fsencode(home)) % (_LAST - _FIRST)
    near = [_FIRST + (start + step) % (_LAST - _FIRST) for step in range(10)]
    far = random.Random().sample(range(_FIRST, _LAST), 200)  # noqa: S311 - not a secret
    for port in (*near, *far):
        if port not in avoid and why_not(port) is None:
            return port
    raise OSError(errno.EADDRINUSE, f"no free port between {_FIRST} and {_LAST}")
