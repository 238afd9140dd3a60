"""The failure table: what a session does about each outcome of a call (design, section 4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from workflows.contracts.outcome import NO_CREDENTIAL, CallReport, Outcome
from workflows.contracts.requests import Phase
from workflows.contracts.state import SessionState
from workflows.policy.record import one_line


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
    GO_ELSEWHERE = "go_elsewhere"
    """The host does not answer: any other may take the call, and stands on what the vault has."""
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
    Outcome.VAULT_AWAY: Reaction.BACK_OFF,
    Outcome.HOST_LOST: Reaction.GO_ELSEWHERE,
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

NOT_ASKED = (
    f"engine_auth: {NO_CREDENTIAL}, so the model was not asked; run `overnight down && overnight up` in a shell that"
    " has one, then resume"
)

MAX_ATTEMPTS = 3
"""Failed attempts in a row of a call whose answer is owed, before the session goes on without it or pauses."""

BACK_OFF_FIRST = timedelta(minutes=5)
BACK_OFF_LONGEST = timedelta(minutes=60)
RESET_JITTER_SECONDS = 30
"""Sessions that share a limit start again within this many seconds after its reset, not all at once."""
JUST_OVER = timedelta(minutes=1)
"""A reset that is no longer ago is believed: it passed while Claude Code came to its end."""
LONGEST_RESET = timedelta(days=8)
"""No limit of a model's service lasts longer: a later reset is a mistake, and is asked about again."""
MAX_INTERRUPTIONS = 3
"""Interruptions in a row that nobody asked for and that brought nothing, before the session backs off."""

FAILED_ATTEMPTS = frozenset({Reaction.TRY_AGAIN, Reaction.KEEP_WORK, Reaction.START_AFRESH})
"""Reactions that count against ``MAX_ATTEMPTS`` where an answer is owed."""
ENDS_EXECUTE = frozenset({Reaction.GO_ON, Reaction.KEEP_WORK, Reaction.TRY_AGAIN})
"""Reactions after which what an execute did is judged by validation."""


def reaction(outcome: Outcome) -> Reaction:
    """What the table says about ``outcome``."""
    return TABLE[outcome]


def weigh(state: SessionState, report: CallReport, *, asked: bool) -> Reaction:
    """What to do about a report. Counts what comes in a row, so that nothing repeats itself without end."""
    verdict = reaction(report.outcome)
    if verdict is Reaction.CONTINUE_LATER and not asked and not report.usage.responses:
        state.interruptions += 1
        if state.interruptions > MAX_INTERRUPTIONS:
            return Reaction.BACK_OFF
    elif report.usage.responses or verdict is Reaction.GO_ON:
        state.interruptions = 0
    got_through = verdict is Reaction.WAIT_FOR_RESET and report.usage.responses > 0
    if verdict in FAILED_ATTEMPTS or verdict is Reaction.GO_ON or got_through:
        state.waits = 0
    # A call may use all that the session has left: when that is not enough, the next one would find the same.
    state.exhausted = state.exhausted or report.outcome is Outcome.MAX_COST
    return verdict


def pause_reason(report: CallReport) -> str:
    """Why the session pauses, with the fix in words."""
    if report.outcome is Outcome.AUTH and NO_CREDENTIAL in report.detail:
        return NOT_ASKED
    reason = PAUSE_REASONS[report.outcome]
    return f"{reason} ({report.detail})" if report.detail else reason


def usage_limit_reason(report: CallReport) -> str:
    """Why a session pauses that is not to wait for the reset by itself."""
    until = f"{report.resets_at:%Y-%m-%d %H:%M:%S} UTC" if report.resets_at else "an unknown time"
    return f"usage limit: the model's service takes no more calls until {until}; resume then"


def no_answer(phase: Phase, report: CallReport) -> str:
    """Why the session pauses when attempts are used up."""
    return f"{phase}: {MAX_ATTEMPTS} attempts brought no answer ({report.outcome.value}: {report.detail})"


def back_off(waits: int) -> timedelta:
    """How long to wait when nobody says until when: 5 minutes, doubling to 60."""
    return min(BACK_OFF_FIRST * float(2 ** min(waits, 10)), BACK_OFF_LONGEST)


def wait(state: SessionState, report: CallReport, now: datetime, jitter: float) -> None:
    """Make the session wait; ``jitter`` in [0, 1] spreads sessions after a reset that somebody stated."""
    until, known = now + back_off(state.waits), False
    resets_at = report.resets_at if report.outcome is Outcome.USAGE_LIMIT else None
    if resets_at is not None and resets_at > now - JUST_OVER:
        end = max(resets_at, now + timedelta(seconds=1))
        stated = min(end, now + LONGEST_RESET) + timedelta(seconds=jitter * RESET_JITTER_SECONDS)
        # Stated once more after it was waited for, it is not to be trusted to the second.
        until = max(stated, now + back_off(state.waits - 1)) if state.waits else stated
        known = True
    state.waits += 1
    state.wait_until = until
    state.wait_reason = one_line(wait_reason(report, until, known=known))


def wait_reason(report: CallReport, until: datetime, *, known: bool) -> str:
    """What the session waits for, and whether the end is known."""
    clock = until.strftime("%Y-%m-%d %H:%M:%S UTC")
    if report.outcome is Outcome.USAGE_LIMIT:
        return f"usage limit: goes on by itself at {clock}{'' if known else ' (the reset is unknown: backing off)'}"
    if report.outcome is Outcome.INTERRUPTED:
        return f"interrupted again and again: tries again at {clock}: {report.detail}"
    if report.outcome is Outcome.VAULT_AWAY:
        return f"the vault is away: tries again at {clock}: {report.detail}"
    return f"model unavailable: tries again at {clock}: {report.detail}"
