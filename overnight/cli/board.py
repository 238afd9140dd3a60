"""A session on one screen: where it stands, its criteria with evidence, its plan, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from overnight.cli.criteria import Row
from overnight.cli.plain import clock
from workflows.policy.words import exposure

if TYPE_CHECKING:
    from workflows.contracts.status import SessionStatus

COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "red",
    "paused": "yellow",
    "waiting_limit": "yellow",
    "waiting_approval": "yellow",
}
YES, NO = Text("✔", style="green"), Text("✘", style="red")


def board(status: SessionStatus, criteria: Sequence[Row], *, trouble: str = "") -> RenderableType:
    """The session for a person's eye; as wide as its console."""
    return Group(*_parts(status, criteria, trouble))


def _parts(status: SessionStatus, criteria: Sequence[Row], trouble: str) -> Iterator[RenderableType]:
    limit = f" of {status.max_iterations}" if status.max_iterations else ""
    yield Text.assemble(
        (status.session_id, "bold"),
        "  ",
        (status.status.value, f"bold {COLOURS.get(status.status.value, 'cyan')}"),
        f" · {status.phase} · iteration {status.iteration}{limit}",
    )
    if trouble:
        yield Text(f"{trouble} (still trying)", style="red")
    if status.worker == "offline":
        yield Text("worker offline: this is the session's last word; it goes on when a worker is back", style="red")
    if status.waiting_until is not None:
        yield Text(f"waits until {clock(status.waiting_until)} and goes on by itself", style="yellow")
    if status.reason:
        yield Text(status.reason, style=COLOURS.get(status.status.value, ""))
    yield Text(_one_line(status.goal), style="dim", overflow="ellipsis", no_wrap=True)
    yield _progress(status)
    yield Text(_spent(status), style="dim")
    if status.sandbox:
        yield Text(f"sandbox: {status.sandbox}", style="dim")
    if left_open := exposure(status.sandbox):
        yield Text(left_open, style="red")
    if criteria:
        yield _criteria(criteria)
    if status.steps:
        yield _steps(status)
    for item in status.guidance:
        where = "waits for the next execute" if item.iteration is None else f"carried by execute #{item.iteration}"
        yield Text(f"guidance: {item.text} ({where})", style="cyan")
    if status.strategy:
        yield Text(f"strategy: {_one_line(status.strategy)}", overflow="ellipsis", no_wrap=True)
    if status.last_error:
        yield Text(f"last error: {status.last_error}", style="red", overflow="ellipsis", no_wrap=True)
    if status.monitor_url:
        yield Text(status.monitor_url, style="dim", overflow="fold")


def _progress(status: SessionStatus) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=100, completed=status.progress, width=30, finished_style="green")
    basis = f"({status.progress_basis})" if status.progress_basis else ""
    grid.add_row(bar, Text(f"{status.progress} % {basis}".rstrip()))
    return grid


def _spent(status: SessionStatus) -> str:
    of = f" of ${status.max_cost_usd:.2f}" if status.max_cost_usd else ""
    parts = [f"${status.cost_usd:.2f}{of}"]
    if status.max_time_minutes:
        parts.append(f"{status.elapsed_minutes:.1f} of {status.max_time_minutes:g} active minutes")
    if status.estimated_completion is not None and status.status.value == "running":
        parts.append(f"done about {clock(status.estimated_completion)}")
    if status.commit:
        parts.append(f"{status.branch} at {status.commit[:10]}")
    return " · ".join(parts)


def _criteria(criteria: Sequence[Row]) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in criteria:
        what = row.command or row.description
        table.add_row(YES if row.met else NO, Text(row.id, style="bold"), Text(what), Text(row.evidence, style="dim"))
    return table


def _steps(status: SessionStatus) -> Table:
    table = Table.grid(padding=(0, 1))
    for step in status.steps:
        table.add_row(YES if step.status == "done" else Text("·"), Text(step.id, style="bold"), Text(step.title))
    return table


def _one_line(text: str) -> str:
    return " ".join(text.split())
