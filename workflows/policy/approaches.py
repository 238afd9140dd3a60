"""Several approaches at once: what each starts with, its share of the budget, which one wins, what the rest leave."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from workflows.contracts.answers import MAX_APPROACHES, ReflectionAnswer
from workflows.contracts.applied import Applied
from workflows.contracts.outcome import Usage
from workflows.contracts.plan import Plan
from workflows.contracts.requests import Try
from workflows.contracts.spec import Limits, SessionSpec
from workflows.contracts.state import Best, GuidanceItem, SessionStart, SessionState, Task
from workflows.policy import inbox, limits, tries
from workflows.policy.record import one_line
from workflows.policy.view import branch

WANTED = MAX_APPROACHES
ROUNDS = 3
"""Iterations of one approach."""
_TOLD = (
    "Several approaches are tried at once, each in a workspace of its own, and the best one is kept. Yours is the"
    " strategy below: follow it, not another one, and get as far as you can."
)
_MIN_TOKENS = 1_000
_MAX_ID = 64


def named(reflection: ReflectionAnswer | None) -> list[str]:
    """The approaches of an answer, each once; none when it names fewer than two: one alone is a change of strategy."""
    found = list(dict.fromkeys(text.strip() for text in (reflection.approaches if reflection else []) if text.strip()))
    return found if len(found) > 1 else []


def session_id(spec: SessionSpec, iteration: int, number: int) -> str:
    """The id of an approach: also the name of its workflow, its worktree and its branch."""
    tail = f"-{iteration}-a{number}"
    if len(spec.session_id) + len(tail) <= _MAX_ID:
        return f"{spec.session_id}{tail}"
    short = hashlib.sha256(spec.session_id.encode()).hexdigest()[:8]
    return f"{spec.session_id[: _MAX_ID - len(tail) - 9]}-{short}{tail}"


def prepare(spec: SessionSpec, state: SessionState, texts: Sequence[str]) -> list[SessionStart]:
    """What each approach starts with: the session's tree, criteria and dead ends, and a share of what is left.

    One share more than there are approaches is made: the session keeps it for itself.
    """
    share = _share(state, len(texts) + 1)
    return [
        SessionStart(
            spec=spec.model_copy(
                update={"session_id": session_id(spec, state.iteration, number), "on_limit": "fail", "limits": share}
            ),
            state=SessionState(
                limits=share,
                started_at=state.started_at,
                base=state.base,
                checkpoint=state.checkpoint,
                plan=Plan(
                    summary=f"approach {number} of {len(texts)}",
                    setup_command=state.plan.setup_command if state.plan else None,
                    may_change=state.plan.may_change if state.plan else [],
                    check_files=state.plan.check_files if state.plan else [],
                ),
                known_tests=state.known_tests,
                held_out=state.held_out,
                criteria=state.criteria,
                scores=[score.model_copy() for score in state.scores],
                card=state.card,
                iteration=state.iteration,
                baselined=True,
                best=state.best,
                high=state.best.mark if state.best else state.high,
                strategy=text,
                tries=state.tries,
                guidance=[item.model_copy() for item in state.guidance],
                knowledge=Applied(memories=state.knowledge.memories),
                fix=Task(
                    kind="recover",
                    step=f"approach-{number}",
                    title=one_line(f"approach {number}: {text}", 120),
                    instructions=_TOLD,
                ),
            ),
        )
        for number, text in enumerate(texts, 1)
    ]


def _share(state: SessionState, parts: int) -> Limits:
    """One of ``parts`` equal shares of money and tokens; time runs side by side."""
    tokens = limits.remaining_tokens(state)
    return Limits(
        max_iterations=max(1, min(state.limits.max_iterations, state.iteration + ROUNDS)),
        max_time_minutes=max(limits.remaining_seconds(state) / 60, 0.01),
        max_cost_usd=max(limits.remaining_usd(state) / parts, 0.000_001),
        max_tokens=None if tokens is None else max(tokens // parts, _MIN_TOKENS),
    )


def charge(state: SessionState, ended: Sequence[SessionState]) -> None:
    """Charge what approaches used since they were started; they ran side by side, and the longest counts as time."""
    for one in ended:
        state.usage = state.usage + one.usage
        state.sandbox = one.sandbox or state.sandbox
        state.put_backs += one.put_backs
        for item in one.guidance:
            _delivered(state, item)
    state.active_seconds += max((one.active_seconds for one in ended), default=0.0)


def _delivered(state: SessionState, item: GuidanceItem) -> None:
    """A prompt of an approach has carried guidance that still waits here."""
    for own in state.guidance:
        if own.id == item.id and own.iteration is None and item.iteration is not None:
            own.iteration = item.iteration


def go_on(start: SessionStart, rested: SessionState, state: SessionState) -> SessionStart:
    """The start of an approach that something held up: from where it is, with what is left of its share."""
    left = rested.limits.model_copy(
        update={
            "max_cost_usd": max(rested.limits.max_cost_usd - rested.usage.cost_usd, 0.000_001),
            "max_time_minutes": max(rested.limits.max_time_minutes - rested.active_seconds / 60, 0.01),
            "max_tokens": rested.limits.max_tokens and max(rested.limits.max_tokens - rested.usage.tokens, _MIN_TOKENS),
        }
    )
    theirs = {item.id: item for item in rested.guidance}
    rested = rested.model_copy(deep=True)
    rested.limits, rested.usage, rested.active_seconds = left, Usage(), 0.0
    rested.put_backs = 0
    rested.paused_by = rested.wait_until = None
    # What was said meanwhile is new to it; what one of its own prompts has carried is not.
    rested.guidance = [theirs.get(item.id, item).model_copy() for item in state.guidance]
    return start.model_copy(update={"state": rested})


def paused_by_a_person(rested: SessionState) -> bool:
    """Whether a person's pause is what holds it up: the session knows of that itself."""
    return rested.paused_by is not None and rested.paused_by.startswith(inbox.BY_PERSON)


def held_up_by(rested: Sequence[SessionState]) -> SessionState | None:
    """The approach whose pause or wait is the session's too: a pause first, else the longest wait."""
    paused = next((one for one in rested if one.paused_by is not None and not paused_by_a_person(one)), None)
    waiting = [one for one in rested if one.wait_until is not None]
    return paused or max(waiting, key=lambda one: one.wait_until.timestamp() if one.wait_until else 0.0, default=None)


def conclude(
    state: SessionState, texts: Sequence[str], starts: Sequence[SessionStart], ended: Sequence[SessionState]
) -> Best | None:
    """The checkpoint that got furthest, if it got further than the session's own best; the others are dead ends."""
    reached = [one.best for one in ended]
    ranked = sorted(
        ((b.mark.met, b.mark.rate, b.mark.passed, -n) for n, b in enumerate(reached) if b is not None), reverse=True
    )
    own = (state.best.mark.met, state.best.mark.rate, state.best.mark.passed) if state.best else (0, 0.0, 0)
    winner = -ranked[0][3] if ranked and ranked[0][:3] > own else None
    for number, (text, start, best) in enumerate(zip(texts, starts, reached, strict=True)):
        met = f"{best.mark.met if best else 0} of {len(state.criteria)} met"
        where = f"branch {branch(start.spec.session_id)}"
        tries.add(
            state,
            Try(
                iteration=state.iteration,
                root_cause=f"approach {number + 1} of {len(texts)} at once",
                fix=one_line(text, 300),
                result=one_line(f"{'won' if number == winner else tries.DEAD}: {met}, {where}", 120),
            ),
        )
    state.iteration = max([state.iteration, *(one.iteration for one in ended)])
    return reached[winner] if winner is not None else None


def adopted(state: SessionState, won: Best) -> None:
    """The tree of the approach that won is the session's: it is validated and judged like any other."""
    state.conversation = None
    state.falls = state.idle = 0
    tries.drop(state, "another approach won")
    state.strategy = ""
    state.summary = one_line(f"took over the approach that got furthest: {won.mark.met} criteria met", 200)
