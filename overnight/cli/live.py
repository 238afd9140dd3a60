"""The live view: events scroll by and stay, below them the board is drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from overnight.cli import output
from overnight.cli.board import board
from overnight.cli.criteria import Row
from overnight.cli.plain import event_lines, failures

if TYPE_CHECKING:
    from workflows.contracts.state import Event
    from workflows.contracts.status import SessionStatus

PAST_EVENTS = 10
"""Events from before that are shown at the beginning."""

_STYLES = {"error": "red", "limit": "yellow", "message": "cyan", "checkpoint": "blue", "end": "bold"}


class LiveView:
    """A view for a terminal; ``hint`` says what Ctrl-C does."""

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._console = output.console()
        self._live = Live(console=self._console, refresh_per_second=4, vertical_overflow="crop")
        self._last: tuple[SessionStatus, Sequence[Row]] | None = None
        self._started = False

    def show(self, status: SessionStatus, events: Sequence[Event], criteria: Sequence[Row]) -> None:
        """Events above, the board below."""
        if not self._started:
            self._started = True
            self._live.start()
            events = events[-PAST_EVENTS:]
        for event in events:
            for line in event_lines(event):
                self._say(line, _STYLES.get(event.kind, ""))
            if event.kind == "validation" and event is events[-1]:
                for line in failures(status):
                    self._say(line, "dim red")
        self._last = (status, criteria)
        self._draw(hint="" if status.status.is_final else self._hint)

    def trouble(self, text: str) -> None:
        """On the board, until somebody answers again."""
        if self._last is None:
            output.note(f"{text} (still trying)")
        else:
            self._draw(hint=self._hint, trouble=text)

    def close(self) -> None:
        """Leave the last board on the screen and give the cursor back."""
        if self._started:
            self._live.stop()

    def _say(self, line: str, style: str) -> None:
        self._console.print(Text(line, style=style), no_wrap=True, overflow="ellipsis")

    def _draw(self, *, hint: str, trouble: str = "") -> None:
        if self._last is not None:
            status, criteria = self._last
            tail = [Text(hint, style="dim italic")] if hint else []
            self._live.update(Group(Rule(style="dim"), board(status, criteria, trouble=trouble), *tail), refresh=True)
