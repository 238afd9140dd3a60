"""``demo``: a whole real session, offline: only the model is scripted."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from overnight.base.credentials import find_credential
from overnight.base.settings import Settings
from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.following import follow
from overnight.cli.reading import show_markdown
from overnight.cli.session import connect, run
from overnight.cli.settings import load
from overnight.cli.starting import view
from overnight.cli.trouble import CliError
from overnight.demo import demo as play
from overnight.demo import stage
from overnight.demo.server import ScriptedModel
from overnight.errors import SessionError
from overnight.request import NewSession
from overnight.stack import down, find

if TYPE_CHECKING:
    from overnight.client import Sessions
    from overnight.connection import Connection
    from workflows.contracts.reads import BranchAnswer
    from workflows.contracts.state import Event
    from workflows.contracts.status import SessionStatus

LONGEST_SECONDS = 300
"""It takes some ten seconds; a demo that does not end is a failed one."""
_CANCEL_SECONDS = 10

_UNSANDBOXED = (
    "this machine cannot isolate what an agent runs ({}). The demo goes on WITHOUT FULL ISOLATION, because its model is"
    " scripted and only does what Overnight's own code says; real sessions refuse to (overnight doctor)"
)
_VALIDATED = re.compile(r"#\d+: (\d+) of (\d+) crit(?:erion|eria) met")


@dataclass
class Shown:
    """What the demo proved, and where it is."""

    status: SessionStatus
    report: str
    report_file: Path
    branch: BranchAnswer
    events: list[Event] = field(default_factory=list)

    @property
    def failed_first(self) -> bool:
        """The first validation of the agent's work failed, and was diagnosed."""
        first = next((n for n, event in enumerate(self.events) if event.kind == "validation"), None)
        if first is None or (found := _VALIDATED.match(self.events[first].text)) is None:
            return False
        diagnosed = any(event.text.startswith("diagnosed") for event in self.events[first:])
        return int(found[1]) < int(found[2]) and diagnosed

    @property
    def confirmed(self) -> bool:
        """Completed, on evidence from a clean clone of the commit that is delivered."""
        return (
            self.status.status.value == "completed"
            and f"Confirmed in a clean clone of `{self.status.commit}`" in self.report
        )


def demo(home: Path | None, *, keep: bool | None, json: bool) -> int:
    """``overnight demo``: exit code 0 only when the session failed at first, and then held in a clean clone."""
    own = load()
    try:
        place = stage.prepare(home or own.home / "demo", own.home)
    except stage.StageError as error:
        raise CliError(str(error)) from None
    keeps = keep if keep is not None else output.on_terminal() and not json
    performance = Performance(place, json=json, keep=keeps)
    try:
        return run(performance.play())
    except KeyboardInterrupt:
        text = "the demo was stopped, and its stack with it"
        if json:
            output.as_json({"type": "stopped", "text": text, "code": int(Code.DETACHED)})
        else:
            output.note(text)
        return Code.DETACHED


class Performance:
    """One run of the demo."""

    def __init__(self, home: Path, *, json: bool, keep: bool) -> None:
        self._home = home
        self._json = json
        self._keep = keep
        self._settings: Settings
        self._session: tuple[Sessions, str] | None = None

    async def play(self) -> int:
        """The whole demo. However it ends early, nothing of it goes on running."""
        async with ScriptedModel(play.SCENARIO) as model:
            fresh = stage.environment(os.environ, self._home, model.url)
            os.environ.clear()
            os.environ.update(fresh)
            self._settings = load()
            try:
                await self._clear()
                connection = await self._up()
                shown = await self._watched(connection.sessions)
            except BaseException:
                await self._stop()
                raise
        code = Code.OK if shown.failed_first and shown.confirmed else Code.SESSION_FAILED
        if not self._keep:
            await asyncio.to_thread(down, self._settings)
        self._tell(shown, code)
        return code

    async def _clear(self) -> None:
        """An earlier demo's worker would look for an earlier demo's model."""
        if find(self._settings) is not None:
            self._note("stopping the stack of an earlier demo ...")
        await asyncio.to_thread(down, self._settings)

    async def _up(self) -> Connection:
        self._note(f"home of the demo: {self._home}")
        connection = await self._connected()
        host = await connection.sessions.host()
        if not host.isolation_full:
            self._note(f"WARNING: {_UNSANDBOXED.format(host.isolation_problem or host.isolation)}")
            if not host.unsandboxed_allowed:
                await asyncio.to_thread(down, self._settings)
                os.environ["OVERNIGHT_ALLOW_UNSANDBOXED"] = "1"
                self._settings = load()
                connection = await self._connected()
        await _cancel_old(connection.sessions)
        return connection

    async def _connected(self) -> Connection:
        starting = asyncio.ensure_future(connect(self._settings, json=self._json, need_worker=True))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A start that is under way must be over before what it started can be stopped.
            with suppress(Exception):
                await starting
            raise

    async def _watched(self, sessions: Sessions) -> Shown:
        request = NewSession.parse(
            goal=play.GOAL,
            validation_command=play.VALIDATION_COMMAND,
            session_id=f"demo-{secrets.token_hex(3)}",
            max_iterations=6,
            max_time_minutes=LONGEST_SECONDS / 60,
            max_cost_usd=5.0,
        )
        started = await sessions.start(request, credential=find_credential())
        sid = started.session_id
        self._session = (sessions, sid)
        if self._json:
            output.as_json({"type": "started", "status": started.model_dump(mode="json")})
        else:
            output.say(f"goal: {play.GOAL}")
            output.say(f"page: {started.monitor_url}\n")
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                shows = view(json=self._json, until_paused=True, hint="Ctrl-C stops the demo")
                status = await follow(sessions, sid, shows, until_paused=True)
        except TimeoutError:
            raise SessionError(
                f"the demo's session did not end within {LONGEST_SECONDS} s; see {self._settings.logs}"
            ) from None
        report = await sessions.report(sid)
        file = self._home / "reports" / f"{sid}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(report, encoding="utf-8")
        events = (await sessions.events(sid)).events
        return Shown(status, report, file, await sessions.branch(sid), events)

    async def _stop(self) -> None:
        if self._session is not None:
            self._note("stopping the demo's session and stack ...")
            sessions, sid = self._session
            with suppress(SessionError):
                await sessions.cancel(sid, reason="the demo was stopped")
                await sessions.wait([sid], until="end", timeout_seconds=_CANCEL_SECONDS)
        await asyncio.to_thread(down, self._settings)

    def _tell(self, shown: Shown, code: Code) -> None:
        status, sid = shown.status, shown.status.session_id
        take = _command(self._home, "checkout", sid)
        if self._json:
            output.as_json(
                {
                    "type": "demo",
                    "ok": code is Code.OK,
                    "code": int(code),
                    "session_id": sid,
                    "status": status.status.value,
                    "failed_first": shown.failed_first,
                    "confirmed_in_clean_clone": shown.confirmed,
                    "branch": shown.branch.branch,
                    "commits": [commit.model_dump(mode="json") for commit in shown.branch.commits],
                    "vault": shown.branch.vault,
                    "report_file": str(shown.report_file),
                    "monitor_url": status.monitor_url,
                    "stack_running": self._keep,
                    "checkout": take,
                }
            )
            return
        output.say(f"\ncheckpoints on {shown.branch.branch}, newest first")
        for commit in shown.branch.commits:
            output.say(f"  {commit.commit[:10]}  {commit.subject}")
        output.say()
        show_markdown(shown.report)
        output.say()
        first = "the first attempt failed validation" if shown.failed_first else "no validation failed at first"
        last = "the last one holds in a clean clone" if shown.confirmed else f"it ended {status.status.value}"
        output.say(f"demo {'succeeded' if code is Code.OK else 'FAILED'}: {first}, {last}")
        output.say(f"  report  {shown.report_file}")
        output.say(f"  code    {take}")
        if self._keep:
            output.say(f"  page    {status.monitor_url}")
            output.say(f"  stack   still running, so that the page works; stop it with: {_command(self._home, 'down')}")
        else:
            output.say(f"  page    {status.monitor_url} (after {_command(self._home, 'up')})")
            output.say("  stack   stopped (--keep leaves it running)")

    def _note(self, text: str) -> None:
        if self._json:
            output.as_json({"type": "note", "text": text})
        else:
            output.note(text)


async def _cancel_old(sessions: Sessions) -> None:
    """Sessions of a demo that was killed would go on beside the new one."""
    for old in await sessions.list(limit=50):
        if not old.status.is_final:
            with suppress(SessionError):
                await sessions.cancel(old.session_id, reason="a new demo began")


def _command(home: Path, *args: str) -> str:
    """A line to copy: this very program, on the demo's home."""
    found = shutil.which("overnight") or sys.argv[0].endswith(".py")
    program = "overnight" if found else os.path.relpath(sys.argv[0])
    return f"OVERNIGHT_HOME={shlex.quote(str(home))} {shlex.join([program, *args])}"
