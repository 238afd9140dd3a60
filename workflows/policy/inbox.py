"""Messages of a person, applied to the state. What does not parse is recorded and shown, never dropped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.contracts.messages import Cancel, Message, Pause, RaiseLimits, Resume, Rollback, Steer
from workflows.contracts.state import MAX_GUIDANCE, MAX_SEEN_IDS, GuidanceItem, SessionState
from workflows.policy import ladder
from workflows.policy.record import event, one_line
from workflows.policy.stuck import STUCK
from workflows.policy.words import TOO_LATE

M = TypeVar("M", bound=Message)

LIMIT = "limit:"
"""How the reason of a pause begins that new limits end."""
PERSON = "a person"
BY_PERSON = f"paused by {PERSON}"
"""How the reason of a pause begins that a person asked for."""
BY_TEMPORAL = "cancelled through Temporal"


@dataclass(frozen=True)
class Unreadable:
    """A payload that is no plain data, as far as it can be shown."""

    why: str
    shown: str


def parse(
    state: SessionState, now: datetime, kind: type[M], name: str, payload: Any, *, crowd: bool = False
) -> M | None:
    """``payload`` as a message, or None with an event that shows what could not be understood; none in a ``crowd``."""
    if isinstance(payload, Unreadable):
        if crowd:
            state.messages_lost += 1
        else:
            lost(state, now, name, payload.why, payload.shown)
        return None
    try:
        message = kind.model_validate({} if payload is None else payload)
    except ValidationError as problem:
        if crowd:
            state.messages_lost += 1
            return None
        first = problem.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "input"
        lost(state, now, name, f"{field}: {first['msg']}", shown(payload))
        return None
    if not crowd and isinstance(payload, dict) and (unknown := [str(k) for k in payload if k not in kind.model_fields]):
        event(state, now, "message", f"{name}: fields that nobody knows were left out: {', '.join(unknown)}")
    return message


def lost(state: SessionState, now: datetime, name: str, why: str, what: str) -> None:
    """Put on record that a message could not be understood, with as much of it as fits."""
    state.messages_lost += 1
    event(state, now, "message", f"{one_line(name, 30)}: not understood ({one_line(why, 60)}); it was: {what}")


def shown(payload: Any) -> str:
    """A payload for people."""
    if isinstance(payload, Unreadable):
        return payload.shown
    return payload if isinstance(payload, str) else json.dumps(payload, default=str, ensure_ascii=False)


def crowded_out(state: SessionState, now: datetime, left_out: int) -> None:
    """Put on record how many of the messages that came at one moment changed nothing, and were not put on record."""
    event(state, now, "message", f"and {left_out:,} more messages at the same moment, which changed nothing")


def is_full(state: SessionState) -> bool:
    """Whether no more guidance can be taken now."""
    return len(waiting_guidance(state)) >= MAX_GUIDANCE


def is_new(state: SessionState, message: Message) -> bool:
    """Whether this message was not seen before; ids are carried, since Temporal's own count within one run only."""
    if message.id is None:
        return True
    if message.id in state.seen_ids:
        return False
    state.seen_ids = [*state.seen_ids, message.id][-MAX_SEEN_IDS:]
    return True


def pause(state: SessionState, now: datetime, message: Pause) -> None:
    """The session is to pause at the next gate."""
    if state.paused_by is None:
        reason = one_line(message.reason)
        state.paused_by = one_line(f"{BY_PERSON}: {reason}" if reason else BY_PERSON)
    event(state, now, "message", f"pause ({message.when}): {state.paused_by}")


def resume(state: SessionState, now: datetime, message: Resume) -> None:
    """The session is to go on: from a pause, and at once from a wait.

    A wait that a person's try brings on again begins with its first step: no try makes the next one later.
    """
    was = state.paused_by or (state.wait_reason if state.wait_until is not None else "")
    state.paused_by = None
    state.wait_until = None
    state.waits = 0
    if was.startswith(STUCK):
        ladder.begin_anew(state)
    state.idle = 0
    state.interruptions = 0
    state.exhausted = False
    why = f": {message.reason}" if message.reason else ""
    event(state, now, "message", f"resume{why} ({f'was: {was}' if was else 'nothing to resume: it was running'})")


def steer(state: SessionState, now: datetime, message: Steer) -> str | None:
    """Guidance for the next execute; its id, or None when so much waits already that it cannot be taken."""
    if is_full(state):
        event(state, now, "message", f"steer: refused, {MAX_GUIDANCE} messages wait already: {message.guidance}")
        return None
    if len(state.guidance) >= MAX_GUIDANCE:
        oldest = next(g for g in state.guidance if g.iteration is not None)
        state.guidance = [g for g in state.guidance if g is not oldest]
        event(state, now, "message", f"steer {oldest.id} no longer stands, it makes room: {oldest.text}")
    item = GuidanceItem(id=_guidance_id(state, message), text=message.guidance)
    state.guidance = [*state.guidance, item]
    event(state, now, "message", f"steer {item.id} ({message.when}): {message.guidance}")
    if state.paused_by and state.paused_by.startswith(STUCK):
        # It asked a person for help, and that is what it got.
        resume(state, now, Resume(reason=f"guidance {item.id}"))
    return item.id


def _guidance_id(state: SessionState, message: Steer) -> str:
    taken = {g.id for g in state.guidance}
    if message.id and message.id not in taken:
        return message.id
    while True:
        state.guidance_seq += 1
        if (made := f"g{state.guidance_seq}") not in taken:
            return made


def waiting_guidance(state: SessionState) -> list[str]:
    """The ids of guidance that no prompt has carried yet."""
    return [g.id for g in state.guidance if g.iteration is None]


def deliver_guidance(state: SessionState, now: datetime, ids: list[str]) -> None:
    """Mark guidance that a prompt has carried and that a model has answered."""
    for item in state.guidance:
        if item.id in ids and item.iteration is None:
            item.iteration = state.iteration
            event(state, now, "message", f"steer {item.id} delivered in execute #{state.iteration}")


def too_late(state: SessionState, now: datetime) -> None:
    """Put on record which guidance the session ended without."""
    for item in state.guidance:
        if item.iteration is None:
            event(state, now, "message", f"steer {item.id} {TOO_LATE}: {item.text}")


def cancel(state: SessionState, now: datetime, message: Cancel) -> None:
    """The session is to end; its work stays on the branch."""
    if state.cancelled_by is None:
        state.cancelled_by = one_line(message.reason) or f"cancelled by {PERSON}"
        event(state, now, "message", f"cancel: {state.cancelled_by}")


def roll_back(state: SessionState, now: datetime, message: Rollback) -> None:
    """The session is to go back to an iteration at its next gate."""
    state.rollback = message.iteration
    event(state, now, "message", f"rollback: to iteration {message.iteration}, at the next gate")


def no_rollback(state: SessionState, message: Rollback) -> str | None:
    """Why there is no going back to this iteration, in words, or None."""
    made = state.checkpoint
    if made is None:
        return "there is no checkpoint yet to go back from"
    if message.iteration > made.iteration:
        return f"iteration {message.iteration} has no checkpoint; there are those of iterations 0 to {made.iteration}"
    return None


def raise_limits(state: SessionState, now: datetime, message: RaiseLimits) -> None:
    """New limits; a session that a limit paused goes on when the gate finds it within them."""
    named = {k: v for k, v in message.model_dump(exclude={"id"}).items() if v is not None}
    state.limits = state.limits.model_copy(update=named)
    if message.max_cost_usd is not None or message.max_tokens is not None:
        state.exhausted = False
    if state.paused_by and state.paused_by.startswith(LIMIT):
        state.paused_by = None
    event(state, now, "message", "limits: " + ", ".join(f"{k} = {v:g}" for k, v in named.items()))
