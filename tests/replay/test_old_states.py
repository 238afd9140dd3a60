"""What earlier versions have written into history still parses: sessions in flight carry it along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.policy.largest import largest_spec, largest_state
from workflows.contracts.state import SessionStart

STATES = Path(__file__).parent / "states"
"""Starts of runs that were continued as new, one for each form that was written. Only added to."""


@pytest.mark.parametrize("path", sorted(STATES.glob("*.json")), ids=lambda path: path.stem)
def test_it_parses_and_nothing_is_lost(path: Path) -> None:
    written = json.loads(path.read_text())
    read = SessionStart.model_validate_json(path.read_text()).model_dump(mode="json")
    assert _missing(written, read) == []


def test_what_a_newer_version_wrote_is_read_without_what_is_unknown() -> None:
    """A worker of the version before may get the next task of a session."""
    start = SessionStart(spec=largest_spec(), state=largest_state(largest_spec(), by_command=True))
    written = start.model_dump(mode="json")
    written["state"]["of_the_future"] = {"any": ["thing"]}
    written["spec"]["of_the_future"] = 1
    assert SessionStart.model_validate(written) == start


def _missing(written: object, read: object, at: str = "") -> list[str]:
    """Where something that was written is not read, or is read as something else."""
    if isinstance(written, dict) and isinstance(read, dict):
        found = [f"{at}.{key}" for key in written if key not in read]
        return found + [x for key in written if key in read for x in _missing(written[key], read[key], f"{at}.{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        pairs = zip(written, read, strict=True)
        return [x for n, (a, b) in enumerate(pairs) for x in _missing(a, b, f"{at}[{n}]")]
    return [] if written == read else [at]
