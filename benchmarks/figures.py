"""What a benchmark found: a figure beside the bare one, and the table of them."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """Values of one kind, and what the same took a shell loop with nothing but Claude Code."""

    name: str
    unit: str
    values: Sequence[float]
    bare: Sequence[float] = ()
    """Empty where a loop has nothing of the kind."""
    beside: str = ""
    """What the bare values are, where that is not plain."""

    @property
    def ratio(self) -> float | None:
        """Of the medians."""
        return statistics.median(self.values) / statistics.median(self.bare) if self.bare else None

    def as_json(self) -> Mapping[str, object]:
        """For programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "rounds": len(self.values),
            "median": statistics.median(self.values),
            "p95": p95(self.values),
            "p99": percentile(self.values, 99),
            "bare_median": statistics.median(self.bare) if self.bare else None,
            "bare_p95": p95(self.bare) if self.bare else None,
            "bare": self.beside or None,
            "ratio": self.ratio,
        }


def p95(values: Sequence[float]) -> float:
    """The smallest value that 95 % of them do not exceed; of fewer than twenty that is the greatest."""
    return percentile(values, 95)


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that ``share`` percent of them do not exceed."""
    return sorted(values)[math.ceil(len(values) * share / 100) - 1]


def load() -> str:
    """How busy the machine is, in words."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"


def show(title: str, figures: Sequence[Figure], console: Console) -> None:
    """Print one benchmark's table."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("median", "p95", "p99", "values", "bare loop", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("the bare figure is")
    for figure in figures:
        single = len(figure.values) == 1
        table.add_row(
            figure.name,
            f"{_number(statistics.median(figure.values))} {figure.unit}",
            "" if single else _number(p95(figure.values)),
            _number(percentile(figure.values, 99)) if len(figure.values) >= 100 else "",
            "" if single else str(len(figure.values)),
            f"{_number(statistics.median(figure.bare))} {figure.unit}" if figure.bare else "-",
            f"{_number(figure.ratio)}x" if figure.ratio is not None else "-",
            figure.beside,
        )
    console.print(table)


def _number(value: float) -> str:
    """With three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.4f}"
