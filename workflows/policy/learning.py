"""What a session teaches: only what its history shows, never what an agent says of itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from workflows.contracts.applied import (
    MAX_LESSONS,
    ErrorPattern,
    Lessons,
    Pattern,
    ProjectFact,
    RecoveryStrategy,
)
from workflows.contracts.evidence import CommandEvidence
from workflows.contracts.knowledge import MAX_LEARNINGS, Learning, LearnRequest
from workflows.contracts.requests import Try
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState, Status
from workflows.contracts.text import ELLIPSIS, clip
from workflows.policy import advice, criteria, ladder, tries
from workflows.policy.record import one_line
from workflows.policy.task_type import task_type
from workflows.policy.words import counted, tests_told

ADVICE_BYTES = 1_200


def lessons(spec: SessionSpec, state: SessionState, status: Status) -> Lessons:
    """What the session teaches that ends, or ended, as ``status``."""
    kind = task_type(spec.goal)
    reached = status is Status.COMPLETED
    # Who cancels says nothing of the way that was gone.
    failed = status is Status.FAILED and state.iteration > 0
    way = [_pattern(spec, state, kind)] if reached or failed else []
    return Lessons(
        session_id=spec.session_id,
        project=spec.project.key,
        task_type=kind,
        successful_patterns=way if reached else [],
        failed_patterns=way if failed else [],
        error_patterns=_error_patterns(state.tries),
        recovery_strategies=[
            RecoveryStrategy(
                name=rung.name, strategy=rung.title, result=rung.result, helped=rung.result.startswith(ladder.HELPED)
            )
            for rung in state.rungs
            if rung.result.startswith((ladder.HELPED, tries.DEAD))
        ],
        time_per_task_type={kind: round(state.active_seconds, 1)} if reached else {},
        project_memory=_facts(spec, state)[:MAX_LESSONS],
        feedback=advice.verdicts(state),
    )


def request(spec_goal: str, learned: Lessons) -> LearnRequest:
    """The lessons as the store keeps them. The same ones give the same request."""
    errors = [
        Learning(
            kind="error_solution",
            title=one_line(one.pattern),
            cue=one.pattern,
            advice=one.solution,
            task_type=learned.task_type,
            fingerprint=one.fingerprint,
            worked=one.solution_worked,
        )
        for one in learned.error_patterns
    ]
    facts = [
        Learning(kind="memory", title=fact.title, cue=fact.title, advice=fact.text, commit=fact.commit)
        for fact in learned.project_memory
    ]
    ways = [
        Learning(
            kind="approach",
            title=one_line(spec_goal),
            cue=clip(spec_goal, advice.CUE_BYTES),
            advice=way.approach,
            task_type=learned.task_type,
            worked=bool(learned.successful_patterns),
            seconds=way.active_seconds if learned.successful_patterns else None,
        )
        for way in (*learned.successful_patterns, *learned.failed_patterns)
    ]
    return LearnRequest(
        session_id=learned.session_id,
        project=learned.project,
        learnings=[*ways, *errors, *facts, *_rungs(learned.recovery_strategies)][:MAX_LEARNINGS],
        feedback=learned.feedback,
    )


def _rungs(strategies: Iterable[RecoveryStrategy]) -> list[Learning]:
    """Once per rung of Overnight's own: in this session it helped, or it did not. Its words are always the same."""
    helped: dict[str, bool] = {}
    for one in strategies:
        helped[one.name] = helped.get(one.name, False) or one.helped
    return [
        Learning(
            kind="recovery",
            title=f"recovery: {rung.title}",
            cue=rung.name,
            advice=rung.title,
            task_type="recovery",
            worked=helped[rung.name],
        )
        for rung in ladder.OWN
        if rung.name in helped
    ]


# ---------------------------------------------------------------------- the way that was gone


def _pattern(spec: SessionSpec, state: SessionState, kind: str) -> Pattern:
    commands = [one_line(c.command) for c in state.criteria if c.command]
    return Pattern(
        goal=clip(spec.goal, advice.CUE_BYTES),
        task_type=kind,
        approach=_way(state),
        commands=commands[:4],
        active_seconds=round(state.active_seconds, 1),
        iterations=state.iteration,
        cost_usd=round(state.usage.cost_usd, 4),
    )


def _way(state: SessionState) -> str:
    """Plan, what mended what failed, and what led nowhere; the most telling first, since the end may be cut."""
    plan = state.plan
    lines = [f"Plan: {one_line(plan.summary, 300)}"] if plan else []
    done = [one_line(step.title, 80) for step in (plan.steps if plan else []) if step.status.value == "done"]
    lines += [f"Steps: {'; '.join(done[:6])}"] if done else []
    lines += [f"Mended on the way: {one.root_cause} By: {one.fix}" for one in _distinct(state.tries) if one.mended][:3]
    helped = [rung.title for rung in state.rungs if rung.result.startswith(ladder.HELPED) and rung.name != "fix"]
    lines += [f"What got it further when stuck: {'; '.join(dict.fromkeys(helped))}"] if helped else []
    dead = [one_line(one.fix, 140) for one in state.tries if one.result.startswith(tries.DEAD) and not one.mended]
    lines += [f"Did not help: {'; '.join(dict.fromkeys(dead))}"] if dead else []
    return clip("\n".join(lines), ADVICE_BYTES)


def _error_patterns(tried: Iterable[Try]) -> list[ErrorPattern]:
    return [
        ErrorPattern(
            pattern=one.pattern,
            solution=f"{one.root_cause} Fix: {one.fix}",
            solution_worked=one.mended,
            fingerprint=one.against,
        )
        for one in _distinct(tried)
        if one.against is not None and one.mended is not None and one.pattern
    ]


def _distinct(tried: Iterable[Try]) -> list[Try]:
    """Each fix once, as it was seen last."""
    return list({one.fix: one for one in tried}.values())


# ---------------------------------------------------------------------- what is true of the project


def _facts(spec: SessionSpec, state: SessionState) -> list[ProjectFact]:
    """How it is set up and tested, as it was observed, and what stood in the way."""
    facts: list[ProjectFact] = []
    card = state.confirmed or state.card
    if card is None:
        return facts
    setup = criteria.setup_command(spec, state)
    if setup and card.setup and card.setup.exit_code == 0 and _whole(setup):
        told = f"`{setup}` prepares a fresh clone"
        facts.append(ProjectFact(title="how to set it up", text=f"{told}{_took(card.setup)}", commit=card.commit))
    commands = {c.id: c.command for c in state.criteria if c.command}
    for ran in card.commands:
        command = commands.get(ran.criterion, "")
        if command and ran.exit_code == 0 and _whole(command):
            tests = f": {tests_told(ran)}" if ran.tally.ran else ""
            text = f"`{command}` passes{tests}{_took(ran)}"
            title = "how to run its tests" if ran.tally.ran else "a check that it passes"
            facts.append(ProjectFact(title=f"{title}: {one_line(command, 120)}", text=text, commit=card.commit))
    for one in _distinct(state.tries):
        if one.mended and one.pattern:
            text = one_line(f"pitfall: {one.pattern}: {one.root_cause}", 240)
            facts.append(ProjectFact(title=one_line(f"pitfall: {one.pattern}", 160), text=text, commit=card.commit))
    blocked = [e.text for e in state.events if e.kind == "note" and "network: blocked " in e.text]
    facts += [ProjectFact(title=text, text=f"in its checks or work: {text}") for text in dict.fromkeys(blocked)][:1]
    return facts


def _whole(command: str) -> bool:
    """Whether a command is short enough to be told as it is."""
    return len(command.encode()) <= 140 and ELLIPSIS not in command and "\n" not in command


def _took(ran: CommandEvidence) -> str:
    """Measured seconds, coarse enough that the same thing is told in the same words."""
    if ran.seconds < 10:
        return ""
    step = 10 if ran.seconds < 120 else 60
    return f" in about {counted(max(step, round(ran.seconds / step) * step), 'second')}"
