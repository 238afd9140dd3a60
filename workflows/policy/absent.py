"""A validation command that names a program which is not there: nothing that the agent does would make it pass."""

from __future__ import annotations

import re

from workflows.contracts.evidence import CommandEvidence, Scorecard
from workflows.contracts.state import SessionState
from workflows.policy.criteria import VALIDATION
from workflows.policy.words import NOT_FOUND, did_not_run

MAX_ABSENT = 2
"""Iterations in a row that are one too many."""
_NAMED = re.compile(r"(?P<name>[^\s:'\"`]+)['\"`]?: (?:command )?not found\s*$", re.MULTILINE)


def told(ran: CommandEvidence) -> str:
    """What a person is told of a command that could not run, by name where the shell says it; empty where it ran."""
    why, name = did_not_run(ran.exit_code), _name(ran)
    return f"{name} was not found in the sandbox" if why and name else why.partition(", ")[2]


def of_baseline(card: Scorecard) -> list[str]:
    """The same for the record, of the person's own command before the work."""
    return [
        f"{VALIDATION} does not run (exit code {e.exit_code}): {told(e)}; the report says how to have it there"
        for e in card.commands
        if e.criterion == VALIDATION and did_not_run(e.exit_code)
    ]


def pause(state: SessionState) -> str:
    """Count an iteration; why the session is to ask its person now, or nothing.

    Only a program that the person's command itself names is theirs to provide: what a script, a path of the project or
    a package's own command calls can be mended by the work.
    """
    card = state.card
    command = next((c.command for c in state.criteria if c.id == VALIDATION), None) or ""
    ran = next((e for e in card.commands if e.criterion == VALIDATION), None) if card else None
    name = _name(ran) if ran is not None and ran.exit_code == NOT_FOUND else ""
    if not name or "/" in name or name not in re.split(r"[\s;&|()]+", command):
        state.absent = 0
        return ""
    state.absent += 1
    if state.absent < MAX_ABSENT:
        return ""
    # Who resumes has seen it: it is counted afresh.
    state.absent = 0
    return f"your validation command does not run: {name} was not found in the sandbox; have it there, then resume"


def _name(ran: CommandEvidence) -> str:
    found = _NAMED.findall(ran.tail)
    return found[-1][:40] if found else ""
