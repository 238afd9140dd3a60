"""What others see of a session: status for clients, the memo for lists, the scoreboard for the Web UI."""

from __future__ import annotations

from datetime import datetime

from workflows.contracts.plan import StepStatus
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState, Status
from workflows.contracts.status import Glance, GuidanceStatus, SessionStatus, StepStatusLine, TestResult
from workflows.contracts.text import clip
from workflows.policy.criteria import holds, stands
from workflows.policy.progress import estimated_completion, progress
from workflows.policy.record import one_line
from workflows.policy.words import how_it_ended, plainly, with_hosts

BRANCH_PREFIX = "overnight/"
SCOREBOARD_LIMIT = 4_000


def branch(session_id: str) -> str:
    """The branch that a session's checkpoints are on."""
    return f"{BRANCH_PREFIX}{session_id}"


def sandbox(spec: SessionSpec, state: SessionState) -> str:
    """What stood between untrusted code and the host at the last call; empty before the first."""
    return with_hosts(state.sandbox, spec.egress.allow)


def next_move(spec: SessionSpec, state: SessionState) -> str:
    """One sentence: what to do about a session in this state, and when."""
    sid = spec.session_id
    if state.status is Status.COMPLETED:
        return f"Done: see the report and take the branch {branch(sid)} (`overnight checkout {sid}`)."
    if state.status is Status.CANCELLED:
        return f"Cancelled: its work is on the branch {branch(sid)}."
    if state.status is Status.FAILED:
        return f"Failed: {state.reason}. Its work is on the branch {branch(sid)}."
    if state.status is Status.PAUSED:
        how = "raise that limit (`overnight limits`)" if state.reason.startswith("limit:") else "resume it"
        return f"Paused ({state.reason}): {how}, steer it, or cancel it."
    if state.cancelled_by is not None:
        return f"Ends as soon as the running call has stopped ({state.cancelled_by})."
    if state.paused_by is not None:
        return f"Pauses when the running call has ended ({state.paused_by})."
    if state.status is Status.WAITING_LIMIT:
        return "Waits by itself and goes on by itself; look again after the time that it waits for."
    return "Works by itself; look again in a minute."


def glance(spec: SessionSpec, state: SessionState) -> Glance:
    """The memo: readable without a worker."""
    return Glance(
        goal=spec.goal,
        progress=progress(state)[0],
        criteria_met=sum(s.met for s in state.scores),
        criteria=len(state.criteria),
        max_iterations=state.limits.max_iterations,
        last_error=state.errors[-1].text if state.errors else "",
        next=one_line(next_move(spec, state)),
        reason=state.reason,
    )


def status(spec: SessionSpec, state: SessionState, now: datetime) -> SessionStatus:
    """Everything that clients show."""
    percent, basis = progress(state)
    card = state.card
    commands = {c.id: c.command or "" for c in state.criteria}
    return SessionStatus(
        session_id=spec.session_id,
        status=state.status,
        reason=state.reason,
        phase=state.phase,
        goal=spec.goal,
        iteration=state.iteration,
        max_iterations=state.limits.max_iterations,
        progress=percent,
        progress_basis=basis,
        errors=state.error_count,
        error_log=state.errors,
        last_error=state.errors[-1].text if state.errors else "",
        validation_status={s.id: s.met for s in state.scores} or {c.id: False for c in state.criteria},
        test_results=[
            TestResult(
                criterion=e.criterion,
                command=one_line(commands.get(e.criterion, "")),
                passed=holds(e, spec.success_threshold),
                exit_code=e.exit_code,
                timed_out=e.timed_out,
                seconds=round(e.seconds, 3),
                rate=e.rate,
                tail=e.tail,
            )
            for e in (card.commands if card else [])
        ],
        success_rate=round(sum(s.rate for s in state.scores) / len(state.scores), 3) if state.scores else 0,
        cost_usd=round(state.usage.cost_usd, 6),
        max_cost_usd=state.limits.max_cost_usd,
        tokens=state.usage.tokens,
        max_tokens=state.limits.max_tokens,
        usage=state.usage,
        elapsed_minutes=round(state.active_seconds / 60, 2),
        max_time_minutes=state.limits.max_time_minutes,
        estimated_completion=estimated_completion(state, now),
        waiting_until=state.wait_until,
        steps=[
            StepStatusLine(id=s.id, title=s.title, status=s.status.value)
            for s in (state.plan.steps if state.plan else [])
        ],
        strategy=state.strategy,
        guidance=[
            GuidanceStatus(
                id=g.id,
                text=one_line(g.text),
                state="waiting" if g.iteration is None else "delivered",
                iteration=g.iteration,
            )
            for g in state.guidance
        ],
        sandbox=one_line(sandbox(spec, state)),
        branch=branch(spec.session_id),
        commit=state.checkpoint.commit if state.checkpoint else state.base,
        summary=state.summary,
        started_at=state.started_at,
        updated_at=state.updated_at,
        next=one_line(next_move(spec, state)),
    )


def scoreboard(spec: SessionSpec, state: SessionState, now: datetime) -> str:
    """Markdown for the Web UI's details, for someone who has never seen the code; at most 4,000 bytes."""
    percent, basis = progress(state)
    doing = state.reason or (next_move(spec, state) if _ends_soon(state) else _doing(state))
    iterations = f"{state.iteration} of {state.limits.max_iterations}"
    minutes = f"{state.active_seconds / 60:.1f} of {state.limits.max_time_minutes:g}"
    lines = [
        f"**Goal:** {one_line(spec.goal)}",
        "",
        f"**{state.status.value}** · {state.phase} · iteration {iterations} · {percent} % ({basis})",
        f"{state.usage.cost_usd:.2f} of {state.limits.max_cost_usd:.2f} USD · {minutes} active minutes",
        "",
        f"**Now:** {doing}",
        *(["", f"**Sandbox:** {plainly(sandbox(spec, state))}"] if state.sandbox else []),
        "",
        "| criterion | met | evidence |",
        "|---|---|---|",
        *(_criterion_row(state, c.id, c.description) for c in state.criteria),
    ]
    if state.plan:
        lines += ["", "**Plan**", ""]
        lines += [f"- {'[x]' if s.status is StepStatus.DONE else '[ ]'} {s.title}" for s in state.plan.steps]
    if state.strategy:
        lines += ["", f"**Strategy:** {one_line(state.strategy)}"]
    if state.guidance:
        lines += ["", "**Guidance**", ""]
        where = {g.id: "waiting" if g.iteration is None else f"delivered in #{g.iteration}" for g in state.guidance}
        lines += [f"- {g.id}: {one_line(g.text, 100)} ({where[g.id]})" for g in state.guidance]
    if state.errors:
        lines += ["", f"**Last error:** {state.errors[-1].phase}: {state.errors[-1].text}"]
    if said := [e for e in state.events if e.kind == "message"][-3:]:
        lines += ["", "**Messages**", "", *(f"- {e.time:%H:%M:%S} {e.text}" for e in said)]
    return clip("\n".join(lines), SCOREBOARD_LIMIT)


def _ends_soon(state: SessionState) -> bool:
    return state.status is Status.RUNNING and (state.cancelled_by is not None or state.paused_by is not None)


def _doing(state: SessionState) -> str:
    return f"{state.phase}: {state.task.title}" if state.task and state.phase == "execute" else state.phase


def _criterion_row(state: SessionState, criterion: str, description: str) -> str:
    met = any(s.id == criterion and s.met for s in state.scores)
    shown = one_line(description, 100).replace("|", "/")
    return f"| {criterion}: {shown} | {'yes' if met else 'no'} | {evidence_of(state, criterion)} |"


def evidence_of(state: SessionState, criterion: str) -> str:
    """What was observed about a criterion on the last validated commit, in one line."""
    card = state.card
    if card is None:
        return "not looked at yet"
    for ran in card.commands:
        if ran.criterion == criterion:
            end = how_it_ended(ran.exit_code, timed_out=ran.timed_out)
            return f"{end} in {ran.seconds:.1f} s on `{ran.commit[:10]}`"
    for verdict in card.verdicts:
        if verdict.criterion == criterion:
            quotes = "; ".join(
                f"`{one_line(q.file, 100)}`{'' if q.found else ' (quote not found)'}" for q in verdict.quotes
            )
            claimed = "claimed met, but not counted" if verdict.met else "judged not met"
            judged = "judged met" if stands(verdict) else claimed
            return (
                f"{judged} ({verdict.confidence}): {one_line(verdict.reason, 120).replace('|', '/')} {quotes}".strip()
            )
    return "not looked at on this commit"
