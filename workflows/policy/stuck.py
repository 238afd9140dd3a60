"""Stuck is judged by state: the same tree, the same failure, nothing newly met."""

from __future__ import annotations

from workflows.contracts.answers import ReflectionAnswer
from workflows.contracts.plan import StepStatus
from workflows.contracts.state import MAX_TRAIL, SessionState, Trail

STUCK = "stuck"
WINDOW = 3
"""Iterations that are compared."""
MAX_IDLE = 2
"""Executes in a row without work that are one too many."""
REFLECT_EVERY = 5
MAX_STUCK_REFLECTIONS = 2
"""Reflections that may fail to move a stuck session before a person is asked."""


def add_trail(state: SessionState, trail: Trail) -> None:
    """Remember what the iteration looked like; progress forgives earlier reflections."""
    if state.trail and trail.met > max(t.met for t in state.trail):
        state.stuck_reflections = 0
    state.trail = [*state.trail, trail][-MAX_TRAIL:]


def is_stuck(state: SessionState) -> bool:
    """Executes without work, one tree, back and forth, or one failure that fixes do not touch; nothing newly met."""
    last = state.trail[-WINDOW:]
    if len(last) > 1 and last[-1].met > last[-2].met:
        return False
    if state.idle >= MAX_IDLE:
        return True
    if len(last) < WINDOW or last[-1].met > last[0].met:
        return False
    same_tree = len({t.tree for t in last}) == 1
    back_and_forth = last[0].tree == last[2].tree
    # While steps of the plan are open, that something still fails is what one expects.
    steps_open = state.plan is not None and any(s.status is StepStatus.PENDING for s in state.plan.steps)
    same_failure = not steps_open and last[0].failure is not None and len({t.failure for t in last}) == 1
    return same_tree or back_and_forth or same_failure


def reflection_due(state: SessionState) -> str | None:
    """Why the session is to reflect now, or None: when it is stuck, and every fifth iteration."""
    if state.reflected_at == state.iteration:
        return None
    if is_stuck(state):
        return f"{STUCK}: the last iterations changed nothing that counts"
    if state.iteration > 0 and state.iteration % REFLECT_EVERY == 0:
        return f"iteration {state.iteration}: time to look back"
    return None


def reflected(state: SessionState, why: str, reflection: ReflectionAnswer | None) -> bool:
    """Take over what a reflection said; whether the strategy changed."""
    state.reflected_at = state.iteration
    state.reflections += 1
    if why.startswith(STUCK):
        state.stuck_reflections += 1
    if reflection is None or not reflection.change_approach or not reflection.new_strategy:
        return False
    state.strategy = reflection.new_strategy
    # A new strategy starts from what is there, not from the fix that the old one asked for.
    state.fix = None
    state.idle = 0
    return True


def gave_up(state: SessionState) -> str | None:
    """Why a person is asked: reflecting did not get the session unstuck."""
    if state.stuck_reflections < MAX_STUCK_REFLECTIONS or not is_stuck(state):
        return None
    tried = state.tries[-1].fix if state.tries else "no fix on record"
    return f"{STUCK}: {state.stuck_reflections} new strategies did not help; last try: {tried}"
