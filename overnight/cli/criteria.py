"""The criteria of a session as a table: the words and the evidence are those of its report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflows.policy.words import how_it_ended, tests_told

if TYPE_CHECKING:
    from workflows.contracts.status import SessionStatus

_ROW = re.compile(
    r"^\| (?P<id>[A-Za-z0-9][\w.-]*): (?P<what>[^|]*) \| (?P<by>`(?:\\\||[^|])*`|a judge) \| (?P<met>yes|no)"
    r"(?P<note>[^|]*) \| (?P<evidence>.*) \|$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Row:
    """One criterion and what was observed about it."""

    id: str
    description: str
    command: str | None
    """Absent where a judge decides."""
    met: bool
    evidence: str


def rows(report: str, status: SessionStatus) -> list[Row]:
    """The criteria with their evidence; from the status alone where the report has no table yet."""
    head, _, rest = report.partition("\n## Criteria and evidence\n")
    table = rest.partition("\n## ")[0] if rest else head
    found = [
        Row(
            id=match["id"],
            description=match["what"],
            command=match["by"].strip("`").replace("\\|", "|") if match["by"] != "a judge" else None,
            met=match["met"] == "yes",
            evidence=f"{match['evidence']}{match['note']}".replace("`", ""),
        )
        for match in _ROW.finditer(table)
    ]
    return found or bare(status)


def bare(status: SessionStatus) -> list[Row]:
    """What the status itself says of the criteria."""
    ran = {result.criterion: result for result in status.test_results}
    listed: list[Row] = []
    for criterion, met in status.validation_status.items():
        result = ran.get(criterion)
        end = how_it_ended(result.exit_code, timed_out=result.timed_out) if result else ""
        evidence = f"{end} in {result.seconds:.1f} s" if result else "not looked at yet"
        if result and (tests := tests_told(result)):
            evidence = f"{evidence}, {tests}"
        listed.append(Row(criterion, criterion, result.command if result else None, met, evidence))
    if (hidden := status.held_out) is not None:
        listed.append(Row("held-out", "held-out", hidden.command, hidden.passed, hidden.note.replace("`", "")))
    return listed
