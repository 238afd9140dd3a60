"""The way to the sessions: connected when first needed, connected anew when the stack went elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from overnight.base.credentials import HOW_TO_GET_ONE, Credential
from overnight.base.settings import Settings
from overnight.base.temporal import connect, is_external
from overnight.client import Sessions
from overnight.connection import Connection, open_connection
from overnight.errors import NotReadyError, UnreachableError
from overnight.stack import Stack, find

log = structlog.get_logger("mcp_server")

PATIENCE_SECONDS = 8.5
"""How long a call waits for an engine that is being started; the starting itself goes on."""
START_SECONDS = 90.0
CONNECT_SECONDS = 1.5

STARTED = "The engine (Temporal server and worker) was not up: it was started for this call and stays up."


class StartingError(UnreachableError):
    """The engine is being started and is not there yet."""


@dataclass(frozen=True)
class Ready:
    """An engine that takes new sessions, and what the person should know of it."""

    sessions: Sessions
    notice: str


class Engine:
    """Holds a connection and nothing else: whatever it knows can be had again from Temporal at any time."""

    def __init__(self, settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._settings = settings
        self._patience = patience_seconds
        self._open: Connection | None = None
        self._starting: asyncio.Task[Connection] | None = None
        self._stage = "starting"

    async def sessions(self) -> Sessions:
        """For looking at sessions: any Temporal server of the stack will do, worker or not; started when there is none.

        Raises ``UnreachableError``; a ``StartingError`` means that the engine is coming.
        """
        stack = await self._find()
        if self._open is not None and self._fits(stack):
            return self._open.sessions
        if stack is not None and not stack.up and stack.server is not None and stack.proven:
            # The worker is away: whoever only looks does not wait for it.
            try:
                client = await asyncio.wait_for(connect(stack.address, stack.namespace), CONNECT_SECONDS)
            except (RuntimeError, TimeoutError):
                return (await self._brought_up()).sessions
            self._open = Connection(Sessions(client, self._settings, ui_url=stack.ui_url), stack)
            return self._open.sessions
        return (await self._brought_up()).sessions

    async def acting(self) -> Sessions:
        """For messages to sessions: as for looking, and what is missing of the stack is started meanwhile."""
        sessions = await self.sessions()
        stack = await self._find()
        if not is_external() and (stack is None or not stack.up):
            self._bring_up()
        return sessions

    async def ready(self, credential: Credential | None) -> Ready:
        """For new sessions: server and worker, started when they are not there.

        Raises ``NotReadyError`` when they would have to be started without any credential, ``UnreachableError``.
        """
        stack = await self._find()
        if self._open is not None and self._fits(stack) and (stack is None or stack.up):
            return Ready(self._open.sessions, self._open.notice)
        down = not is_external() and (stack is None or stack.server is None)
        if down and stack is None and credential is None:
            raise NotReadyError(HOW_TO_GET_ONE)
        opened = await self._brought_up()
        return Ready(opened.sessions, " ".join(part for part in (STARTED if down else "", opened.notice) if part))

    async def _find(self) -> Stack | None:
        return None if is_external() else await asyncio.to_thread(find, self._settings)

    def _fits(self, stack: Stack | None) -> bool:
        """Whether what is connected is what runs now."""
        if self._open is None:
            return False
        if stack is None:
            return is_external()
        known = self._open.stack
        return (
            known is not None
            and stack.server is not None
            and (known.address, known.server)
            == (
                stack.address,
                stack.server,
            )
        )

    async def _brought_up(self) -> Connection:
        starting = self._bring_up()
        done, _ = await asyncio.wait({starting}, timeout=self._patience)
        if not done:
            raise StartingError(
                f"the engine (Temporal server and worker) is not up yet ({self._stage}). Starting goes on in the"
                " background: call again in 10 seconds"
            )
        return starting.result()

    def _bring_up(self) -> asyncio.Task[Connection]:
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._connect())
            self._starting.add_done_callback(_record)
        return self._starting

    async def _connect(self) -> Connection:
        self._stage = "connecting"
        opened = await open_connection(self._settings, wait_seconds=START_SECONDS, on_progress=self._tell)
        self._open = opened
        return opened

    def _tell(self, stage: str) -> None:
        self._stage = stage
        log.info("engine", stage=stage)


def _record(task: asyncio.Task[Connection]) -> None:
    """A start that failed while nobody waited for it is in the log."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("the engine did not come up", error=str(error))
