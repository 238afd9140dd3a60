"""``status``, ``list``, ``events``, ``diff``, ``report``: what a session did and where it stands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import known, newest, on_sessions
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.connection import Connection
    from workflows.contracts.reads import DiffAnswer
    from workflows.contracts.status import SessionStatus

_GOAL_CHARS = 60


def status(session_id: str | None, *, json: bool) -> int:
    """``overnight status``."""

    async def work(connection: Connection) -> int:
        from overnight.cli.board import board
        from overnight.cli.following import Board

        found = await connection.sessions.status(session_id if session_id is not None else await newest(connection))
        if json:
            output.as_json(known(found))
        else:
            criteria = await Board(connection.sessions, found.session_id).at(found)
            console = output.console()
            console.print(board(found, criteria))
            console.print(f"next: {found.next}" if found.next else "", soft_wrap=True)
        return Code.OK

    return on_sessions(work, json=json)


def list_sessions(status: str | None, limit: int, *, json: bool) -> int:
    """``overnight list``."""

    async def work(connection: Connection) -> int:
        from workflows.contracts.state import Status

        found = await connection.sessions.list(status=Status(status) if status else None, limit=limit)
        if json:
            output.as_json([known(one) for one in found])
        elif found:
            _table(found)
        else:
            output.note('no sessions; start one: overnight run "goal"')
        return Code.OK

    return on_sessions(work, json=json)


def _table(found: Sequence[SessionStatus]) -> None:
    from rich.table import Table
    from rich.text import Text

    from overnight.cli.board import COLOURS

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("session", no_wrap=True)
    for name in ("status", "phase", "iteration", "progress", "cost", "started"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"iteration", "progress", "cost"} else "left")
    table.add_column("goal", no_wrap=True, overflow="ellipsis")
    for one in found:
        table.add_row(
            one.session_id,
            Text(one.status.value, style=COLOURS.get(one.status.value, "cyan")),
            one.phase,
            str(one.iteration),
            f"{one.progress} %",
            f"${one.cost_usd:.2f}",
            _ago(one.started_at),
            " ".join(one.goal.split())[:_GOAL_CHARS],
        )
    output.console().print(table)


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


def events(session_id: str, after: int, *, json: bool) -> int:
    """``overnight events``."""

    async def work(connection: Connection) -> int:
        from overnight.cli.plain import event_lines

        for event in (await connection.sessions.events(session_id, after=after)).events:
            if json:
                output.as_json(event)
            else:
                for n, line in enumerate(event_lines(event)):
                    output.say(f"{'' if n else event.seq:>4}  {line}")
        return Code.OK

    return on_sessions(work, json=json)


def report(session_id: str, *, json: bool) -> int:
    """``overnight report``."""

    async def work(connection: Connection) -> int:
        text = await connection.sessions.report(session_id)
        if json:
            output.as_json({"session_id": session_id, "report": text})
        else:
            show_markdown(text)
        return Code.OK

    return on_sessions(work, json=json)


def show_markdown(text: str) -> None:
    """Rendered for a person, as it is for a program."""
    if output.on_terminal():
        from rich.markdown import Markdown

        output.console().print(Markdown(text))
    else:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def diff(session_id: str, path: str | None, *, stat: bool, json: bool) -> int:
    """``overnight diff``."""

    async def work(connection: Connection) -> int:
        answer = await connection.sessions.diff(session_id, path=path, stat=stat)
        if json:
            output.as_json({"session_id": session_id, **answer.model_dump(mode="json")})
        elif stat:
            _stat(answer)
        elif answer.patch:
            _patch(answer.patch)
        if json:
            return Code.OK
        if not answer.files:
            output.note(_nothing(session_id, path))
        if answer.truncated:
            output.note(f"note: this is only a part of it; for the whole: overnight checkout {session_id}")
        return Code.OK

    return on_sessions(work, json=json)


def _nothing(session_id: str, path: str | None) -> str:
    if path is None:
        return "nothing changed (yet)"
    return (
        f"nothing that changed is at {path}: paths count from the top of the project; see all that changed with"
        f" `overnight diff {session_id} --stat`"
    )


def _stat(answer: DiffAnswer) -> None:
    if not answer.files:
        return
    width = max((len(file.path) for file in answer.files), default=0)
    for file in answer.files:
        counts = "binary" if file.added is None else f"+{file.added} -{file.removed}"
        output.say(f"{file.path:<{width}}  {file.status:<9} {counts}")
    added = sum(file.added or 0 for file in answer.files)
    removed = sum(file.removed or 0 for file in answer.files)
    files = counted(len(answer.files), "file")
    output.say(f"{files} changed, {counted(added, 'line')} added, {removed} removed")


def _patch(patch: str) -> None:
    if not output.on_terminal():
        sys.stdout.write(patch if patch.endswith("\n") else f"{patch}\n")
        return
    from rich.syntax import Syntax

    output.console().print(Syntax(patch, "diff", background_color="default"))
