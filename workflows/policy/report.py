"""The report: markdown that says what was wanted, what holds on which evidence, what it took."""

from __future__ import annotations

from datetime import datetime

from workflows.contracts.evidence import CommandEvidence, Scorecard
from workflows.contracts.plan import Criterion
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionResult, SessionState, Status
from workflows.contracts.text import clip
from workflows.policy import advice, approvals, ladder, tamper
from workflows.policy import steps as plan_steps
from workflows.policy.progress import progress
from workflows.policy.record import one_line
from workflows.policy.view import HELD_OUT, branch, delivery, evidence_of, held_out, in_one_line, sandbox, standing
from workflows.policy.words import NOT_FOUND, NOTHING_COMMITTED, counted, how_it_ended, plainly, tests_told

REPORT_LIMIT = 24_000
SHOW_IT = (
    "a program was not found: the sandbox shows the system's folders and the usual tool chains of the home; have the"
    " worker show it others with OVERNIGHT_SANDBOX_READABLE=/folder, or install what is missing with the setup command"
)


def result(spec: SessionSpec, state: SessionState, now: datetime) -> SessionResult:
    """What whoever waits for the session gets."""
    return SessionResult(
        session_id=spec.session_id,
        status=state.status,
        reason=state.reason,
        branch=branch(spec.session_id),
        commit=state.checkpoint.commit if state.checkpoint else state.base,
        iterations=state.iteration,
        usage=state.usage,
        active_seconds=state.active_seconds,
        report=report(spec, state, now),
    )


def report(spec: SessionSpec, state: SessionState, now: datetime) -> str:
    """The report of a session in any state, at most 24,000 bytes."""
    state = standing(state)
    percent, basis = progress(state)
    committed = f"commit `{state.checkpoint.commit}`" if state.checkpoint else NOTHING_COMMITTED
    minutes = state.active_seconds / 60
    lines = [
        f"# {_headline(state)}: {one_line(spec.goal, 120)}",
        "",
        f"- Session `{spec.session_id}`, {state.status.value}{f': {state.reason}' if state.reason else ''}",
        f"- Branch `{branch(spec.session_id)}`, {committed}",
        f"- {counted(state.iteration, 'iteration')}, {minutes:.1f} active minutes, progress {percent} % ({basis})",
        f"- {_cost(state)}",
        *([f"- Sandbox: {plainly(sandbox(spec, state))}"] if state.sandbox else []),
        "",
        "## Goal",
        "",
        *(f"> {line}" for line in clip(spec.goal, 4_000).splitlines()),
        "",
        "## Criteria and evidence",
        "",
        "| criterion | decided by | met | evidence |",
        "|---|---|---|---|",
        *(_row(state, criterion) for criterion in state.criteria),
        *_held_out_row(spec, state),
        "",
        *_clean_clone(state.confirmed),
        *_not_found(state),
        *_plan(state),
        *_tampering(state),
        *_recovery(spec, state),
        *_tried(state),
        *_knowledge(state),
        *_guidance(state),
        *_decisions(state),
        *_errors(state),
        *_stopped(state),
    ]
    if state.summary:
        lines += ["## In the agent's own words (not evidence)", "", *(f"> {x}" for x in state.summary.splitlines()), ""]
    return clip("\n".join(lines).rstrip() + "\n", REPORT_LIMIT)


def _cost(state: SessionState) -> str:
    used = state.usage
    tokens = used.input_tokens + used.cache_read_tokens + used.cache_write_tokens
    estimated = f" ({used.estimated_usd:.4f} of it estimated)" if used.estimated_usd else ""
    calls, responses = counted(used.calls, "Claude Code call"), counted(used.responses, "response")
    return (
        f"{used.cost_usd:.4f} of {state.limits.max_cost_usd:.2f} USD{estimated}: {calls}, {responses},"
        f" {counted(tokens, 'token')} in, {used.output_tokens} out"
    )


def _headline(state: SessionState) -> str:
    return {
        Status.COMPLETED: "Done",
        Status.FAILED: "Failed",
        Status.CANCELLED: "Cancelled",
        Status.PAUSED: "Paused",
    }.get(state.status, "In progress")


def _row(state: SessionState, criterion: Criterion) -> str:
    met = any(s.id == criterion.id and s.met for s in state.scores)
    early = any(s.id == criterion.id and s.passed_at_baseline for s in state.scores)
    decided = f"`{in_one_line(criterion.command, 120)}`".replace("|", "\\|") if criterion.command else "a judge"
    note = " (passed before the work began)" if early else ""
    shown = one_line(criterion.description, 160).replace("|", "/")
    evidence = evidence_of(state, criterion.id)
    return f"| {criterion.id}: {shown} | {decided} | {'yes' if met else 'no'}{note} | {evidence} |"


def _held_out_row(spec: SessionSpec, state: SessionState) -> list[str]:
    seen = held_out(spec, state)
    if seen is None:
        return []
    decided = f"`{seen.command}`".replace("|", "\\|")
    return [f"| {tamper.HELD_OUT}: {HELD_OUT} | {decided} | {'yes' if seen.passed else 'no'} | {seen.note} |"]


def _end(ran: CommandEvidence) -> str:
    return how_it_ended(ran.exit_code, timed_out=ran.timed_out)


def _clean_clone(card: Scorecard | None) -> list[str]:
    if card is None:
        return []
    ran = [
        f"- `{e.criterion}`: {_end(e)} in {e.seconds:.1f} s{f', {told}' if (told := tests_told(e)) else ''}"
        for e in card.commands
    ]
    if card.setup:
        ran = [f"- setup: {_end(card.setup)} in {card.setup.seconds:.1f} s", *ran]
    return [f"Confirmed in a clean clone of `{card.commit}`:", "", *(ran or ["- no commands"]), ""]


def _not_found(state: SessionState) -> list[str]:
    cards = [card for card in (state.card, state.confirmed) if card is not None]
    ran = [one for card in cards for one in (card.setup, *card.commands) if one is not None]
    return [f"Exit code {NOT_FOUND}: {SHOW_IT}.", ""] if any(one.exit_code == NOT_FOUND for one in ran) else []


def _plan(state: SessionState) -> list[str]:
    if state.plan is None:
        return []
    steps = [f"- {plan_steps.line(s)}" for s in state.plan.steps]
    strategy = ["", f"Strategy: {state.strategy}"] if state.strategy else []
    return ["## Plan", "", state.plan.summary, "", *steps, *strategy, ""]


def _tampering(state: SessionState) -> list[str]:
    may_change = state.plan.may_change if state.plan else []
    freed = f"The plan let these change, as the goal asks: {', '.join(f'`{one_line(p)}`' for p in may_change)}."
    rows = [f"- {text}" for text in tamper.shown(state)]
    if not rows and not state.put_backs:
        return ["## Tests that may change", "", freed, ""] if may_change else []
    times = f"{counted(state.put_backs, 'change')} of what decides the checks put back in all."
    return ["## Tampering", "", *rows, *([""] if rows else []), times, *(["", freed] if may_change else []), ""]


def _tried(state: SessionState) -> list[str]:
    if not state.tries:
        return []
    rows = [
        f"- #{t.iteration}: {one_line(t.root_cause)} Fix: {one_line(t.fix)} Result: {t.result or 'open'}"
        for t in state.tries
    ]
    return ["## What was tried", "", *rows, ""]


def _recovery(spec: SessionSpec, state: SessionState) -> list[str]:
    if not state.rungs:
        return []
    best = f"Best checkpoint: #{state.best.iteration} (`{state.best.commit[:10]}`)." if state.best else ""
    stands = f" The session stands on rung {ladder.shown(spec, state)}." if state.rung else ""
    rows = [f"- after #{r.iteration}: {r.title}: {r.result or 'being tried'}" for r in state.rungs]
    return ["## Recovery", "", f"{best}{stands}", "", *rows, ""]


def _knowledge(state: SessionState) -> list[str]:
    """What of earlier sessions it was given, whether it helped, and what it leaves to the next."""
    rows, note = [f"- {advice.line(one)}" for one in advice.shown(state)], advice.note(state)
    if not rows and state.knowledge.kept is None and not state.knowledge.away:
        return []
    return ["## Knowledge of earlier sessions", "", *rows, *([""] if rows else []), f"{note}.", ""]


def _guidance(state: SessionState) -> list[str]:
    if not state.guidance:
        return []
    rows = [f"- {g.id}: {one_line(g.text)} ({delivery(state, g)})" for g in state.guidance]
    return ["## Guidance", "", *rows, ""]


def _decisions(state: SessionState) -> list[str]:
    """What a person, or the time-out, said about the plan and its iterations."""
    if not state.decisions:
        return []
    rows = [f"- {approvals.clock(d.at)}: {approvals.why_ended(d)}" for d in state.decisions]
    return ["## Approvals", "", *rows, ""]


def _errors(state: SessionState) -> list[str]:
    if not state.errors:
        return []
    rows = [f"- #{e.iteration} {e.phase}: {e.kind}: {e.text}" for e in state.errors]
    return [f"## Errors ({state.error_count} in all, the last ones here)", "", *rows, ""]


_STOPPED = ("network: blocked ", "sandbox limit hit: ")


def _stopped(state: SessionState) -> list[str]:
    """What the sandbox did not let happen, as far as the last events tell."""
    seen = [e.text for e in state.events if e.kind == "note" and any(words in e.text for words in _STOPPED)]
    if not seen:
        return []
    how = (
        "Where the work needs it: `--allow-host HOST` or `--egress public` for a new session, "
        "`OVERNIGHT_EGRESS_EXCEPTIONS` for private destinations, the variable that is named for a limit."
    )
    return ["## What the sandbox stopped", "", *(f"- {text}" for text in dict.fromkeys(seen)), "", how, ""]
