"""The table of ``list``: as wide as its screen, columns left out rather than letters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from overnight.cli.board import COLOURS

if TYPE_CHECKING:
    from rich.console import Console

    from workflows.contracts.status import SessionStatus

_COLUMNS = ("session", "status", "phase", "iteration", "progress", "cost", "started")
_TO_THE_RIGHT = frozenset({"iteration", "progress", "cost"})
_DISPENSABLE = ("started", "phase", "iteration", "cost", "progress", "status")
"""In the order in which they go where there is no room; the id of a session always stays, and stays whole."""
_GAP = 2
_GOAL_LEAST, _GOAL_MOST = 12, 60
"""Characters of a goal: it has what the other columns leave, and goes when that tells nothing."""


def print_table(found: Sequence[SessionStatus], console: Console) -> None:
    """The sessions, as wide as the console; an id that alone is longer is wrapped by the terminal, and stays whole."""
    shown = _table(found, console.width)
    console.print(shown, width=max(console.width, console.measure(shown).minimum), soft_wrap=True)


def _table(found: Sequence[SessionStatus], width: int) -> Table:
    cells = {name: [_cell(one, name) for one in found] for name in _COLUMNS}
    widths = {name: max(len(name), *map(len, cells[name])) for name in _COLUMNS}
    shown = list(_COLUMNS)
    for name in _DISPENSABLE:
        if _taken(widths, shown) <= width:
            break
        shown.remove(name)
    room = min(_GOAL_MOST, width - _taken(widths, shown) - _GAP)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        drawn.add_column(
            name, no_wrap=True, min_width=widths[name], justify="right" if name in _TO_THE_RIGHT else "left"
        )
    if room >= _GOAL_LEAST:
        drawn.add_column("goal", no_wrap=True, overflow="ellipsis", max_width=room)
    for row, one in enumerate(found):
        styles = {"status": COLOURS.get(one.status.value, "cyan")}
        texts = [Text(cells[name][row], style=styles.get(name, "")) for name in shown]
        drawn.add_row(*texts, *([" ".join(one.goal.split())] if room >= _GOAL_LEAST else []))
    return drawn


def _taken(widths: dict[str, int], shown: Sequence[str]) -> int:
    return sum(widths[name] for name in shown) + _GAP * (len(shown) - 1)


def _cell(one: SessionStatus, name: str) -> str:
    return {
        "session": one.session_id,
        "status": one.status.value,
        # Of what is over, the last phase tells nothing: all of them end by learning.
        "phase": "" if one.status.is_final else one.phase,
        "iteration": str(one.iteration),
        "progress": f"{one.progress} %",
        "cost": f"${one.cost_usd:.2f}",
        "started": _ago(one.started_at),
    }[name]


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"
