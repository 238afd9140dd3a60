"""What a message does to a session in the state that it is in, in words for a person or a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflows.contracts.state import Status
from workflows.policy.inbox import LIMIT
from workflows.policy.words import NOTHING_COMMITTED

if TYPE_CHECKING:
    from workflows.contracts.messages import SteerWhen, When
    from workflows.contracts.status import SessionStatus

_LATER = "No worker answers for it now: the message is kept in Temporal, and takes effect when one is back."


def of_pause(known: SessionStatus, when: When) -> str:
    """What pausing does; ``known`` is the session as it was before."""
    if known.worker == "offline":
        return _LATER
    match known.status:
        case Status.PAUSED:
            return "It is paused already: nothing changes."
        case Status.WAITING_LIMIT:
            return "It pauses at once, since it only waits; it does not go on by itself any more."
        case Status.WAITING_APPROVAL:
            return "It pauses at once, since it only waits; what waits for approval goes on waiting, without a clock."
        case _ if when == "now":
            return "It interrupts its running turn, keeps the work, and pauses."
    return "It pauses when its running turn has ended."


def of_resume(known: SessionStatus) -> str:
    """What resuming does."""
    if known.worker == "offline":
        return _LATER
    match known.status:
        case Status.PAUSED:
            return "It goes on."
        case Status.WAITING_LIMIT:
            return "It tries at once, and waits no longer."
    return "It is running: there is nothing to resume, but a pause that was asked for and has not begun is off."


def of_steer(known: SessionStatus, when: SteerWhen) -> str:
    """What guidance does, and when it reaches a prompt."""
    if known.worker == "offline":
        return _LATER
    match known.status:
        case Status.PAUSED if known.reason.startswith(LIMIT):
            return "It gets the guidance with its next step; it is paused, and goes on when that limit is raised."
        case Status.PAUSED:
            return "It gets the guidance with its next step; it is paused, and goes on when it is resumed."
        case Status.WAITING_LIMIT:
            return "It gets the guidance with its next step, after the wait; resuming it ends the wait at once."
        case _ if when == "now" and known.phase == "execute":
            return "It gets the guidance now: the running turn is interrupted, and goes on with it."
        case _ if when == "now":
            return f"It gets the guidance with its next step: no turn that could take it runs now ({known.phase})."
    return "It gets the guidance with its next step."


def not_taken(session_id: str, why: str, temporal: str | None) -> str:
    """That a cancel is on its way and the session does not know it yet, and what ends it in any case.

    ``temporal`` are the options by which Temporal's own program finds it; None for whoever is far from it.
    """
    ends = (
        f"end it with `temporal workflow terminate --workflow-id {session_id} {temporal}`, or Terminate in the Web UI"
    )
    if temporal is None:
        ends = "the person who runs this server can end it in Temporal"
    return (
        f"The cancel is sent; the session has not taken it yet ({why}). If that stays so, {ends}: its committed work"
        " stays on the branch."
    )


def of_cancel(known: SessionStatus) -> str:
    """What cancelling does, and what is left of the work."""
    if known.worker == "offline":
        return _LATER
    if known.committed:
        return "It ends; its work stays on the branch."
    if known.status is Status.RUNNING and known.phase == "execute":
        return "It ends; what its running turn did so far, if anything, stays on the branch."
    return f"It ends; {NOTHING_COMMITTED}."
