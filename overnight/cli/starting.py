"""``run`` and ``watch``: start a session, follow it, leave it when asked to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overnight.base.credentials import HOW_TO_GET_ONE, Credential, find_credential
from overnight.cli import output, streams
from overnight.cli.codes import Code
from overnight.cli.following import View, follow
from overnight.cli.options import in_options, located
from overnight.cli.outcome import tell_end
from overnight.cli.plain import JsonLines, Lines, standing
from overnight.cli.session import code_of, connect, newest, run
from overnight.cli.settings import load, load_for_work
from overnight.cli.trouble import CliError
from overnight.errors import InvalidRequestError
from overnight.request import NewSession
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.base.settings import Settings
    from overnight.client import Sessions
    from overnight.connection import Connection
    from overnight.started import Started


class Followed:
    """The session that is on the screen; what Ctrl-C leaves behind."""

    session_id: str | None = None
    starting = False


def run_session(goal: str, *, project: str | None, detach: bool, wait: bool, json: bool, **choices: Any) -> int:
    """``overnight run``: everything that can be found wrong without starting anything is found first."""
    if detach and wait:
        raise CliError("--detach and --wait contradict each other")
    if goal == "-":
        goal = streams.read_stdin("the goal")
    choices["held_out"] = _folder_or_ref(choices.get("held_out"))
    request = NewSession.parse(goal=goal, project=located(project), **choices)
    settings, notes = load_for_work()
    for note in notes:
        output.note(f"note: {note}")
    request.network(settings)
    credential = ready(settings, json=json)
    if request.project is not None and not _may_be_there(request.project):
        raise CliError(
            f"--project: {request.project} does not exist; check the path, or leave it out for a new project"
        )
    _look_for_held_out(request)
    here = Followed()

    async def started() -> int:
        connection = await connect(settings, json=json, need_worker=True)
        sessions = connection.sessions
        if not json and await sessions.existing(request) is None:
            output.note(await _project_line(sessions, request))
        here.starting = True
        began = await sessions.start(request, credential=credential)
        here.session_id = began.session_id
        _tell_started(began, alone=detach, json=json)
        return Code.OK if detach else await _followed(sessions, began.session_id, wait=wait, json=json)

    return _until_left(started, here, json=json)


def watch_session(session_id: str | None, *, wait: bool, json: bool) -> int:
    """``overnight watch``."""
    settings = load()
    here = Followed()

    async def watched() -> int:
        connection: Connection = await connect(settings, json=json, need_worker=False)
        here.session_id = session_id if session_id is not None else await newest(connection)
        return await _followed(connection.sessions, here.session_id, wait=wait, json=json)

    return _until_left(watched, here, json=json)


def ready(settings: Settings, *, json: bool) -> Credential | None:
    """The credential of this caller. Raises ``CliError`` when sessions could not run, before anything starts."""
    if (claude := settings.claude_path) is not None and not (claude.is_file() and os.access(claude, os.X_OK)):
        raise CliError(
            f"OVERNIGHT_CLAUDE_PATH names {claude}, which is no program; correct or unset it", Code.NOT_READY
        )
    credential = find_credential()
    if credential is None and not _worker_has_one(settings):
        raise CliError(HOW_TO_GET_ONE, Code.NOT_READY)
    if credential is None and not json:
        output.note("note: you hold no credential here; the running worker uses its own")
    return credential


def _may_be_there(project: str) -> bool:
    """The embedded worker sees the files that we see; one elsewhere has its own."""
    from overnight.base.temporal import is_external

    try:
        return is_external() or not Path(project).is_absolute() or Path(project).exists()
    except OSError as error:
        raise CliError(f"--project: {project} cannot be looked at: {error.strerror}") from None


def _look_for_held_out(request: NewSession) -> None:
    """A session cannot be given other held-out checks once it runs. Raises ``CliError`` for a folder that is none."""
    from overnight.base.temporal import is_external

    folder = request.held_out
    if folder is not None and folder.startswith("/") and not is_external() and not os.path.isdir(folder):  # noqa: PTH112
        raise CliError(f"--held-out: {folder} is no folder; check the path")


def _worker_has_one(settings: Settings) -> bool:
    from overnight.base.temporal import is_external
    from overnight.stack import find

    if is_external():
        return True  # workers elsewhere hold their own; starting asks one
    stack = find(settings)
    return stack is not None and stack.up and stack.credential is not None


def _folder_or_ref(held_out: str | None) -> str | None:
    """Held-out checks as a worker in another folder understands them: what is a folder here, or looks like one, is."""
    try:
        if held_out and (held_out.startswith(("/", "~", ".")) or Path(held_out).is_dir()):
            return str(Path(held_out).expanduser().resolve())
    except (OSError, RuntimeError):  # no such user, too long a name, a loop of links: whoever checks it words it
        return held_out
    return held_out


def view(*, json: bool, until_paused: bool, hint: str = "Ctrl-C detaches; the session goes on") -> View:
    """The view that fits whoever reads."""
    if json:
        return JsonLines()
    if not output.on_terminal():
        return Lines(until_paused=until_paused)
    from overnight.cli.live import LiveView

    return LiveView(hint)


async def _project_line(sessions: Sessions, request: NewSession) -> str:
    if request.project is None:
        return "project: a new project (no --project given)"
    if not Path(request.project).is_absolute():
        return f"project: {request.project}"
    seen = await sessions.inspect(request.project, request.ref)
    if seen.project is None or seen.project.commit is None:
        raise InvalidRequestError(f"{seen.wrong}: {seen.problem}")
    at = f"{seen.branch} " if seen.branch else ""
    line = f"project: {seen.project.location} at {at}{seen.project.commit[:10]} {seen.subject}".rstrip()
    if seen.dirty_files:
        files = counted(seen.dirty_files, "file has", "files have")
        line += f"\nnote: {files} uncommitted changes, which are not part of the session"
    return line


def _tell_started(began: Started, *, alone: bool, json: bool) -> None:
    """``alone``: nothing else is told of it."""
    if json and alone:
        output.as_json(began)
    elif json:
        output.as_json({"type": "exists" if began.existed else "started", "status": began.model_dump(mode="json")})
    else:
        _say_started(began)


def _say_started(began: Started) -> None:
    if began.existed:
        output.say(f"session {began.session_id} exists already; nothing was started, and it keeps its own options")
        output.say(f"  state    {standing(began)}")
    else:
        output.say(f"session {began.session_id} started")
    if began.sandbox:
        output.say(f"  sandbox  {began.sandbox}")
    if began.monitor_url:
        output.say(f"  page     {began.monitor_url}")
    output.say(f"  watch    overnight watch {began.session_id}")
    if began.warning:
        output.note(f"WARNING: {began.warning}")
    for note in began.notes:
        output.note(f"note: {in_options(note)}")


async def _followed(sessions: Sessions, session_id: str, *, wait: bool, json: bool) -> int:
    status = await follow(sessions, session_id, view(json=json, until_paused=wait), until_paused=wait)
    code = code_of(status.status)
    tell_end(status, code, json=json)
    return code


def _until_left(work: Callable[[], Coroutine[Any, Any, int]], here: Followed, *, json: bool) -> int:
    try:
        return run(work())
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it was heard: impatience must not cut the answer short
        _tell_detached(here, json=json)
        return Code.DETACHED


def _tell_detached(here: Followed, *, json: bool) -> None:
    if here.session_id is not None:
        text = f"detached; the session goes on. Come back with: overnight watch {here.session_id}"
    elif here.starting:
        text = "interrupted while the session was starting; see whether it did: overnight list"
    else:
        text = "interrupted; no session was started"
    if json:
        output.as_json({"type": "detached", "session_id": here.session_id, "text": text, "code": int(Code.DETACHED)})
    else:
        output.note(f"\n{text}")
