"""The last words on a session that is over or paused: how it ended, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import known
from workflows.policy.words import counted

if TYPE_CHECKING:
    from workflows.contracts.status import SessionStatus


def tell_end(status: SessionStatus, code: Code, *, json: bool) -> None:
    """Outcome and next step."""
    if json:
        output.as_json({"type": "end", "code": int(code), "status": known(status)})
        return
    output.say()
    output.say(f"{status.status.value}: {status.reason or status.next}")
    tokens = f" {counted(status.tokens, 'token')} of {status.max_tokens}," if status.max_tokens else ""
    output.say(
        f"  {counted(status.iteration, 'iteration')}, ${status.cost_usd:.2f} of ${status.max_cost_usd:.2f},{tokens}"
        f" {status.elapsed_minutes:.1f} active minutes"
    )
    for what, command in next_steps(status):
        output.say(f"  {what:<10} overnight {command}")
    if status.monitor_url:
        output.say(f"  {'page':<10} {status.monitor_url}")


def next_steps(status: SessionStatus) -> list[tuple[str, str]]:
    """What a person can do about a session that is over or paused, and the commands for it."""
    sid = status.session_id
    work = [("report", f"report {sid}"), ("changes", f"diff {sid}"), ("take it", f"checkout {sid}")]
    if status.status.is_final:
        return work
    by_limit = status.reason.startswith("limit:")
    how = f"limits {sid} --max-cost ..., --max-minutes ... or --max-iterations ..." if by_limit else f"resume {sid}"
    return [("go on", how), ("steer", f'steer {sid} "guidance"'), ("end it", f"cancel {sid}"), *work]
