"""``plan``, ``approve`` and ``reject``: what a person says to a session that waits for it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.asking import confirm, open_editor, words
from overnight.cli.codes import Code
from overnight.cli.session import headline, on_sessions
from overnight.cli.trouble import CliError
from overnight.errors import InvalidRequestError, SessionError

if TYPE_CHECKING:
    from overnight.client import Sessions
    from overnight.connection import Connection
    from workflows.contracts.approvals import Approval, PlanEdit, PlanView
    from workflows.contracts.status import SessionStatus

HEADING = """\
The plan of {session}, which waits for approval as {request}.
Change, add, drop or reorder [[steps]]; a new one needs no id. Saved, it is approved as it then
stands here. Empty the file to leave it unanswered."""


def plan(session_id: str, *, json: bool) -> int:
    """``overnight plan``."""

    async def work(connection: Connection) -> int:
        from overnight.cli.planfile import written

        view = await connection.sessions.approvals.plan(session_id)
        if json:
            output.as_json(view)
        elif view.steps:
            sys.stdout.write(written(view))
        else:
            output.note(f"{session_id} has no plan yet")
        return Code.OK

    return on_sessions(work, json=json)


def approve(session_id: str, request: str | None, *, edit: bool, file: Path | None, json: bool) -> int:
    """``overnight approve``: an approval is a person's, so a person must be there."""
    if edit and file is not None:
        raise CliError("--edit and --plan contradict each other")
    _demand_a_person("approvals are given")

    async def work(connection: Connection) -> int:
        sessions = connection.sessions
        named = request or await _asked(sessions, session_id, "Approve", sure=edit or file is not None)
        if named is None:
            return Code.OK
        changed: PlanEdit | None = None
        text: str | None = None
        if edit or file is not None:
            view = await sessions.approvals.plan(session_id)
            if view.request != named:
                raise CliError(_nothing(await sessions.status(session_id), named))
            text = _from(file) if file is not None else _edited(view)
            if text is None:
                output.note("not approved")
                return Code.OK
            changed = _difference(view, text)
        before = await _answer(sessions, session_id, named)
        try:
            status = await sessions.approvals.approve(session_id, named, plan=changed)
        except SessionError:
            if edit and text is not None:
                output.note(f"what you wrote is in {_kept(text)}; approve --plan takes it from there")
            raise
        said = "was approved already" if before == "approved" else "is approved"
        return _told(status, f"{named} {said}{' as edited' if changed else ''}", json=json)

    return on_sessions(work, json=json)


def reject(session_id: str, request: str | None, *, reason: str, end: bool, json: bool) -> int:
    """``overnight reject``: the same holds for a rejection."""
    _demand_a_person("rejections are given")

    async def work(connection: Connection) -> int:
        named = request or await _asked(connection.sessions, session_id, "Reject", sure=bool(reason))
        if named is None:
            return Code.OK
        why = reason or _ask_why()
        before = await _answer(connection.sessions, session_id, named)
        status = await connection.sessions.approvals.reject(session_id, named, reason=why, end=end)
        said = "was rejected already" if before in {"rejected", "ended"} else "is rejected"
        return _told(status, f"{named} {said}{', and the session ends' if end else ''}", json=json)

    return on_sessions(work, json=json)


def _demand_a_person(what: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(f"{what} by a person at a terminal, and standard input is not one")


async def _asked(sessions: Sessions, session_id: str, verb: str, *, sure: bool) -> str | None:
    """What waits now, shown to the person who did not name it; None if they did not mean that.

    Raises ``CliError`` when nothing waits.
    """
    status = await sessions.status(session_id)
    waits = status.approval
    if waits is None:
        raise CliError(_nothing(status, None))
    if sure or confirm(f"{verb} {waits.request} ({waits.what})?"):
        return waits.request
    output.note("nothing was answered")
    return None


async def _answer(sessions: Sessions, session_id: str, named: str) -> str | None:
    """What was said about a request before; None where nobody answered it, or it is forgotten."""
    said = [d.answer for d in (await sessions.status(session_id)).decisions if d.request == named]
    return said[-1] if said else None


def _nothing(status: SessionStatus, named: str | None) -> str:
    what = named or "nothing"
    does = "does not wait" if named else "waits"
    waits: Approval | None = status.approval
    instead = f"what waits is {waits.request} ({waits.what})" if waits else f"it is {headline(status)}"
    return f"{what} of {status.session_id} {does} for approval; {instead}"


def _ask_why() -> str:
    return words("Why? It becomes guidance")


def _told(status: SessionStatus, said: str, *, json: bool) -> int:
    if json:
        output.as_json(status)
    else:
        output.say(f"{status.session_id}: {said}; watch it: overnight watch {status.session_id}")
    return Code.OK


# ---------------------------------------------------------------------- the plan as a file


def _from(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--plan: {file} cannot be read: {error}") from None


def _difference(view: PlanView, text: str) -> PlanEdit | None:
    """What the person changed; None when nothing."""
    from overnight.cli.planfile import read, written

    edit = read(text, criteria=not view.frozen)
    try:
        before = read(written(view), criteria=not view.frozen)
    except InvalidRequestError:  # a plan that lacks something a person must not leave out
        return edit
    return None if edit == before else edit


def _edited(view: PlanView) -> str | None:
    """The plan after the person's editor; None when it was emptied. A mistake is told, and the editor opened again."""
    from overnight.cli.planfile import written

    with tempfile.TemporaryDirectory(prefix="overnight-") as folder:
        file = Path(folder) / "plan.toml"
        before = written(view, heading=HEADING.format(session=view.session_id, request=view.request))
        file.write_text(before, encoding="utf-8")
        while True:
            open_editor(file)
            text = _from(file)
            if not [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]:
                return None
            if text == before and not confirm("Nothing was changed. Approve it as it is?"):
                return None
            try:
                _difference(view, text)
            except InvalidRequestError as error:
                output.note(f"error: {error}")
                if not confirm("Edit it again?", default=True):
                    return None
            else:
                return text


def _kept(text: str) -> Path:
    """A file of the person's own with what they wrote, since it was not taken."""
    file = Path(tempfile.mkdtemp(prefix="overnight-")) / "plan.toml"
    file.write_text(text, encoding="utf-8")
    return file
