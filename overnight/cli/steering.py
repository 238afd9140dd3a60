"""``pause``, ``resume``, ``steer``, ``cancel``, ``limits``, ``rollback``: what a person says to a running session."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from overnight.cli import output, streams
from overnight.cli.codes import Code
from overnight.cli.session import headline, on_sessions
from overnight.cli.trouble import CliError
from workflows.contracts.state import Status
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.client import Accepted, Sessions
    from overnight.connection import Connection
    from workflows.contracts.messages import SteerWhen, When


def pause(session_id: str, *, now: bool, reason: str, json: bool) -> int:
    """``overnight pause``."""
    when: When = "now" if now else "turn"
    return _send(
        lambda sessions: sessions.pause(session_id, reason=reason, when=when),
        f"to go on: overnight resume {session_id}",
        json=json,
    )


def resume(session_id: str, *, reason: str, json: bool) -> int:
    """``overnight resume``."""
    then = f"watch it: overnight watch {session_id}"
    return _send(lambda sessions: sessions.resume(session_id, reason=reason), then, json=json)


def steer(session_id: str, guidance: str, *, now: bool, json: bool) -> int:
    """``overnight steer``."""
    if guidance == "-":
        guidance = streams.read_stdin("guidance")
    when: SteerWhen = "now" if now else "next_step"
    return _send(
        lambda sessions: sessions.steer(session_id, guidance, when=when),
        f"whether a prompt carried it: overnight status {session_id}",
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
    then = f"what it came to: overnight status {session_id}"
    return _send(lambda sessions: sessions.cancel(session_id, reason=reason), then, json=json)


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


def rollback(session_id: str, iteration: int, *, json: bool) -> int:
    """``overnight rollback``."""

    async def work(connection: Connection) -> int:
        status = await connection.sessions.rollback(session_id, iteration)
        if json:
            output.as_json(status)
        else:
            when = "" if status.status is Status.PAUSED else ", when its running call has ended"
            where = f"the checkpoint of iteration {iteration}" if iteration else "where it began"
            output.say(
                f"{session_id} goes back to {where}{when}, with a new commit on its branch; nothing is lost:"
                f" overnight events {session_id}"
            )
        return Code.OK

    return on_sessions(work, json=json)


def _send(message: Callable[[Sessions], Awaitable[Accepted]], then: str, *, json: bool) -> int:
    """``then``: what to type next."""

    async def work(connection: Connection) -> int:
        sent = await message(connection.sessions)
        if json:
            output.as_json(sent)
        else:
            output.say(f"{sent.session_id}: {sent.next}")
            if sent.accepted:
                output.say(f"  {then}")
        return Code.OK

    return on_sessions(work, json=json)
