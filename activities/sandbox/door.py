"""The worker's side of a box's start: it takes the box's listening sockets, and learns which process the box is."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

Service = Callable[[socket.socket], AbstractAsyncContextManager[object]]
"""Serves on a listening socket for as long as its context lasts."""

_VISIT_SECONDS = 30.0
_CREDENTIALS = struct.Struct("3i")


class Door:
    """Open for exactly one box, once: it hands its listeners over, is answered, and the door is gone."""

    def __init__(self, path: Path, services: list[Service]) -> None:
        self._path = path
        self._services = services
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.box: int | None = None
        """Handle of the box's first process: sending SIGKILL to it ends all that runs in the box."""
        self.pid: int | None = None
        """Pid, on the host, of that process; of the command itself where there is no namespace."""

    async def __aenter__(self) -> Door:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket's path may have 107 bytes at most, a folder's handle is as short as can be.
        folder = os.open(self._path.parent, os.O_PATH)
        try:
            listener.bind(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)
        self._path.chmod(0o600)
        listener.listen(1)
        listener.setblocking(False)
        self._task = asyncio.create_task(self._let_in(listener))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._stack.aclose()
        if self.box is not None:
            os.close(self.box)
            self.box = None
        self._path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the box and everything in it."""
        if self.box is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.box, signal.SIGKILL)

    async def gone(self, seconds: float) -> None:
        """Wait, for at most ``seconds``, until nothing of the box is left: its first process ends as the last."""
        if self.box is None:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.box, ended.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), seconds)
        finally:
            loop.remove_reader(self.box)

    async def _let_in(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            with listener:
                visitor, _ = await loop.sock_accept(listener)
            self._path.unlink(missing_ok=True)
            with visitor:
                await self._welcome(visitor)
        except OSError as error:
            log.warning("a box did not come up", error=str(error))

    async def _welcome(self, visitor: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        visitor.setblocking(False)
        pid, _, _ = _CREDENTIALS.unpack(visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        self.pid = _first_of_namespace(pid)
        self.box = os.pidfd_open(self.pid)
        readable = asyncio.Event()
        loop.add_reader(visitor, readable.set)
        try:
            async with asyncio.timeout(_VISIT_SECONDS):
                await readable.wait()
        finally:
            loop.remove_reader(visitor)
        _, handles, _, _ = socket.recv_fds(visitor, 16, max(1, len(self._services)))
        listeners: list[socket.socket] = []
        try:
            listeners = [socket.socket(fileno=handle) for handle in handles]
        except OSError:
            for handle in handles:
                with suppress(OSError):
                    os.close(handle)
            raise
        if len(listeners) != len(self._services):
            for listener in listeners:
                listener.close()
            raise OSError(f"a box handed over {len(listeners)} sockets, not {len(self._services)}")
        for listener, service in zip(listeners, self._services, strict=True):
            self._stack.callback(listener.close)
            await self._stack.enter_async_context(service(listener))
        await loop.sock_sendall(visitor, b"go")


def _first_of_namespace(pid: int) -> int:
    """The process itself, or its parent, when that is the first of its namespace and takes all others with it."""
    with suppress(OSError, ValueError, KeyError):
        fields = _status(pid)
        parent = int(fields["PPid"])
        for candidate, spaces in ((pid, fields["NSpid"]), (parent, _status(parent)["NSpid"])):
            if len(spaces.split()) > 1 and spaces.split()[-1] == "1":
                return candidate
    return pid


def _status(pid: int) -> dict[str, str]:
    status = Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
