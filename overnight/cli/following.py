"""Following a session to its end: one loop, and the views that show what it sees."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from overnight.cli.criteria import Row, rows
from overnight.errors import UnreachableError, WorkerAwayError

if TYPE_CHECKING:
    from overnight.client import Sessions
    from workflows.contracts.state import Event
    from workflows.contracts.status import SessionStatus

POLL_SECONDS = 0.4
PATIENCE_SECONDS = 60.0
"""How long Temporal may be gone before following ends: a supervisor brings it back within seconds."""

NEEDS_A_PERSON = frozenset({"paused", "waiting_approval"})


class View(Protocol):
    """What shows a session that is followed."""

    def show(self, status: SessionStatus, events: Sequence[Event], criteria: Sequence[Row]) -> None:
        """A look at the session; ``events`` are those since the last look."""

    def trouble(self, text: str) -> None:
        """Nobody answers at the moment; what was shown last is old."""

    def close(self) -> None:
        """No more is to come."""


async def follow(sessions: Sessions, session_id: str, view: View, *, until_paused: bool) -> SessionStatus:
    """Show a session until it is over or, where asked for, needs a person; returns its last status.

    Raises ``UnknownSessionError``, and ``UnreachableError`` when Temporal stays away.
    """
    seen, criteria = 0, Board(sessions, session_id)
    heard = time.monotonic()
    try:
        while True:
            try:
                # Events first: a status is then never older than the last event shown beside it.
                events = await _events(sessions, session_id, seen)
                status = await sessions.status(session_id)
                over = status.status.is_final or (until_paused and status.status.value in NEEDS_A_PERSON)
                if over:
                    events = [*events, *await _events(sessions, session_id, events[-1].seq if events else seen)]
                heard = time.monotonic()
            except UnreachableError as error:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise
                view.trouble(str(error))
                await asyncio.sleep(POLL_SECONDS)
                continue
            seen = events[-1].seq if events else seen
            view.show(status, events, await criteria.at(status))
            if over:
                return status
            await asyncio.sleep(POLL_SECONDS)
    finally:
        view.close()


class Board:
    """The criteria of a session, asked for again when they may have changed."""

    def __init__(self, sessions: Sessions, session_id: str) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._rows: list[Row] = []
        self._of: tuple[object, ...] | None = None

    async def at(self, status: SessionStatus) -> list[Row]:
        """The criteria as of ``status``."""
        of = (status.status, status.phase, status.iteration, status.validation_status)
        if of != self._of and status.worker == "online":
            with suppress(UnreachableError):
                self._rows = rows(await self._sessions.report(self._session_id), status)
                self._of = of
        return self._rows


async def _events(sessions: Sessions, session_id: str, after: int) -> list[Event]:
    try:
        return (await sessions.events(session_id, after=after)).events
    except WorkerAwayError:
        return []  # the status tells
