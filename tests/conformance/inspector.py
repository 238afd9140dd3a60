"""The Inspector's command line on the real server: over stdio and HTTP, in both eras of the protocol."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.conformance import node
from tests.conformance.suite import Scenario

ERAS = ("legacy", "modern")

IS_ERROR = 5
"""The exit code for a tool's own error."""

CALLS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("tools/list, strict", ("--method", "tools/list", "--strict"), 0),
    ("prompts/list", ("--method", "prompts/list"), 0),
    ("resources/templates/list", ("--method", "resources/templates/list"), 0),
    ("a tool that answers", ("--method", "tools/call", "--tool-name", "claude_autonomous_list"), 0),
    (
        "a tool that refuses",
        ("--method", "tools/call", "--tool-name", "claude_autonomous_status", "--tool-args-json", "{}"),
        IS_ERROR,
    ),
)
"""What is asked, how, and the exit code that is right."""


def targets(root: Path, home: Path, url: str) -> dict[str, tuple[str, ...]]:
    """How the Inspector is told of a server: one that it starts, one that is there."""
    stdio = ("-e", f"OVERNIGHT_HOME={home}", "-e", f"PYTHONPATH={root}", sys.executable, str(root / "mcp_server.py"))
    return {"stdio": stdio, "http": (url, "--transport", "http")}


async def inspect(target: tuple[str, ...], era: str, home: Path) -> list[Scenario]:
    """All calls to one server in one era. A schema that some client cannot read is a failure."""
    found = []
    for what, arguments, right in CALLS:
        ran = await node.run(node.INSPECTOR, "--cli", *arguments, "--protocol-era", era, *target, home=home)
        scenario = Scenario(what, Counter(SUCCESS=int(ran.code == right)))
        if ran.code != right:
            scenario.failures.append(f"exit code {ran.code}, not {right}: {(ran.err or ran.out).strip()[-600:]}")
        found.append(scenario)
    return found
