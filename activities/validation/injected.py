"""Having runners write a report without a change to the command: through the environment that they look at."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

PYTEST, NODE = "pytest.xml", "node.xml"
REPORT_NAMES = (PYTEST, NODE)
"""Files that the environment has runners write."""

_REFUSED = re.compile(
    r"not allowed in NODE_OPTIONS|invalid NODE_OPTIONS|--test-reporter-destination|unrecognized arguments: --junitxml"
    r"|bad option: --test-reporter"
)


def report_environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Variables that have pytest and node:test write reports to ``folder``, added to what ``env`` has.

    node's own words stay on its output: with a reporter that is chosen, the usual one must be chosen, too.
    """
    # The family that names files: a test is then called as pytest itself calls it.
    pytest = f"-o junit_family=xunit1 {shlex.quote(f'--junitxml={folder / PYTEST}')}"
    # Node takes what is between double quotes as it is, but for backslashes, as JSON does.
    node = (
        "--test-reporter=spec --test-reporter-destination=stdout"
        f" --test-reporter=junit --test-reporter-destination={json.dumps(str(folder / NODE), ensure_ascii=False)}"
    )
    return {
        "PYTEST_ADDOPTS": f"{env.get('PYTEST_ADDOPTS', '')} {pytest}".strip(),
        "NODE_OPTIONS": f"{env.get('NODE_OPTIONS', '')} {node}".strip(),
    }


def is_refused(log: str) -> bool:
    """Whether a runner may have failed because it does not know what it was asked for, or was asked for another."""
    return _REFUSED.search(log) is not None
