"""Stuck is judged by state: the same tree, the same failure, nothing newly met."""

from __future__ import annotations

from workflows.contracts.answers import ReflectionAnswer
from workflows.contracts.state import SessionState, Trail

STUCK = "stuck"
WINDOW = 3
"""Iterations that are compared."""
REFLECT_EVERY = 5
MAX_STUCK_REFLECTIONS = 2
"""Reflections that may fail to move a stuck session before a person is asked."""


def add_trail(state: SessionState, trail: Trail) -> None:
    """Remember what the iteration looked like; progress forgives earlier reflections."""
    if state.trail and trail.met > max(t.met for t in state.trail):
        state.stuck_reflections = 0
    state.trail = [*state.trail, trail][-6:]


def is_stuck(state: SessionState) -> bool:
    """Two executes in a row without work, one failure on one tree, or A-B-A, with nothing newly met."""
    if state.idle >= 2:
        return True
    last = state.trail[-WINDOW:]
    if len(last) < WINDOW or last[-1].met > last[0].met:
        return False
    same_tree = len({t.tree for t in last}) == 1
    back_and_forth = last[0].tree == last[2].tree
    return same_tree or back_and_forth


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
