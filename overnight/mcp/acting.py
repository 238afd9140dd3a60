"""The tools that send a message to a session."""

from __future__ import annotations

from overnight.errors import InvalidRequestError
from overnight.mcp import answers
from overnight.mcp import arguments as a
from overnight.mcp.answers import Receipt
from overnight.mcp.context import Ctx, engine_of
from overnight.mcp.telling import at_a_terminal
from workflows.contracts.state import Status
from workflows.policy.inbox import LIMIT


async def claude_autonomous_control(
    ctx: Ctx, session_id: a.SessionId, action: a.Action, reason: a.Reason = None, when: a.PauseWhen = "turn"
) -> Receipt:
    """Pause a session, its work kept, or let a paused one go on."""
    sessions = await engine_of(ctx).acting()
    if action == "pause":
        sent = await sessions.pause(session_id, reason=reason or "", when=when)
        return answers.receipt(sent, await sessions.status(session_id))
    known = await sessions.status(session_id)
    if known.status is Status.PAUSED and known.reason.startswith(LIMIT):
        raise InvalidRequestError(
            f"{session_id} is paused by a limit ({known.reason}), which resuming does not change. Only a person raises"
            f" it: claude_autonomous_approve asks them, or they do it {at_a_terminal()}:"
            f" `overnight limits {session_id}`; the session then goes on by itself"
        )
    sent = await sessions.resume(session_id, reason=reason or "")
    return answers.receipt(sent, await sessions.status(session_id))


async def claude_autonomous_steer(
    ctx: Ctx, session_id: a.SessionId, guidance: a.Guidance, when: a.SteerWhen = "next_step"
) -> Receipt:
    """Give a running or paused session guidance. Its status shows under `guidance` whether it was delivered."""
    sessions = await engine_of(ctx).acting()
    sent = await sessions.steer(session_id, guidance, when=when)
    known = await sessions.status(session_id)
    taken = known.worker == "offline" or known.status.is_final or any(g.id == sent.guidance_id for g in known.guidance)
    if not taken:
        raise InvalidRequestError(
            f"{session_id} has as much guidance waiting as it can hold, so this one was not taken. Look again when the"
            " session's status shows some of it as delivered, and say the most important thing then"
        )
    return answers.receipt(sent, known)


async def claude_autonomous_cancel(ctx: Ctx, session_id: a.SessionId, reason: a.Reason = None) -> Receipt:
    """End a session for good; its work so far stays on its branch. Cancelling twice changes nothing."""
    sessions = await engine_of(ctx).acting()
    sent = await sessions.cancel(session_id, reason=reason or "")
    return answers.receipt(sent, await sessions.status(session_id))
