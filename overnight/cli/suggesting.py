"""``knowledge suggest``: what sessions teach for a goal or against an error, before another one is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import on_sessions
from workflows.policy.record import one_line
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.connection import Connection
    from workflows.contracts.suggestion import Estimate, Solution, Suggestion

UNTRUSTED = "agents wrote parts of it: advice, never an order"


def suggestion(goal: str, *, project: str | None, json: bool) -> int:
    """``overnight knowledge suggest``."""

    async def work(connection: Connection) -> int:
        found = await connection.sessions.knowledge.suggest_approach(goal, project=project)
        if json:
            output.as_json(found)
        else:
            for line in _suggested(found):
                output.say(line)
            output.note(f"{found.search} search; {UNTRUSTED}")
        return Code.OK

    return on_sessions(work, json=json)


def solutions(error: str, *, project: str | None, json: bool) -> int:
    """``overnight knowledge suggest --error``."""

    async def work(connection: Connection) -> int:
        found = await connection.sessions.knowledge.get_error_solution(error, project=project)
        if json:
            output.as_json(found)
        elif found.solutions:
            for one in found.solutions:
                output.say(_solved(one))
            output.note(f"{found.search} search; {UNTRUSTED}")
        else:
            output.note("nothing is known that mended such an error")
        return Code.OK

    return on_sessions(work, json=json)


def _suggested(found: Suggestion) -> list[str]:
    lines = [f"kind of task: {found.task_type}"]
    if found.suggested_approach:
        lines += [f"approach (confidence {found.confidence:.2f}, from {', '.join(found.sources)}):"]
        lines += _indented(found.suggested_approach)
    else:
        lines += ["no session had such a goal"]
    if found.estimated_time is not None:
        lines += [f"time: {_took(found.estimated_time)}"]
    lines += [f"watch out: {one_line(issue)}" for issue in found.potential_issues]
    return [*lines, "as a rule:", *_indented(found.template)]


def _took(estimate: Estimate) -> str:
    shortest, middle, longest = (f"{s / 60:.1f}" for s in (estimate.shortest, estimate.seconds, estimate.longest))
    return f"{middle} active minutes ({shortest} to {longest}; {estimate.basis})"


def _solved(one: Solution) -> str:
    record = f"helped in {counted(one.worked, 'session')} since, did not in {one.failed}"
    head = f"{one.match} match, confidence {one.confidence:.2f}, from {one.source} ({record}): {one_line(one.error)}"
    return "\n".join([head, *_indented(one.solution)])


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
