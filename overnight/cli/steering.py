"""``pause``, ``resume``, ``steer``, ``cancel``, ``limits``: what a person says to a running session."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import headline, on_sessions
from overnight.cli.trouble import CliError
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.client import Accepted, Sessions
    from overnight.connection import Connection


def pause(session_id: str, *, now: bool, reason: str, json: bool) -> int:
    """``overnight pause``."""
    when = "at once" if now else "when its running turn has ended"
    return _send(
        lambda sessions: sessions.pause(session_id, reason=reason, when="now" if now else "turn"),
        f"{session_id} pauses {when}; to go on: overnight resume {session_id}",
        json=json,
    )


def resume(session_id: str, *, reason: str, json: bool) -> int:
    """``overnight resume``."""
    said = f"{session_id} goes on; watch it: overnight watch {session_id}"
    return _send(lambda sessions: sessions.resume(session_id, reason=reason), said, json=json)


def steer(session_id: str, guidance: str, *, now: bool, json: bool) -> int:
    """``overnight steer``."""
    if guidance == "-":
        guidance = sys.stdin.read()
    when = "now, interrupting the running turn" if now else "with its next step"
    return _send(
        lambda sessions: sessions.steer(session_id, guidance, when="now" if now else "next_step"),
        f"{session_id} gets it {when}",
        json=json,
    )


def cancel(session_id: str, *, reason: str, yes: bool, json: bool) -> int:
    """``overnight cancel``."""
    if not yes and not sys.stdin.isatty():
        raise CliError("cancelling asks first, and there is no terminal to ask at; give --yes")
    if not yes:
        import typer

        if not typer.confirm(f"End {session_id}? Its work stays on its branch.", err=True):
            output.note("not cancelled")
            return Code.OK
    said = f"{session_id} ends; its work stays on the branch: overnight checkout {session_id}"
    return _send(lambda sessions: sessions.cancel(session_id, reason=reason), said, json=json)


def limits(session_id: str, chosen: dict[str, float], *, json: bool) -> int:
    """``overnight limits``: a budget is a person's to raise, so a person must be there."""
    if not chosen:
        raise CliError("give at least one of --max-cost, --max-iterations, --max-minutes, --max-tokens")
    if not sys.stdin.isatty():
        raise CliError("limits are raised by a person at a terminal, and standard input is not one")

    async def work(connection: Connection) -> int:
        from pydantic import ValidationError

        from overnight.errors import InvalidRequestError
        from overnight.request import in_words
        from workflows.contracts.messages import RaiseLimits

        try:
            wanted = RaiseLimits.model_validate(chosen)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        status = await connection.sessions.raise_limits(session_id, wanted)
        if json:
            output.as_json(status)
        else:
            tokens = f", {counted(status.max_tokens, 'token')}" if status.max_tokens else ""
            output.say(
                f"{session_id}: ${status.max_cost_usd:.2f}, {counted(status.max_iterations, 'iteration')},"
                f" {status.max_time_minutes:g} active minutes{tokens}; now {headline(status)}"
            )
        return Code.OK

    return on_sessions(work, json=json)


def _send(message: Callable[[Sessions], Awaitable[Accepted]], said: str, *, json: bool) -> int:
    async def work(connection: Connection) -> int:
        sent = await message(connection.sessions)
        if json:
            output.as_json(sent)
        else:
            output.say(said if sent.accepted else f"{sent.session_id}: {sent.next}")
        return Code.OK

    return on_sessions(work, json=json)
