"""``status``, ``list``, ``events``, ``diff``, ``report``: what a session did and where it stands."""

from __future__ import annotations

import posixpath
import sys
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.clock import here
from overnight.cli.codes import Code
from overnight.cli.session import known, newest, on_sessions
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.connection import Connection
    from workflows.contracts.reads import DiffAnswer


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
            if found.next and found.approval is None:
                console.print(f"next: {here(found.next)}", soft_wrap=True)
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
            from overnight.cli.listing import print_table
            from overnight.cli.plain import waited_for
            from workflows.policy.approvals import how

            print_table(found, output.console())
            for one in found:
                if one.approval is not None:
                    output.say(f"{one.session_id}: {waited_for(one.approval)}")
                    output.say(f"  {how(one.session_id, one.approval)}")
        else:
            output.note('no sessions; start one: overnight run "goal"')
        return Code.OK

    return on_sessions(work, json=json)


def events(session_id: str, after: int, limit: int | None, *, json: bool) -> int:
    """``overnight events``."""

    async def work(connection: Connection) -> int:
        from overnight.cli.plain import event_lines

        found = (await connection.sessions.events(session_id, after=after)).events
        for event in found[-limit:] if limit else found:
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
    path = None if path is None or (named := posixpath.normpath(path)) == "." else named

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
