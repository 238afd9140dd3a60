"""The official conformance suite: which scenarios are run against which server, and what came of them."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance import node

LEGACY, MODERN = "2025-11-25", "2026-07-28"

TASKS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
"""Of the extension ``io.modelcontextprotocol/tasks``, which no revision requires."""

FIXTURE_FREE = {
    LEGACY: (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
    ),
    MODERN: (
        "tools-list",
        "resources-list",
        "prompts-list",
        "completion-complete",
        "sep-2164-resource-not-found",
        "caching",
        "dns-rebinding-protection",
        "input-required-result-unsupported-methods",
        "http-header-validation",
    ),
}
"""Scenarios that ask for no tool, resource or prompt of the suite's own: the real server has to pass them."""

_SERVERS = re.compile(r"^server:((?:\n  - [\w-]+)+)$", re.MULTILINE)
_RESULT = re.compile(r"server-(?P<scenario>.+?)-\d{4}-\d\d-\d\dT[\d-]+Z$")


@dataclass
class Scenario:
    """What came of one scenario: how many checks ended how, and what failed in words."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.failures and self.counts["SUCCESS"] + self.counts["SKIPPED"] > 0


async def all_of(url: str, revision: str) -> list[Scenario]:
    """All scenarios that a revision of the protocol requires, at its wire, and those that it runs besides."""
    return await _run(url, "--requirements", revision)


def not_run(revision: str, found: Sequence[Scenario]) -> list[str]:
    """Scenarios that all of a revision must hold, and that were not among those found."""
    listed = _SERVERS.search((node.SUITE.parent.parent / "requirements" / f"{revision}.yaml").read_text())
    assert listed, "the suite says in another way what a server is required to do"
    wanted = {*listed[1].split("\n  - ")[1:], *(TASKS if revision == MODERN else ())}
    return sorted(wanted - {scenario.name for scenario in found})


async def named(url: str, scenario: str, revision: str = MODERN) -> list[Scenario]:
    """One scenario, at the wire of a revision."""
    return await _run(url, "--scenario", scenario, "--spec-version", revision, named=scenario)


async def _run(url: str, *arguments: str, named: str = "") -> list[Scenario]:
    with tempfile.TemporaryDirectory(prefix="ov-suite-") as folder:
        home = Path(folder)
        ran = await node.run(node.SUITE, "server", "--url", url, *arguments, "-o", str(home / "out"), home=home)
        found = [_read(path) for path in sorted((home / "out").glob("server-*/checks.json"))]
    if not found:
        said = (ran.err or ran.out).strip()[-600:]
        return [Scenario(named or arguments[1], failures=[f"the suite ran nothing (exit code {ran.code}): {said}"])]
    if ran.code and all(scenario.held for scenario in found):
        found.append(Scenario("suite", failures=[f"exit code {ran.code}: {ran.out.strip()[-600:]}"]))
    return found


def _read(path: Path) -> Scenario:
    match = _RESULT.match(path.parent.name)
    assert match, path.parent.name
    scenario = Scenario(match["scenario"])
    for check in json.loads(path.read_text()):
        scenario.counts[check["status"]] += 1
        if check["status"] == "FAILURE":
            scenario.failures.append(f"{check['id']}: {check.get('errorMessage') or check['description']}"[:400])
    return scenario
