"""Keeping the record: events, errors, times. Every list forgets its oldest entry at its limit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from workflows.contracts.outcome import MAX_UNSETTLED, Account, CallReport, Outcome
from workflows.contracts.requests import Phase
from workflows.contracts.state import MAX_ERRORS, MAX_EVENTS, ErrorEntry, Event, PhaseTimes, SessionState
from workflows.contracts.text import ELLIPSIS, clip

MAX_NOTED = 6
EventKind = Literal["phase", "checkpoint", "validation", "error", "message", "limit", "approval", "note", "end"]


def one_line(text: str, limit: int = 200) -> str:
    """``text`` as a single line of at most ``limit`` bytes; a command in backticks is shown whole or left out."""
    whole = " ".join(text.split())
    shown = clip(whole, limit)
    if shown == whole or shown.count("`") % 2 == 0:
        return shown
    return f"{shown[: shown.rindex('`')].rstrip(' (')} {ELLIPSIS}".lstrip()


def event(state: SessionState, now: datetime, kind: EventKind, text: str) -> None:
    """Add an event; the oldest beyond the limit is forgotten (history still has it)."""
    state.event_seq += 1
    added = Event(seq=state.event_seq, time=now.replace(microsecond=0), kind=kind, text=one_line(text, 130))
    state.events = [*state.events, added][-MAX_EVENTS:]
    state.updated_at = now


def error(state: SessionState, now: datetime, phase: Phase, kind: str, text: str) -> None:
    """Add an error to the log and to the events."""
    state.error_count += 1
    entry = ErrorEntry(iteration=state.iteration, phase=phase, kind=kind, text=one_line(text))
    state.errors = [*state.errors, entry][-MAX_ERRORS:]
    event(state, now, "error", f"{phase}: {kind}: {text}")


def observed(state: SessionState, now: datetime, report: CallReport) -> None:
    """Put on record what was seen beside a call's own result; more than a few at once are counted."""
    settle_at(state, now, report.host)
    for text in report.notes[:MAX_NOTED]:
        event(state, now, "note", text)
    more = max(0, len(report.notes) - MAX_NOTED) + report.more_notes
    if more:
        event(state, now, "note", f"and {more} more such notes")


def settle_at(state: SessionState, now: datetime, host: str | None) -> None:
    """Remember where the session's worktree is; that it has moved is on record."""
    if host is None:
        return
    if state.host not in (None, host):
        event(state, now, "note", "its host is gone or busy: the session goes on at another one")
    state.host, state.roams = host, False


def charge(state: SessionState, phase: Phase, report: CallReport) -> None:
    """Charge what a call used, and remember how long the phase takes when it ran to its end.

    Active time is the time that calls ran, by their own clock: a night in which the machine slept costs none.
    """
    state.usage = state.usage + report.usage
    for account in report.settled:
        _settle(state, account)
    state.active_seconds += report.seconds
    state.sandbox = report.sandbox or state.sandbox
    if report.outcome is Outcome.COMPLETED:
        times = state.times.get(phase) or PhaseTimes()
        state.times = {
            **state.times,
            phase: PhaseTimes(count=times.count + 1, seconds=times.seconds + report.seconds),
        }


def unsettled(state: SessionState, account: Account) -> None:
    """Remember a call that never answered: its host may come back, and has on disk what Temporal did not hear."""
    state.unsettled = [*state.unsettled, account][-MAX_UNSETTLED:]


def _settle(state: SessionState, found: Account) -> None:
    """Charge what a call really used in the place of what it was charged, once."""
    for charged in state.unsettled:
        if (charged.run, charged.activity) == (found.run, found.activity):
            state.unsettled = [one for one in state.unsettled if one is not charged]
            state.usage = state.usage.with_true(charged.usage, found.usage)
            return
