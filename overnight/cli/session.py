"""Commands that talk to sessions: from the command line to a connection, and out again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.settings import load
from overnight.cli.trouble import CliError

if TYPE_CHECKING:
    from overnight.base.settings import Settings
    from overnight.connection import Connection
    from workflows.contracts.state import Status
    from workflows.contracts.status import SessionStatus

T = TypeVar("T")

START_SECONDS = 60.0
"""How long a cold start may take on a busy machine."""


def on_sessions(work: Callable[[Connection], Awaitable[T]], *, json: bool = False) -> T:
    """Run ``work`` on a connection. A worker that is down is no obstacle: Temporal itself knows a lot."""
    settings = load()

    async def connected() -> T:
        return await work(await connect(settings, json=json, need_worker=False))

    return run(connected())


async def connect(settings: Settings, *, json: bool, need_worker: bool) -> Connection:
    """A connection, with progress and notices on stderr where a person reads along."""
    from overnight.base.tracing import configure_tracing, join
    from overnight.connection import open_connection

    if (wrong := configure_tracing(settings, "cli")) and not json:
        output.note(f"note: no traces: {wrong}")
    join({"traceparent": os.environ.get("TRACEPARENT")})

    def progress(stage: str) -> None:
        if not json:
            output.note(f"{stage} ...")

    connection = await open_connection(
        settings, wait_seconds=START_SECONDS, on_progress=progress, need_worker=need_worker
    )
    if connection.notice and not json:
        output.note(f"note: {connection.notice}")
    return connection


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, except that Ctrl-C does not wait for threads: the process is about to end."""
    runner = asyncio.Runner()
    try:
        result = runner.run(work)
    except Exception:
        runner.close()
        raise
    runner.close()
    return result


def code_of(status: Status) -> Code:
    """The exit code of a session that is over or needs a person."""
    from workflows.contracts.state import Status

    codes = {Status.COMPLETED: Code.OK, Status.PAUSED: Code.PAUSED, Status.WAITING_APPROVAL: Code.PAUSED}
    return codes.get(status, Code.SESSION_FAILED)


async def newest(connection: Connection) -> str:
    """Id of the newest session. Raises ``CliError`` when there is none."""
    found = await connection.sessions.list(limit=1)
    if not found:
        raise CliError('there are no sessions yet; start one: overnight run "goal"', Code.UNKNOWN)
    return found[0].session_id


def known(status: SessionStatus) -> dict[str, Any]:
    """A session for programs: what nobody knows of it, because Temporal alone was asked, is left out."""
    return status.model_dump(mode="json", exclude_unset=True)


def headline(status: SessionStatus) -> str:
    """Where a session stands, in one line."""
    limit = f" of {status.max_iterations}" if status.max_iterations else ""
    phase = [] if status.status.is_final else [status.phase]
    parts = [status.status.value, *phase, f"iteration {status.iteration}{limit}", f"{status.progress} %"]
    return " · ".join(parts)
