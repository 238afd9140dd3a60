"""What the fields of a request are called on the command line."""

from __future__ import annotations

import re

OPTIONS = {
    "project": "--project",
    "ref": "--ref",
    "validation_command": "--validate",
    "setup_command": "--setup",
    "success_criteria": "--criterion",
    "success_threshold": "--threshold",
    "max_iterations": "--max-iterations",
    "max_time_minutes": "--max-minutes",
    "max_cost_usd": "--max-cost",
    "max_tokens": "--max-tokens",
    "on_limit": "--on-limit",
    "on_usage_limit": "--on-usage-limit",
    "egress": "--egress",
    "allow_hosts": "--allow-host",
    "model": "--model",
    "mode": "--mode",
    "session_id": "--id",
}
_FIELD = re.compile(rf"(?P<before>^|; )(?P<field>{'|'.join(OPTIONS)})(?:\.(?P<number>\d+))?: ")


def in_options(problem: str) -> str:
    """What is wrong with a request, by option: ``--criterion (number 2): is too long``."""
    return _FIELD.sub(_option, problem)


def _option(found: re.Match[str]) -> str:
    which = f" (number {int(found['number']) + 1})" if found["number"] else ""
    return f"{found['before']}{OPTIONS[found['field']]}{which}: "
