"""Views without a terminal: readable lines that stay, or one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.clock import clock, here
from overnight.cli.criteria import Row
from overnight.cli.following import NEEDS_A_PERSON
from overnight.cli.outcome import next_steps
from overnight.cli.session import headline, known
from overnight.hints import AS_OPTIONS, hint_of_event, hint_of_result
from workflows.policy.approvals import deadline
from workflows.policy.words import how_it_went, plainly

if TYPE_CHECKING:
    from workflows.contracts.approvals import Approval
    from workflows.contracts.state import Event
    from workflows.contracts.status import SessionStatus

TAIL_LINES = 6
"""Lines of a failed command's output that are shown."""
_MARGIN = " " * (len(clock(datetime.now(UTC))) + 2)
"""Below the time of the line above."""


class Lines:
    """A line per event and per move of the session; a pause that does not end the watch comes with its way on."""

    def __init__(self, *, until_paused: bool = False) -> None:
        self._hints = not until_paused
        self._told = ""
        self._sandbox = ""
        self._trouble = ""
        self._failed: set[tuple[int, str]] = set()

    def show(self, status: SessionStatus, events: Sequence[Event], criteria: Sequence[Row]) -> None:
        """New events, then where the session stands if that is new."""
        self._trouble = ""
        for event in events:
            for line in event_lines(event):
                output.say(line)
        if any(event.kind == "validation" for event in events):
            for line in self._failures(status):
                output.say(line)
        told = standing(status)
        if told != self._told:
            self._told = told
            output.say(f"{clock(datetime.now(UTC))}  {told}")
            if self._hints and status.status.value in NEEDS_A_PERSON:
                for what, command in next_steps(status)[: 4 if status.approval else 3]:
                    output.say(f"{_MARGIN}{what:<10}  overnight {command}")
        if status.sandbox and status.sandbox != self._sandbox:
            self._sandbox = status.sandbox
            output.say(f"{clock(datetime.now(UTC))}  sandbox     {plainly(status.sandbox)}")

    def trouble(self, text: str) -> None:
        """Said once per outage."""
        if not self._trouble:
            self._trouble = text
            output.say(f"{clock(datetime.now(UTC))}  {text} (still trying)")

    def close(self) -> None:
        """Nothing to put away."""

    def _failures(self, status: SessionStatus) -> Iterator[str]:
        for line in failures(status):
            key = (status.iteration, line)
            if key not in self._failed:
                self._failed.add(key)
                yield line


class JsonLines:
    """``{"type": "event" | "status" | "trouble", ...}``, one object per line."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] | None = None

    def show(self, status: SessionStatus, events: Sequence[Event], criteria: Sequence[Row]) -> None:
        """Each event, and the status whenever it moved."""
        for event in events:
            output.as_json({"type": "event", "event": event.model_dump(mode="json")})
        told = (standing(status), status.progress, status.cost_usd)
        if told != self._told:
            self._told = told
            output.as_json({"type": "status", "status": known(status)})

    def trouble(self, text: str) -> None:
        """Each time, so that a program sees for how long."""
        output.as_json({"type": "trouble", "text": text})

    def close(self) -> None:
        """Nothing to put away."""


def event_line(event: Event) -> str:
    """An event for people, in their own time zone."""
    return f"{clock(event.time)}  {event.kind:<10}  {here(event.text)}"


def event_lines(event: Event) -> Iterator[str]:
    """An event, and below it what can be done about it, if anything."""
    yield event_line(event)
    if hint := hint_of_event(event, AS_OPTIONS):
        yield f"{_MARGIN}hint        {hint}"


def standing(status: SessionStatus) -> str:
    """Where the session stands, and what it waits for."""
    parts = [headline(status)]
    if status.worker == "offline":
        parts.insert(0, "worker offline (this is the session's last word)")
    if status.waiting_until is not None and not status.reason:
        parts.append(f"waits until {clock(status.waiting_until)}")
    if status.approval is not None:
        parts.append(waited_for(status.approval))
    if status.reason and status.status.value != "waiting_approval":
        parts.append(here(status.reason))
    return " · ".join(parts)


def waited_for(approval: Approval) -> str:
    """What waits for a person, since when, until when, and what comes then."""
    until = deadline(approval, datetime.now(UTC), clock)
    return f"{approval.request} waits for approval since {clock(approval.since)}{until}: {approval.what}"


def failures(status: SessionStatus) -> Iterator[str]:
    """The commands that failed on the last validated commit, with the end of what they printed."""
    for result in status.test_results:
        if result.passed:
            continue
        how = how_it_went(result)
        what = f"{result.command} ({how})" if result.command else "found in what the session changed"
        yield f"{_MARGIN}failed      {result.criterion}: {what}"
        said = [line for line in result.tail.splitlines() if line.strip()]
        yield from (f"{_MARGIN}            | {line[:120]}" for line in said[-TAIL_LINES:])
        if hint := hint_of_result(result):
            yield f"{_MARGIN}hint        {hint}"
