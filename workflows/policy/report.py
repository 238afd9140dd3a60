"""The report: markdown that says what was wanted, what holds on which evidence, what it took."""

from __future__ import annotations

from datetime import datetime

from workflows.contracts.evidence import CommandEvidence, Scorecard
from workflows.contracts.plan import Criterion, StepStatus
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionResult, SessionState, Status
from workflows.contracts.text import clip
from workflows.policy.progress import progress
from workflows.policy.record import one_line
from workflows.policy.view import branch, evidence_of, sandbox
from workflows.policy.words import counted, how_it_ended, plainly

REPORT_LIMIT = 24_000
NOT_FOUND = 127
"""How a shell ends when a program is not there."""
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
    percent, basis = progress(state)
    commit = state.checkpoint.commit if state.checkpoint else state.base
    minutes = state.active_seconds / 60
    lines = [
        f"# {_headline(state)}: {one_line(spec.goal, 120)}",
        "",
        f"- Session `{spec.session_id}`, {state.status.value}{f': {state.reason}' if state.reason else ''}",
        f"- Branch `{branch(spec.session_id)}`, commit `{commit or 'none'}`",
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
        "",
        *_clean_clone(state.confirmed),
        *_not_found(state),
        *_plan(state),
        *_tried(state),
        *_guidance(state),
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
    decided = f"`{one_line(criterion.command, 120)}`".replace("|", "\\|") if criterion.command else "a judge"
    note = " (passed before the work began)" if early else ""
    shown = one_line(criterion.description, 160).replace("|", "/")
    evidence = evidence_of(state, criterion.id)
    return f"| {criterion.id}: {shown} | {decided} | {'yes' if met else 'no'}{note} | {evidence} |"


def _end(ran: CommandEvidence) -> str:
    return how_it_ended(ran.exit_code, timed_out=ran.timed_out)


def _clean_clone(card: Scorecard | None) -> list[str]:
    if card is None:
        return []
    ran = [f"- `{e.criterion}`: {_end(e)} in {e.seconds:.1f} s" for e in card.commands]
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
    steps = [f"- {'[x]' if s.status is StepStatus.DONE else '[ ]'} {s.title}" for s in state.plan.steps]
    strategy = ["", f"Strategy: {state.strategy}"] if state.strategy else []
    return ["## Plan", "", state.plan.summary, "", *steps, *strategy, ""]


def _tried(state: SessionState) -> list[str]:
    if not state.tries:
        return []
    rows = [
        f"- #{t.iteration}: {one_line(t.root_cause)} Fix: {one_line(t.fix)} Result: {t.result or 'open'}"
        for t in state.tries
    ]
    return ["## What was tried", "", *rows, ""]


def _guidance(state: SessionState) -> list[str]:
    if not state.guidance:
        return []
    late = "came too late, no prompt carried it" if state.status.is_final else "waits for the next execute"
    rows = [
        f"- {g.id}: {one_line(g.text)} ({late if g.iteration is None else f'carried by execute #{g.iteration}'})"
        for g in state.guidance
    ]
    return ["## Guidance", "", *rows, ""]


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
