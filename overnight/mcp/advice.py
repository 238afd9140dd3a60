"""What to do about a session, and when, in terms of the tools."""

from __future__ import annotations

import re

from overnight.mcp.telling import afar, at_a_terminal
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus
from workflows.policy.inbox import LIMIT

_BY_WHOM = re.compile(r"((?:Ends|Pauses) [^(]*) \(.*\)\.", re.DOTALL)
"""What a session says of itself that is about to rest, and, in what they wrote, who wants it to and why."""
_MENDED = "the person can run `overnight up`, then `overnight doctor`"


def advice(known: SessionStatus) -> str:
    """What to do about a session, and when, in terms of the tools.

    Why it is where it is, and what is to be approved, have fields of their own: callers write reasons, agents name
    steps, and none of them gives orders here.
    """
    sid = known.session_id
    if known.worker == "offline":
        then = "tell the person who runs this server" if afar() else _MENDED
        return (
            "No worker answers now; this is the last word in Temporal, and the session goes on when one is back. Look"
            f" again in a minute; if it stays so, {then}."
        )
    match known.status:
        case Status.COMPLETED:
            return (
                f"Done, on the branch {known.branch}: look at claude_autonomous_diff"
                f"{', which with format=patch gives it all' if afar() else ''}. The person takes it with"
                f" `overnight checkout {sid}`, {at_a_terminal()}."
            )
        case Status.FAILED | Status.CANCELLED:
            return (
                f"Over ({known.status.value}). What it did is on the branch {known.branch}; claude_autonomous_status"
                " with detail=full says what was tried. To go on, start a new session."
            )
        case Status.PAUSED if known.reason.startswith(LIMIT):
            return (
                "A limit paused it, and only a person raises limits: claude_autonomous_approve asks them, or they do it"
                f" {at_a_terminal()}: `overnight limits {sid}`. Then it goes on by itself. Or end it with"
                " claude_autonomous_cancel."
            )
        case Status.PAUSED if known.approval is not None:
            return f"It is paused. {_approval_wanted(known)}"
        case Status.PAUSED:
            return (
                "It waits for a person: claude_autonomous_steer with guidance if there is any, then"
                " claude_autonomous_control with action=resume; or claude_autonomous_cancel."
            )
        case Status.WAITING_APPROVAL:
            return _approval_wanted(known)
        case Status.WAITING_LIMIT:
            return "It waits by itself and goes on by itself: look again after waiting_until, not before."
        case _:
            then = _BY_WHOM.sub(r"\1.", known.next)
            return f"{then} claude_autonomous_wait tells when it ended or needs a person."


def _approval_wanted(known: SessionStatus) -> str:
    if known.approval is None:
        return f"It waits for a person's approval, given {at_a_terminal()}."
    sid, waits = known.session_id, known.approval
    return (
        f"It waits for the person to approve {waits.request}. Only they can answer:"
        f" claude_autonomous_approve asks them, or {at_a_terminal()} `overnight approve {sid} {waits.request}`"
        f" (--edit to change the plan) or `overnight reject {sid} {waits.request}`; `overnight plan {sid}` shows the"
        " plan. claude_autonomous_steer can add guidance meanwhile."
    )
