"""Lets connections in from one listening socket: so many at once, and none when it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import structlog

from activities.sandbox.egress.bounds import Bounds

log = structlog.get_logger(__name__)

_IN_ONE_GO = 8
_RETRY_SECONDS = 1.0
_GRACE_SECONDS = 0.1


class Intake:
    """Runs ``serve`` for each connection and closes it afterwards. Owns ``listener``."""

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket], Awaitable[None]],
        turn_away: Callable[[socket.socket], None],
        bounds: Bounds,
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._turn_away = turn_away
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._stuck = False
        """Full, and nobody has left for a while."""
        self._to_refuse = 0
        """How many may be turned away now."""
        self._troubled = False

    def open(self) -> None:
        """Begin to let connections in."""
        self._listener.setblocking(False)
        self._listen()

    async def close(self) -> None:
        """End all connections; none is open afterwards, and the listener is closed."""
        self._loop.remove_reader(self._listener)
        self._silence()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._listener.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._let_in)

    def _let_in(self) -> None:
        # A few at a time: whoever opens thousands must not keep the loop to himself.
        for _ in range(_IN_ONE_GO):
            full = len(self._tasks) >= self._bounds.connections
            if full and not self._to_refuse:
                # Those that leave are noticed a little later than they leave.
                self._wait(_GRACE_SECONDS if self._stuck else self._bounds.queue_s, stuck=True)
                return
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                self._to_refuse = 0
                return
            except OSError as error:
                # Out of handles, or shut from inside; it must not spin.
                if not self._troubled:
                    log.warning("a sandbox's proxy cannot accept connections", error=str(error))
                self._troubled = True
                self._wait(_RETRY_SECONDS, stuck=self._stuck)
                return
            client.setblocking(False)
            if full:
                self._to_refuse -= 1
                self._turn_away(client)
                client.close()
            else:
                self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        task = self._loop.create_task(self._run(client))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            # Here and not in the task: one that is cancelled before its first step runs nothing.
            client.close()
            self._tasks.discard(task)
            self._left()

        task.add_done_callback(ended)

    async def _run(self, client: socket.socket) -> None:
        try:
            await self._serve(client)
        except OSError:
            return  # one side went away, or took too long
        except Exception:
            log.exception("a connection out of a sandbox broke off")

    def _left(self) -> None:
        if self._alarm is not None and len(self._tasks) < self._bounds.connections:
            self._silence()
            self._listen()
        self._stuck = False
        self._to_refuse = 0

    def _wait(self, seconds: float, *, stuck: bool) -> None:
        """Accept nothing for a while, or until somebody leaves."""
        self._loop.remove_reader(self._listener)

        def over() -> None:
            self._alarm = None
            self._stuck = stuck
            self._to_refuse = _IN_ONE_GO if stuck else 0
            self._listen()

        self._alarm = self._loop.call_later(seconds, over)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
