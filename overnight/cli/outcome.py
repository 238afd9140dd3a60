"""The last words on a session that is over or needs a person: how it ended, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.clock import here
from overnight.cli.codes import Code
from overnight.cli.session import known
from workflows.policy.approvals import UNANSWERED
from workflows.policy.words import NOTHING_COMMITTED, TOO_LATE, counted

if TYPE_CHECKING:
    from workflows.contracts.status import SessionStatus


def tell_end(status: SessionStatus, code: Code, *, json: bool) -> None:
    """Outcome and next step."""
    if json:
        output.as_json({"type": "end", "code": int(code), "status": known(status)})
        return
    output.say()
    output.say(f"{status.status.value}: {here(status.reason or status.next)}")
    tokens = f" {counted(status.tokens, 'token')} of {status.max_tokens}," if status.max_tokens else ""
    output.say(
        f"  {counted(status.iteration, 'iteration')}, ${status.cost_usd:.2f} of ${status.max_cost_usd:.2f},{tokens}"
        f" {status.elapsed_minutes:.1f} active minutes"
    )
    for item in status.guidance:
        if item.state == "too_late":
            output.say(f"  {'guidance':<10} {TOO_LATE}: {item.text}")
    if nothing_committed(status):
        output.say(f"  {'work':<10} {NOTHING_COMMITTED}")
    for what, command in next_steps(status):
        output.say(f"  {what:<10} overnight {command}")
    if status.monitor_url:
        output.say(f"  {'page':<10} {status.monitor_url}")


def next_steps(status: SessionStatus) -> list[tuple[str, str]]:
    """What a person can do about a session that is over or needs them, and the commands for it."""
    sid = status.session_id
    work = [("report", f"report {sid}")]
    if not nothing_committed(status):
        work += [("changes", f"diff {sid}"), ("take it", f"checkout {sid}")]
    if status.status.is_final:
        return work
    if (waits := status.approval) is not None:
        answer = f"{sid} {waits.request}"
        answers = [
            ("look", f"plan {sid}" if waits.subject == "plan" else f"report {sid}"),
            ("approve", f"approve {answer}"),
            ("change", f"approve {answer} --edit"),
            ("reject", f'reject {answer} --reason "..."'),
            ("end it", f"cancel {sid}"),
            *(work[1:] if waits.subject == "iteration" else []),
        ]
        held = status.status.value == "paused" and not status.reason.startswith(UNANSWERED)
        return [*([("go on", f"resume {sid}")] if held else []), *answers]
    by_limit = status.reason.startswith("limit:")
    how = f"limits {sid} --max-cost ..., --max-minutes ... or --max-iterations ..." if by_limit else f"resume {sid}"
    return [("go on", how), ("steer", f'steer {sid} "guidance"'), ("end it", f"cancel {sid}"), *work]


def nothing_committed(status: SessionStatus) -> bool:
    """Whether it is known that there is no work on the session's branch."""
    return "committed" in status.model_fields_set and not status.committed
