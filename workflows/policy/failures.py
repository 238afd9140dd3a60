"""The failure table: what a session does about each outcome of a call (design, section 4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from workflows.contracts.outcome import CallReport, Outcome


class Reaction(StrEnum):
    GO_ON = "go_on"
    """The call did what it was asked for."""
    KEEP_WORK = "keep_work"
    """A limit of the call ended it: what it did is kept and judged, an answer is still owed."""
    TRY_AGAIN = "try_again"
    """A failed attempt, recorded; never success."""
    CONTINUE_LATER = "continue_later"
    """Interrupted: the gate decides when the same thing goes on."""
    START_AFRESH = "start_afresh"
    """The conversation is of no use any more: a fresh context with a brief."""
    WAIT_FOR_RESET = "wait_for_reset"
    """A usage limit: a durable timer up to the reset."""
    BACK_OFF = "back_off"
    """Temporal's own retries are used up: a durable timer, longer each time."""
    PAUSE = "pause"
    """Nothing but a person can mend it."""


TABLE: dict[Outcome, Reaction] = {
    Outcome.COMPLETED: Reaction.GO_ON,
    Outcome.NO_ANSWER: Reaction.TRY_AGAIN,
    Outcome.DENIED: Reaction.TRY_AGAIN,
    Outcome.REFUSED: Reaction.TRY_AGAIN,
    Outcome.CRASHED: Reaction.TRY_AGAIN,
    Outcome.INTERRUPTED: Reaction.CONTINUE_LATER,
    Outcome.USAGE_LIMIT: Reaction.WAIT_FOR_RESET,
    Outcome.UNAVAILABLE: Reaction.BACK_OFF,
    Outcome.AUTH: Reaction.PAUSE,
    Outcome.CREDIT: Reaction.PAUSE,
    Outcome.UNKNOWN_MODEL: Reaction.PAUSE,
    Outcome.ENGINE_BROKEN: Reaction.PAUSE,
    Outcome.WORKSPACE: Reaction.PAUSE,
    Outcome.INTERNAL: Reaction.PAUSE,
    Outcome.MAX_TURNS: Reaction.KEEP_WORK,
    Outcome.MAX_COST: Reaction.KEEP_WORK,
    Outcome.TIME_LIMIT: Reaction.KEEP_WORK,
    Outcome.STALLED: Reaction.KEEP_WORK,
    Outcome.PROMPT_TOO_LONG: Reaction.START_AFRESH,
    Outcome.TRANSCRIPT_LOST: Reaction.START_AFRESH,
}

PAUSE_REASONS: dict[Outcome, str] = {
    Outcome.AUTH: "engine_auth: the model refused the credential; log in again or set a valid key, restart the"
    " stack (`overnight down && overnight up`), then resume",
    Outcome.CREDIT: "engine_auth: the account has no credit left; add credit, then resume",
    Outcome.UNKNOWN_MODEL: "engine_auth: the model does not exist for this credential; start a session with another"
    " --model, or resume when it is available",
    Outcome.ENGINE_BROKEN: "engine: Claude Code or the sandbox cannot start on the worker's host; run"
    " `overnight doctor`, mend what is red, then resume",
    Outcome.WORKSPACE: "workspace: the project or the vault cannot be used; mend it, then resume",
    Outcome.INTERNAL: "internal: an unexpected error in Overnight; nothing is lost, resume after a fix",
}

MAX_ATTEMPTS = 3
"""Failed attempts in a row of a call whose answer is owed, before the session goes on without it or pauses."""

BACK_OFF_FIRST = timedelta(minutes=5)
BACK_OFF_LONGEST = timedelta(minutes=60)
RESET_JITTER_SECONDS = 30
"""Sessions that share a limit start again within this many seconds after its reset, not all at once."""


def reaction(outcome: Outcome) -> Reaction:
    """What the table says about ``outcome``."""
    return TABLE[outcome]


def pause_reason(report: CallReport) -> str:
    """Why the session pauses, with the fix in words."""
    reason = PAUSE_REASONS[report.outcome]
    return f"{reason} ({report.detail})" if report.detail else reason


def back_off(waits: int) -> timedelta:
    """How long to wait when nobody says until when: 5 minutes, doubling to 60."""
    return min(BACK_OFF_FIRST * float(2 ** min(waits, 10)), BACK_OFF_LONGEST)


def wait_until(report: CallReport, now: datetime, waits: int, jitter: float) -> datetime:
    """When to try again; ``jitter`` in [0, 1] spreads sessions after a reset that somebody stated."""
    if report.resets_at is not None and report.outcome is Outcome.USAGE_LIMIT:
        return max(report.resets_at, now) + timedelta(seconds=jitter * RESET_JITTER_SECONDS)
    return now + back_off(waits)


def wait_reason(report: CallReport, until: datetime) -> str:
    """What the session waits for, and whether the end is known."""
    clock = until.strftime("%H:%M:%S UTC")
    if report.outcome is Outcome.USAGE_LIMIT:
        known = "" if report.resets_at else " (the reset is unknown: backing off)"
        return f"usage limit: goes on by itself at {clock}{known}"
    return f"model unavailable: tries again at {clock}: {report.detail}"
