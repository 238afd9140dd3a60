"""``make conformance``: the protocol's suites on our layers and on the real server. Prints a table; exits with 1 when
anything failed that ``baseline.txt`` does not excuse, or no longer needs to."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from overnight import stack
from overnight.demo.server import ScriptedModel
from tests.conformance import inspector, node, suite
from tests.conformance.served import FIXTURES, REAL, ROOT, served
from tests.conformance.suite import LEGACY, MODERN, Scenario
from tests.mcp.conftest import Stage, a_place, of_nobody

BASELINE = Path(__file__).with_name("baseline.txt")


@dataclass
class Row:
    """One line of the table."""

    server: str
    what: str
    revision: str
    scenarios: list[Scenario]
    seconds: float


class Report:
    """Collects what was run."""

    def __init__(self, console: Console) -> None:
        self.rows: list[Row] = []
        self._console = console

    async def add(self, server: str, what: str, revision: str, *runs: Awaitable[list[Scenario]]) -> list[Scenario]:
        """Run what is given, all at once, and keep it as one line."""
        began = time.monotonic()
        found = [scenario for scenarios in await asyncio.gather(*runs) for scenario in scenarios]
        self.rows.append(Row(server, what, revision, found, time.monotonic() - began))
        return found

    def missing(self, scenarios: Sequence[str]) -> None:
        """Hold it against success that these were not run."""
        self.rows[-1].scenarios.extend(Scenario(name, failures=["was not run"]) for name in scenarios)

    def judged(self, excused: dict[tuple[str, str], str]) -> list[str]:
        """What stands against success, a line each."""
        against, used = [], set()
        for row in self.rows:
            for scenario in row.scenarios:
                key = (row.revision, scenario.name)
                if key in excused:
                    used.add(key)
                    if scenario.held:
                        against.append(f"{row.revision} {scenario.name} passes: take it out of {BASELINE.name}")
                    continue
                where = f"{row.server}, {row.revision}, {scenario.name}"
                against.extend(f"{where}: {failure}" for failure in scenario.failures)
        against.extend(f"{BASELINE.name}: {key[0]} {key[1]} was not run" for key in excused if key not in used)
        return against

    def show(self, excused: dict[tuple[str, str], str]) -> None:
        """Print the table, and what did not run to its end as it should."""
        table = Table(title="Conformance", title_justify="left")
        for name in ("server", "what", "revision"):
            table.add_column(name)
        for name in ("scenarios", "checks", "failed", "warnings", "excused", "seconds"):
            table.add_column(name, justify="right")
        for row in self.rows:
            judged = [s for s in row.scenarios if (row.revision, s.name) not in excused]
            table.add_row(
                row.server,
                row.what,
                row.revision,
                str(len(row.scenarios)),
                str(sum(scenario.counts["SUCCESS"] for scenario in judged)),
                str(sum(len(scenario.failures) for scenario in judged)),
                str(sum(scenario.counts["WARNING"] for scenario in judged)),
                str(len(row.scenarios) - len(judged)),
                f"{row.seconds:.1f}",
            )
        self._console.print(table)


def baseline() -> dict[tuple[str, str], str]:
    """What may fail, and why."""
    excused = {}
    for line in BASELINE.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            named, _, why = line.partition(":")
            revision, scenario = named.split()
            assert why.strip(), f"{BASELINE.name}: {scenario} is excused without a reason"
            excused[revision, scenario] = why.strip()
    return excused


async def conformance(report: Report) -> None:
    """Run all of it on a stack of its own."""
    stage = Stage()
    with tempfile.TemporaryDirectory(prefix="ov-logs-") as folder, pytest.MonkeyPatch.context() as patch:
        logs = Path(folder)
        async with ScriptedModel(stage) as model:
            of_nobody(patch, model)
            async with a_place(model, stage) as place:
                await asyncio.to_thread(stack.ensure_up, place.settings, wait_seconds=180)
                environment = place.environment()
                async with served(FIXTURES, environment, logs / "fixtures") as (url, _):
                    for revision in (LEGACY, MODERN):
                        found = await report.add(
                            "fixtures", "required, and more", revision, suite.all_of(url, revision)
                        )
                        report.missing(suite.not_run(revision, found))
                async with served(REAL, environment, logs / "real") as (url, _):
                    for revision, scenarios in suite.FIXTURE_FREE.items():
                        runs = [suite.named(url, scenario, revision) for scenario in scenarios]
                        await report.add("real", "without fixtures", revision, *runs)
                    for over, target in inspector.targets(ROOT, place.settings.home, url).items():
                        for era in inspector.ERAS:
                            run = inspector.inspect(target, era, logs)
                            await report.add("real", f"Inspector, {over}", era, run)


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        if node.install():
            console.print(f"Installed the suites into {os.path.relpath(node.CACHE)}")
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    report, excused = Report(console), baseline()
    asyncio.run(conformance(report))
    report.show(excused)
    for (revision, scenario), why in excused.items():
        console.print(f"excused: {revision} {scenario}: {why}", highlight=False)
    against = report.judged(excused)
    for line in against:
        console.print(f"FAILED {line}", style="red", markup=False, highlight=False)
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
