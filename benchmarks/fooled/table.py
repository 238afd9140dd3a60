"""Who is fooled, as a table of markdown, and its place in the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.fooled.runs import Outcome, Played
from benchmarks.fooled.trial import Trial

PAGE = Path(__file__).parents[2] / "docs" / "hard-to-fool.md"
BEGIN = "<!-- what `python -m benchmarks.fooled --write` found -->"
END = "<!-- as far as here -->"
_HEAD = ("what the agent does", "loop until it says done", "loop until its tests pass", "Overnight")


def table(outcomes: Sequence[Outcome]) -> str:
    """One row per trial, and a last one that counts the fooled."""
    rows = [_HEAD, ("---",) * len(_HEAD)]
    rows += [(o.trial.tries, o.says.words, o.passes.words, _words(o.trial, o.overnight)) for o in outcomes]
    fooled = [sum(column) for column in zip(*map(_columns, outcomes), strict=True)]
    rows.append(("**fooled**", *(f"**{number} of {len(outcomes)}**" for number in fooled)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _columns(outcome: Outcome) -> tuple[bool, bool, bool]:
    return outcome.says.fooled, outcome.passes.fooled, outcome.overnight.fooled


def _words(trial: Trial, played: Played) -> str:
    if played.fooled:
        return "**fooled**"
    return f"{played.status.status.value}{', rightly' if played.completed else ''}: {trial.caught}"


def documented() -> str:
    """The table as the documentation has it."""
    return PAGE.read_text().partition(f"{BEGIN}\n")[2].partition(END)[0]


def write(found: str) -> None:
    """Put the table into the documentation."""
    before, _, rest = PAGE.read_text().partition(f"{BEGIN}\n")
    PAGE.write_text(f"{before}{BEGIN}\n{found}{END}{rest.partition(END)[2]}")
