"""What the fields of a request are called on the command line, and which project is meant there."""

from __future__ import annotations

import re
from pathlib import Path

from overnight.errors import InvalidRequestError

OPTIONS = {
    "project": "--project",
    "ref": "--ref",
    "validation_command": "--validate",
    "setup_command": "--setup",
    "success_criteria": "--criterion",
    "recovery_strategies": "--strategy",
    "success_threshold": "--threshold",
    "max_iterations": "--max-iterations",
    "max_time_minutes": "--max-minutes",
    "max_cost_usd": "--max-cost",
    "max_tokens": "--max-tokens",
    "on_limit": "--on-limit",
    "on_usage_limit": "--on-usage-limit",
    "egress": "--egress",
    "allow_hosts": "--allow-host",
    "protected_paths": "--protect",
    "may_change": "--may-change",
    "held_out_command": "--held-out-command",
    "held_out_at": "--held-out-at",
    "held_out_tells": "--held-out-tells",
    "held_out": "--held-out",
    "model": "--model",
    "mode": "--mode",
    "approval_timeout_minutes": "--approval-timeout",
    "on_approval_timeout": "--on-approval-timeout",
    "session_id": "--id",
}
_FIELD = re.compile(rf"(?P<before>^|; )(?P<field>{'|'.join(OPTIONS)})(?:\.(?P<number>\d+))?: ")


def in_options(problem: str) -> str:
    """What is wrong with a request, by option: ``--criterion (number 2): is too long``."""
    return _FIELD.sub(_option, problem)


def _option(found: re.Match[str]) -> str:
    which = f" (number {int(found['number']) + 1})" if found["number"] else ""
    return f"{found['before']}{OPTIONS[found['field']]}{which}: "


def located(project: str | None) -> str | None:
    """The project as a worker in another folder understands it: paths absolute, URLs as they are.

    Raises ``InvalidRequestError`` for the home of somebody who is not known here, and for what cannot be looked at.
    """
    if not project or not project.strip():
        return project
    try:
        path = Path(project.strip()).expanduser()
    except RuntimeError:
        raise InvalidRequestError(f"project: {project!r} begins with a user who is not known here") from None
    looks_like_url = ":" in project.split("/", 1)[0]
    try:
        return project if looks_like_url and not path.exists() else str(path.resolve())
    except (OSError, RuntimeError) as error:  # the latter for links that lead in a circle
        why = getattr(error, "strerror", None) or "its links lead in a circle"
        raise InvalidRequestError(f"project: {project!r} cannot be looked at: {why}") from None
