"""Asking Claude Code something about a commit, read-only: what plan, judge, diagnose and reflect share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from activities.attempt import Attempt
from activities.claude import Ask, Lease, Told
from activities.host import Host
from activities.prompts import render
from activities.workspace import give_agent_git, session_lock
from workflows.contracts.answers import Answer
from workflows.contracts.outcome import MAX_OBSERVED, CallReport, Outcome
from workflows.contracts.requests import Allowance, FailedCheck, Phase, Site, Try
from workflows.contracts.spec import Role
from workflows.policy.words import how_it_ended

R = TypeVar("R", bound=CallReport)

LOCK_SECONDS = 60.0
LOG_HEAD_BYTES = 1_500
LOG_TAIL_BYTES = 6_000
DIFF_BYTES = 16_000


async def consult(
    host: Host,
    attempt: Attempt,
    site: Site,
    *,
    commit: str,
    role: Role,
    phase: Phase,
    prompt: str,
    allowance: Allowance,
    answer: type[Answer],
) -> Told:
    """One call in a fresh, read-only context on ``commit``. Raises the failure that Temporal backs off on."""
    ask = Ask(role, phase, prompt, render("observer"), allowance, answer)
    async with session_lock(host.folder(site.session_id), limit_s=LOCK_SECONDS):
        attempt.take_over()
        lease = lease_for(site, phase, attempt, allowance)
        worktree = await host.worktree(site, commit)
        # What the last execute left as the agent's git could start programs here: only a model's words decide.
        await give_agent_git(worktree, host.launcher.objects(worktree.objects))
        told = await host.runner.run(
            ask,
            lease,
            host.box(site, worktree, writable=False),
            stop=attempt.stop,
            progress=lambda did: setattr(attempt, "doing", host.redactor.text(did)),
        )
    return whole(host, settled(attempt, told))


def lease_for(site: Site, phase: Phase, attempt: Attempt, allowance: Allowance) -> Lease:
    """The right to talk to a model, for what is left of the call's budget after its earlier attempts."""
    lease = Lease(
        site.session_id,
        phase,
        site.iteration,
        attempt.number,
        budget_usd=max(0.0, allowance.cost_usd - attempt.earlier.cost_usd),
        budget_tokens=None if allowance.tokens is None else max(0, allowance.tokens - attempt.earlier.tokens),
        ledger=attempt.ledger(),
    )
    attempt.usage, attempt.open_usd = lambda: lease.usage, lambda: lease.open_usd
    return lease


def settled(attempt: Attempt, told: Told) -> Told:
    """``told`` with the usage of all attempts. Raises the failure that Temporal backs off on."""
    attempt.usage, attempt.open_usd = lambda: told.usage, float
    if told.outcome is Outcome.UNAVAILABLE and not attempt.stop.is_set():
        raise attempt.unavailable(told.detail)
    if told.outcome is Outcome.INTERRUPTED and attempt.why:
        told.detail = attempt.why
    told.usage = attempt.spent()
    return told


def whole(host: Host, told: Told) -> Told:
    """``told`` without secrets, as long as its texts are whole: of one that is cut, half a secret may be left."""
    return replace(told, text=host.redactor.text(told.text), detail=host.redactor.text(told.detail))


def report(kind: type[R], told: Told, host: Host, site: Site, **more: Any) -> R:
    """What a call came to, as an activity's report with ``more`` of its own, such as ``notes`` and ``more_notes``."""
    notes = [*told.notes, *more.pop("notes", [])]
    return kind(
        outcome=told.outcome,
        detail=told.detail,
        usage=told.usage,
        seconds=told.seconds,
        resets_at=told.resets_at,
        notes=notes[:MAX_OBSERVED],
        more_notes=len(notes[MAX_OBSERVED:]) + more.pop("more_notes", 0),
        host=host.id,
        sandbox=host.sandbox(site),
        **more,
    )


def describe_failures(host: Host, failures: list[FailedCheck]) -> str:
    """What is not met, verbatim, each with what its command printed."""
    parts: list[str] = []
    for failed in failures:
        end = how_it_ended(failed.exit_code, timed_out=failed.timed_out)
        parts.append(f"### {failed.criterion}: {failed.description}")
        if failed.command:
            printed = failed.evidence
            if failed.log is not None:
                printed = host.artifacts.text(failed.log, head=LOG_HEAD_BYTES, tail=LOG_TAIL_BYTES)
            parts.append(f"`{failed.command}`: {end}. It printed:\n\n<output>\n{printed.strip()}\n</output>")
        elif failed.evidence:
            parts.append(failed.evidence)
    return "\n\n".join(parts)


def describe_tries(tries: list[Try]) -> str:
    """Fixes on record and what came of them."""
    return "\n".join(
        f"- #{t.iteration}: {t.root_cause} Fix: {t.fix} Result: {t.result or 'not known yet'}" for t in tries
    )
