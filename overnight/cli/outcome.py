"""The last words on a session that is over or paused: how it ended, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code

if TYPE_CHECKING:
    from workflows.contracts.status import SessionStatus


def tell_end(status: SessionStatus, code: Code, *, json: bool) -> None:
    """Outcome and next step."""
    if json:
        output.as_json({"type": "end", "code": int(code), "status": status.model_dump(mode="json")})
        return
    sid = status.session_id
    output.say()
    output.say(f"{status.status.value}: {status.reason or status.next}")
    output.say(
        f"  {status.iteration} iterations, ${status.cost_usd:.2f} of ${status.max_cost_usd:.2f},"
        f" {status.elapsed_minutes:.1f} active minutes"
    )
    for what, command in _next_steps(status):
        output.say(f"  {what:<10} overnight {command.format(sid)}")
    if status.monitor_url:
        output.say(f"  {'page':<10} {status.monitor_url}")


def _next_steps(status: SessionStatus) -> list[tuple[str, str]]:
    work = [("report", "report {}"), ("changes", "diff {}"), ("take it", "checkout {}")]
    if status.status.is_final:
        return work
    by_limit = status.reason.startswith("limit:")
    go_on = (
        ("go on", "limits {} --max-cost ..., --max-minutes ... or --max-iterations ...")
        if by_limit
        else ("go on", "resume {}")
    )
    return [go_on, ("steer", 'steer {} "guidance"'), ("end it", "cancel {}"), *work]
