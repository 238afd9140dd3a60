"""The record of events: what there is no room for is counted."""

from __future__ import annotations

import pytest

from tests.policy.making import NOW, state
from workflows.contracts.outcome import MAX_OBSERVED, CallReport, Outcome
from workflows.policy import record
from workflows.policy.record import MAX_NOTED


@pytest.mark.parametrize(
    ("notes", "more", "told"),
    [
        (0, 0, None),
        (MAX_NOTED, 0, None),
        (MAX_NOTED + 1, 0, 1),
        (MAX_OBSERVED, 0, MAX_OBSERVED - MAX_NOTED),
        (MAX_OBSERVED, 37, MAX_OBSERVED - MAX_NOTED + 37),
        (2, 5, 5),
    ],
)
def test_all_notes_are_counted(notes: int, more: int, told: int | None) -> None:
    session = state()
    given = [f"note {number}" for number in range(notes)]
    record.observed(session, NOW, CallReport(outcome=Outcome.COMPLETED, notes=given, more_notes=more))
    said = [event.text for event in session.events]
    wanted = [] if told is None else [f"and {told} more such notes"]
    assert said == [*given[:MAX_NOTED], *wanted]
