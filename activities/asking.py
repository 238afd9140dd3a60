"""Asking Claude Code something about a commit, read-only: what plan, judge, diagnose and reflect share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from activities.artifacts import ArtifactLostError
from activities.attempt import Attempt
from activities.claude import Ask, Lease, Told
from activities.host import Host
from activities.prompts import bullets, fenced, render
from activities.workspace import give_agent_git, session_lock
from workflows.contracts.answers import Answer
from workflows.contracts.evidence import TestOutcome
from workflows.contracts.outcome import MAX_OBSERVED, CallReport, Outcome, Usage
from workflows.contracts.requests import Allowance, FailedCheck, Phase, Site, Try
from workflows.contracts.spec import Role
from workflows.policy.words import how_it_went

R = TypeVar("R", bound=CallReport)

LOCK_SECONDS = 60.0
LOG_HEAD_BYTES = 1_500
LOG_TAIL_BYTES = 6_000
FAILING_TOLD = 200
"""Failing tests that a prompt names."""
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
    [told] = await consult_each(host, attempt, site, [ask], commit=commit)
    return replace(told, usage=attempt.spent())


async def consult_each(
    host: Host, attempt: Attempt, site: Site, asks: Sequence[Ask], *, commit: str, at_once: int = 1
) -> list[Told]:
    """A call for each, in contexts of their own that can read ``commit``, ``at_once`` beside each other.

    Each has its share of the allowance; what each used is in ``attempt``. Raises the failure that Temporal backs off
    on.
    """
    async with session_lock(host.folder(site.session_id), limit_s=LOCK_SECONDS):
        attempt.take_over(site)
        leases = leases_for(site, asks[0].phase, attempt, asks[0].allowance, len(asks))
        worktree = await host.worktree(site, commit)
        # What the last execute left as the agent's git could start programs here: only a model's words decide.
        await give_agent_git(worktree, host.launcher.objects(worktree.objects))
        turns = asyncio.Semaphore(at_once)

        async def one(ask: Ask, lease: Lease) -> Told:
            async with turns:
                return await host.runner.run(
                    ask,
                    lease,
                    host.box(site, worktree, writable=False),
                    stop=attempt.stop,
                    progress=lambda did: setattr(attempt, "doing", host.redactor.text(did)),
                )

        # None is left behind when another one fails.
        ended = await asyncio.gather(*map(one, asks, leases), return_exceptions=True)
    told: list[Told] = []
    for one_s in ended:
        if isinstance(one_s, BaseException):
            raise one_s
        told.append(whole(host, one_s))
    _settle(attempt, told)
    return told


def leases_for(site: Site, phase: Phase, attempt: Attempt, allowance: Allowance, count: int) -> list[Lease]:
    """Rights to talk to a model: shares of what is left of the activity's budget after its earlier attempts."""
    ledger = attempt.ledger()
    left = max(0.0, allowance.cost_usd - attempt.earlier.cost_usd)
    tokens = None if allowance.tokens is None else max(0, allowance.tokens - attempt.earlier.tokens)
    leases = [
        Lease(
            site.session_id,
            phase,
            site.iteration,
            attempt.number,
            budget_usd=left / count,
            budget_tokens=None if tokens is None else tokens // count,
            ledger=ledger,
        )
        for _ in range(count)
    ]
    attempt.usage = lambda: sum((lease.usage for lease in leases), Usage())
    attempt.open_usd = lambda: ledger.open_usd
    return leases


def settled(attempt: Attempt, told: Told) -> Told:
    """``told`` with the usage of all attempts. Raises the failure that Temporal backs off on."""
    _settle(attempt, [told])
    told.usage = attempt.spent()
    return told


def _settle(attempt: Attempt, told: Sequence[Told]) -> None:
    used = sum((one.usage for one in told), Usage())
    attempt.usage, attempt.open_usd = lambda: used, float
    for one in told:
        if one.outcome is Outcome.UNAVAILABLE and not attempt.stop.is_set():
            raise attempt.unavailable(one.detail)
        if one.outcome is Outcome.INTERRUPTED and attempt.why:
            one.detail = attempt.why


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
        parts.append(f"### {failed.criterion}: {failed.description}")
        printed = failed.evidence
        if failed.log is not None:
            printed = host.artifacts.text_or(failed.log, failed.evidence, head=LOG_HEAD_BYTES, tail=LOG_TAIL_BYTES)
        if failed.command:
            parts.append(
                f"`{failed.command}`: {how_it_went(failed)}.{_failing(host, failed)} It printed:"
                f"\n\n{fenced('output', printed)}"
            )
        elif failed.log is not None:
            parts.append(fenced("output", printed))
        elif failed.evidence:
            parts.append(failed.evidence)
    return "\n\n".join(parts)


def _failing(host: Host, failed: FailedCheck) -> str:
    """The failing tests by name, where there are more than its evidence names."""
    if failed.tests is None or failed.tally.failed <= len(failed.tally.failing):
        return ""
    names: list[str] = []
    try:
        lines = host.artifacts.get(failed.tests).splitlines()
    except ArtifactLostError:
        return ""
    for line in lines:
        with suppress(ValidationError):
            test = TestOutcome.model_validate_json(line)
            names += [test.id] if test.outcome == "failed" else []
    told = names[:FAILING_TOLD]
    more = failed.tally.failed - len(told)
    return f" Failing tests:\n\n{bullets(told)}\n{f'- and {more} more' if more > 0 else ''}\n"


def describe_tries(tries: list[Try]) -> str:
    """Fixes on record and what came of them."""
    return "\n".join(
        f"- #{t.iteration}: {t.root_cause} Fix: {t.fix} Result: {t.result or 'not known yet'}" for t in tries
    )
