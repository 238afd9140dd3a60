"""The way to the sessions: connected when first needed, connected anew when the stack went elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from overnight.base.credentials import HOW_TO_GET_ONE, Credential
from overnight.base.patience import as_long_as_it_takes, left
from overnight.base.settings import Settings
from overnight.base.temporal import connect, is_external
from overnight.client import Sessions
from overnight.connection import Connection, open_connection, served
from overnight.errors import NotReadyError, UnreachableError
from overnight.mcp import callers
from overnight.mcp.beginnings import Beginnings, StartingError
from overnight.stack import Stack, find

log = structlog.get_logger("mcp_server")

PATIENCE_SECONDS = 1.2
"""How long a call waits for an engine that is being started; the starting itself goes on."""
START_SECONDS = 90.0
CONNECT_SECONDS = 0.8
SILENT_SECONDS = 10.0
"""How long a Temporal of the person's own may take to answer at all."""
AGAIN_SECONDS = 5
"""When to look whether an engine that is being started is there."""

STARTED = "The engine (Temporal server and worker) was not up: it was started for this call and stays up."


@dataclass(frozen=True)
class Ready:
    """An engine that takes new sessions, and what the person should know of it."""

    sessions: Sessions
    notice: str


class Engine:
    """Holds a connection, and what is under way: whatever it knows can be had again from Temporal at any time."""

    def __init__(self, settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._settings = settings
        self._patience = patience_seconds
        self.beginnings = Beginnings()
        self.longest_wait = settings.mcp_wait_seconds
        self._open: Connection | None = None
        self._starting: asyncio.Task[Connection] | None = None
        self._stage = "starting"
        self._was_down = False
        """The stack is started by a call that has not been told so yet."""

    async def sessions(self) -> Sessions:
        """For looking at sessions: any Temporal server of the stack will do, worker or not; started when there is none.

        Here as in the others, only those within the reach of whoever calls now (``callers.current``).
        Raises ``UnreachableError``; a ``StartingError`` means that the engine is coming.
        """
        return (await self._any()).within(callers.current().reach)

    async def _any(self) -> Sessions:
        stack = await self._find()
        if self._open is not None and self._fits(stack):
            return self._open.sessions
        if stack is not None and not stack.up and stack.server is not None and stack.proven:
            # The worker is away: whoever only looks does not wait for it.
            try:
                client = await asyncio.wait_for(connect(stack.address, stack.namespace), left(CONNECT_SECONDS))
            except (RuntimeError, TimeoutError):
                return (await self._brought_up()).sessions
            self._open = Connection(Sessions(client, self._settings, ui_url=stack.ui_url), stack)
            return self._open.sessions
        return (await self._brought_up()).sessions

    async def looking(self) -> Sessions | None:
        """For whoever only looks and starts nothing by it: None while no Temporal server of the stack runs.

        Raises ``UnreachableError`` when one is there and does not answer.
        """
        stack = await self._find()
        if self._open is not None and self._fits(stack):
            return self._open.sessions.within(callers.current().reach)
        if not is_external() and (stack is None or stack.server is None):
            return None
        there = open_connection(self._settings) if is_external() else served(self._settings)
        try:
            found = await asyncio.wait_for(there, CONNECT_SECONDS)
        except TimeoutError:
            raise UnreachableError("Temporal does not answer; see `overnight doctor`") from None
        self._open = found or self._open
        return found.sessions.within(callers.current().reach) if found else None

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
        opened = self._open if self._fits(stack) and (stack is None or stack.up) else None
        if opened is None:
            down = not is_external() and (stack is None or stack.server is None)
            if down and stack is None and credential is None:
                raise NotReadyError(HOW_TO_GET_ONE)
            self._was_down = self._was_down or down
            opened = await self._brought_up()
        said = [STARTED] if self._was_down else []
        self._was_down = False
        return Ready(
            opened.sessions.within(callers.current().reach),
            " ".join([*said, *([opened.notice] if opened.notice else [])]),
        )

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
        done, _ = await asyncio.wait({starting}, timeout=left(self._patience))
        if done:
            return starting.result()
        if is_external():
            raise StartingError(
                "the Temporal that is configured (TEMPORAL_ADDRESS or profile) does not answer; trying goes on in the"
                f" background: call again in {AGAIN_SECONDS} seconds"
            )
        raise StartingError(
            f"the engine (Temporal server and worker) is not up yet ({self._stage}). Starting goes on in the"
            f" background: call again in {AGAIN_SECONDS} seconds"
        )

    def _bring_up(self) -> asyncio.Task[Connection]:
        if self._starting is None or self._starting.done():
            with as_long_as_it_takes():
                self._starting = asyncio.create_task(self._connect())
            self._starting.add_done_callback(_record)
        return self._starting

    async def _connect(self) -> Connection:
        self._stage = "connecting"
        try:
            async with asyncio.timeout(SILENT_SECONDS if is_external() else None):
                opened = await open_connection(self._settings, wait_seconds=START_SECONDS, on_progress=self._tell)
        except TimeoutError:
            raise UnreachableError(
                f"the Temporal that is configured (TEMPORAL_ADDRESS or profile) does not answer within"
                f" {SILENT_SECONDS:g} s; look whether it runs, or unset it to use the embedded one"
            ) from None
        self._open = opened
        return opened

    def _tell(self, stage: str) -> None:
        self._stage = stage
        log.info("engine", stage=stage)


def _record(task: asyncio.Task[Connection]) -> None:
    """A start that failed while nobody waited for it is in the log."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("the engine did not come up", error=str(error))
