"""A session on one screen: where it stands, its criteria with evidence, its plan, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from overnight.cli.clock import clock, here
from overnight.cli.criteria import Row
from overnight.cli.plain import waited_for
from workflows.policy.advice import line
from workflows.policy.approvals import how
from workflows.policy.words import TOO_LATE, exposure

if TYPE_CHECKING:
    from workflows.contracts.status import GuidanceStatus, SessionStatus

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
        f"{'' if status.status.is_final else f' · {status.phase}'} · iteration {status.iteration}{limit}",
    )
    if trouble:
        yield Text(f"{trouble} (still trying)", style="red")
    if status.worker == "offline":
        yield Text("worker offline: this is the session's last word; it goes on when a worker is back", style="red")
    if status.waiting_until is not None and not status.reason:
        yield Text(f"waits until {clock(status.waiting_until)} and goes on by itself", style="yellow")
    if status.approval is not None:
        yield Text(waited_for(status.approval), style="yellow")
        yield Text(how(status.session_id, status.approval), style="yellow")
    if status.reason and status.status.value != "waiting_approval":
        yield Text(here(status.reason), style=COLOURS.get(status.status.value, ""))
    yield Text(_one_line(status.goal), style="dim", overflow="ellipsis", no_wrap=True)
    yield _progress(status)
    yield Text(_spent(status), style="dim")
    for found in status.tampering:
        yield Text(f"tampering {found}", style="yellow")
    if status.sandbox:
        yield Text(f"sandbox: {status.sandbox}", style="dim")
    if left_open := exposure(status.sandbox):
        yield Text(left_open, style="red")
    if criteria:
        yield _criteria(criteria)
    if status.steps:
        yield _steps(status)
    for item in status.guidance:
        yield Text(f"guidance: {item.text} ({_delivery(item)})", style="cyan")
    for used in status.knowledge:
        yield Text(f"knowledge: {line(used)}", style="cyan", overflow="ellipsis", no_wrap=True)
    if status.knowledge_note and status.status.is_final:
        yield Text(f"knowledge: {status.knowledge_note}", style="dim")
    if status.recovery:
        yield Text(f"recovery {status.recovery}", style="yellow", overflow="ellipsis", no_wrap=True)
    if status.strategy:
        yield Text(f"strategy: {_one_line(status.strategy)}", overflow="ellipsis", no_wrap=True)
    if status.last_error:
        style = "dim" if status.status.value == "completed" else "red"
        yield Text(f"{_last_error(status)}: {here(status.last_error)}", style=style, overflow="ellipsis", no_wrap=True)
    if status.trace_id:
        yield Text(f"trace {status.trace_id}", style="dim")
    if status.monitor_url:
        yield Text(status.monitor_url, style="dim", overflow="fold")


def _delivery(item: GuidanceStatus) -> str:
    words = {"waiting": "waits for the next execute", "too_late": TOO_LATE}
    return words.get(item.state, f"carried by execute #{item.iteration}")


def _last_error(status: SessionStatus) -> str:
    """The label of the last error: of which iteration, and whether the session got over it."""
    notes = [f"#{status.error_log[-1].iteration}"] if status.error_log else []
    if status.status.value == "completed":
        notes.append("overcome")
    return f"last error ({', '.join(notes)})" if notes else "last error"


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
    if expected := _expected(status):
        parts.append(expected)
    if status.commit:
        parts.append(f"{status.branch} at {status.commit[:10]}")
    return " · ".join(parts)


def _expected(status: SessionStatus) -> str:
    """When it may be done, and why one may think so; only while it works."""
    of = status.estimate
    if status.status.value != "running" or not of.basis:
        return ""
    if of.earliest is None or of.latest is None:
        return of.basis
    return f"done about {clock(of.earliest)} to {clock(of.latest)} ({of.basis})"


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
    marks = {"done": YES, "dropped": Text("-", style="dim")}
    for step in status.steps:
        title = Text(step.title, style="dim strike" if step.status == "dropped" else "")
        if step.note:
            title = Text.assemble(title, (f" ({step.note})", "dim"))
        table.add_row(marks.get(step.status, Text("·")), Text(step.id, style="bold"), title)
    return table


def _one_line(text: str) -> str:
    return " ".join(text.split())
