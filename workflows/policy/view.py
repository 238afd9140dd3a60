"""What others see of a session: status for clients, the memo for lists, the scoreboard for the Web UI."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from workflows.contracts.evidence import Scorecard
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import GuidanceItem, SessionState, Status
from workflows.contracts.status import (
    Glance,
    GuidanceStatus,
    HeldOutStatus,
    RungStatus,
    SessionStatus,
    StepStatusLine,
    TestResult,
)
from workflows.contracts.text import clip
from workflows.policy import absent, advice, approvals, best, ladder, steps, tamper
from workflows.policy.criteria import VALIDATION, stands
from workflows.policy.inbox import LIMIT
from workflows.policy.progress import estimate, middle, progress
from workflows.policy.rates import holds
from workflows.policy.record import one_line
from workflows.policy.stuck import STUCK
from workflows.policy.words import (
    BEFORE_WORK,
    NOTHING_COMMITTED,
    TOO_LATE,
    how_it_ended,
    plainly,
    tests_told,
    with_hosts,
)

BRANCH_PREFIX = "overnight/"
SCOREBOARD_LIMIT = 4_000
HELD_OUT = "the checks that the agent never sees pass"


def branch(session_id: str) -> str:
    """The branch that a session's checkpoints are on."""
    return f"{BRANCH_PREFIX}{session_id}"


def sandbox(spec: SessionSpec, state: SessionState) -> str:
    """What stood between untrusted code and the host at the last call; empty before the first."""
    return with_hosts(state.sandbox, spec.egress.allow)


def next_move(spec: SessionSpec, state: SessionState) -> str:
    """One sentence: what to do about a session in this state, and when."""
    sid = spec.session_id
    work = f"its work is on the branch {branch(sid)}" if state.checkpoint else NOTHING_COMMITTED
    if state.status is Status.COMPLETED:
        return f"Done: see the report, and take the branch (`overnight checkout {sid}`)."
    if state.status is Status.CANCELLED:
        return f"Cancelled: {work}."
    if state.status is Status.FAILED:
        return f"Failed: {work}."
    if state.status is Status.PAUSED and (waits := approvals.shown(state)) is not None:
        return f"Paused, and {waits.request} waits for approval. {approvals.how(sid, waits)}"
    if state.status is Status.PAUSED and state.reason.startswith(LIMIT):
        return f"Raise that limit (`overnight limits {sid}`), steer it, or cancel it."
    if state.status is Status.PAUSED:
        if state.reason.startswith(tamper.YOUR_COMMAND):
            return (
                f"Mend what keeps it from running its tests, and resume (`overnight resume {sid}`): it runs again,"
                " and then what it says counts; or cancel it."
            )
        if state.reason.startswith(STUCK):
            return f"Steer it, which lets it go on, resume it (`overnight resume {sid}`), or cancel it."
        return f"Resume it (`overnight resume {sid}`), steer it, or cancel it."
    if (waits := approvals.shown(state)) is not None and state.status is Status.WAITING_APPROVAL:
        return approvals.how(sid, waits)
    if state.cancelled_by is not None:
        return f"Ends as soon as the running call has stopped ({state.cancelled_by})."
    if state.paused_by is not None:
        return f"Pauses when the running call has ended ({state.paused_by})."
    if state.status is Status.WAITING_LIMIT:
        return f"Look again after that time; `overnight resume {sid}` tries at once."
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
        approval=approvals.shown(state),
        recovery=ladder.shown(spec, state),
    )


def standing(state: SessionState) -> SessionState:
    """What is shown of ``state``: evidence on another commit than the one that it went back to is none of this one."""
    made = state.checkpoint
    if made is None or not made.returned or not best.moved(state):
        return state
    unseen = [s.model_copy(update={"met": False, "rate": 0.0}) for s in state.scores]
    return state.model_copy(update={"card": Scorecard(commit=made.commit), "scores": unseen})


def status(spec: SessionSpec, state: SessionState, now: datetime) -> SessionStatus:
    """Everything that clients show."""
    state = standing(state)
    percent, basis = progress(state)
    expected = estimate(state, now)
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
                command=in_one_line(commands.get(e.criterion, ""), 200),
                passed=holds(e, spec.success_threshold),
                exit_code=e.exit_code,
                timed_out=e.timed_out,
                seconds=round(e.seconds, 3),
                rate=e.rate,
                explained=e.explained,
                tally=e.tally,
                no_tests=e.no_tests,
                steps=e.steps,
                tail=e.tail,
            )
            for e in (card.commands if card else [])
        ],
        held_out=held_out(spec, state),
        success_rate=round(sum(s.rate for s in state.scores) / len(state.scores), 3) if state.scores else 0,
        cost_usd=round(state.usage.cost_usd, 6),
        max_cost_usd=state.limits.max_cost_usd,
        tokens=state.usage.tokens,
        max_tokens=state.limits.max_tokens,
        usage=state.usage,
        elapsed_minutes=round(state.active_seconds / 60, 2),
        max_time_minutes=state.limits.max_time_minutes,
        estimated_completion=middle(expected),
        estimate=expected,
        # A person's pause outlasts the wait: then nothing goes on by itself.
        waiting_until=state.wait_until if state.paused_by is None else None,
        approval=approvals.shown(state),
        decisions=state.decisions,
        steps=[
            StepStatusLine(id=s.id, title=s.title, status=s.status.value, note=steps.note_of(s))
            for s in (state.plan.steps if state.plan else [])
        ],
        strategy=state.strategy,
        recovery=ladder.shown(spec, state),
        recovery_log=[RungStatus(title=r.title, iteration=r.iteration, result=r.result) for r in state.rungs],
        best_iteration=state.best.iteration if state.best else None,
        guidance=[
            GuidanceStatus(
                id=g.id,
                text=one_line(g.text),
                state=_became(state, g),
                iteration=g.iteration,
            )
            for g in state.guidance
        ],
        knowledge=advice.shown(state),
        knowledge_note=advice.note(state),
        sandbox=one_line(sandbox(spec, state)),
        branch=branch(spec.session_id),
        commit=state.checkpoint.commit if state.checkpoint else state.base,
        tampering=tamper.shown(state),
        committed=state.checkpoint is not None,
        summary=state.summary,
        started_at=state.started_at,
        updated_at=state.updated_at,
        next=one_line(next_move(spec, state)),
    )


def scoreboard(spec: SessionSpec, state: SessionState, now: datetime) -> str:
    """Markdown for the Web UI's details, for someone who has never seen the code; at most 4,000 bytes."""
    state = standing(state)
    percent, basis = progress(state)
    doing = state.reason or (next_move(spec, state) if _ends_soon(state) else _doing(state))
    iterations = f"{state.iteration} of {state.limits.max_iterations}"
    minutes = f"{state.active_seconds / 60:.1f} of {state.limits.max_time_minutes:g}"
    lines = [
        f"**Goal:** {one_line(spec.goal)}",
        "",
        f"**{state.status.value}** · {state.phase} · iteration {iterations} · {percent} % ({basis})",
        f"{state.usage.cost_usd:.2f} of {state.limits.max_cost_usd:.2f} USD · {minutes} active minutes",
        *_expected(state, now),
        "",
        f"**Now:** {doing}",
        *_waiting(spec, state, now),
        *(["", f"**Sandbox:** {plainly(sandbox(spec, state))}"] if state.sandbox else []),
        "",
        "| criterion | met | evidence |",
        "|---|---|---|",
        *(_criterion_row(state, c.id, c.description) for c in state.criteria),
        *_held_out_row(spec, state),
    ]
    if state.plan:
        lines += ["", "**Plan**", ""]
        lines += [f"- {steps.line(s)}" for s in state.plan.steps]
    if state.strategy:
        lines += ["", f"**Strategy:** {one_line(state.strategy)}"]
    if state.rung:
        lines += ["", f"**Recovery** {ladder.shown(spec, state)}"]
    if state.knowledge.uses:
        lines += ["", "**Of earlier sessions**", "", *(f"- {advice.line(one)}" for one in advice.shown(state)[:4])]
    if state.guidance:
        lines += ["", "**Guidance**", ""]
        lines += [f"- {g.id}: {one_line(g.text, 100)} ({delivery(state, g)})" for g in state.guidance]
    if state.errors:
        overcome = " (overcome)" if state.status is Status.COMPLETED else ""
        lines += ["", f"**Last error{overcome}:** {state.errors[-1].phase}: {state.errors[-1].text}"]
    if said := [e for e in state.events if e.kind == "message"][-3:]:
        lines += ["", "**Messages**", "", *(f"- {e.time:%H:%M:%S} {e.text}" for e in said)]
    return clip("\n".join(lines), SCOREBOARD_LIMIT)


def _waiting(spec: SessionSpec, state: SessionState, now: datetime) -> list[str]:
    """What waits for a person, since when and until when, and how to answer, here too."""
    waits = approvals.shown(state)
    if waits is None:
        return []
    here = (
        f'here: Update `approve` with `{{"request": "{waits.request}", "by": "your name"}}`, or `reject` with a reason'
    )
    return [
        "",
        f"**Waits for approval:** {approvals.describe(waits, now)}",
        f"{approvals.how(spec.session_id, waits)} Or {here}.",
    ]


def _expected(state: SessionState, now: datetime) -> list[str]:
    expected = estimate(state, now)
    if state.status is not Status.RUNNING or expected.earliest is None or expected.latest is None:
        return []
    latest = f"{expected.latest:%H:%M}"
    if expected.latest.date() != expected.earliest.date():
        latest = f"{expected.latest:%Y-%m-%d %H:%M}"
    span = f"{expected.earliest:%Y-%m-%d %H:%M} to {latest} UTC"
    return [f"done about {span}: {expected.basis}"]


def delivery(state: SessionState, item: GuidanceItem) -> str:
    """What became of guidance, in words."""
    words = {"too_late": TOO_LATE, "waiting": "waits for the next execute"}
    carried = f"carried by execute #{item.iteration}" if item.iteration else "carried by the plan"
    return words.get(_became(state, item), carried)


def _became(state: SessionState, item: GuidanceItem) -> Literal["waiting", "delivered", "too_late"]:
    if item.iteration is not None:
        return "delivered"
    return "too_late" if state.status.is_final else "waiting"


def in_one_line(command: str, limit: int) -> str:
    """A command as it was given, its spaces too, in one line of at most ``limit`` bytes."""
    return clip(command.replace("\n", " ⏎ "), limit)


def _ends_soon(state: SessionState) -> bool:
    return state.status is Status.RUNNING and (state.cancelled_by is not None or state.paused_by is not None)


def _doing(state: SessionState) -> str:
    return f"{state.phase}: {state.task.title}" if state.task and state.phase == "execute" else state.phase


def _criterion_row(state: SessionState, criterion: str, description: str) -> str:
    met = any(s.id == criterion and s.met for s in state.scores)
    shown = one_line(description, 100).replace("|", "/")
    return f"| {criterion}: {shown} | {'yes' if met else 'no'} | {evidence_of(state, criterion)} |"


def held_out(spec: SessionSpec, state: SessionState) -> HeldOutStatus | None:
    """Where the held-out checks stand; None where there are none."""
    if spec.held_out is None:
        return None
    command, ran = in_one_line(spec.held_out.command, 120), state.held_out_run
    if ran is None:
        return HeldOutStatus(command=command, note="not run yet: they run once everything else holds")
    ended = ran.trouble or how_it_ended(ran.exit_code, timed_out=ran.timed_out)
    here = ran.commit == (state.checkpoint.commit if state.checkpoint else state.base)
    note = f"{ended} on `{ran.commit[:10]}`{'' if here else ', not run on this commit'}"
    return HeldOutStatus(
        command=command, passed=ran.passed and here, exit_code=ran.exit_code, timed_out=ran.timed_out, note=note
    )


def _held_out_row(spec: SessionSpec, state: SessionState) -> list[str]:
    seen = held_out(spec, state)
    return (
        [] if seen is None else [f"| {tamper.HELD_OUT}: {HELD_OUT} | {'yes' if seen.passed else 'no'} | {seen.note} |"]
    )


def evidence_of(state: SessionState, criterion: str) -> str:
    """What was observed about a criterion on the last validated commit, in one line."""
    card = state.card
    if card is None:
        return "not looked at yet"
    for ran in card.commands:
        if ran.criterion == criterion:
            end = how_it_ended(ran.exit_code, timed_out=ran.timed_out)
            tests = one_line(tests_told(ran), 400).replace("|", "/")
            if criterion == VALIDATION and ran.no_tests and not ran.rate:
                tests = f"{tests}, {BEFORE_WORK}"
            if why := absent.told(ran):
                end = f"{end} ({why.replace('|', '/')})"
            return f"{end} in {ran.seconds:.1f} s on `{ran.commit[:10]}`{f', {tests}' if tests else ''}"
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
