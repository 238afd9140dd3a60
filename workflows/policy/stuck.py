"""Stuck is judged by state: the same tree, the same failure, nothing newly met. Whatever climbs is not stuck."""

from __future__ import annotations

from workflows.contracts.answers import ReflectionAnswer
from workflows.contracts.plan import StepStatus
from workflows.contracts.state import MAX_ALIKE, MAX_TRAIL, SessionState, Trail
from workflows.policy import tries

STUCK = "stuck"
WINDOW = 3
"""Iterations that are compared."""
MAX_IDLE = 2
"""Executes in a row without work that are one too many."""
REFLECT_EVERY = 5


def add_trail(state: SessionState, trail: Trail) -> None:
    """Remember what the iteration looked like, and for how many in a row nothing but the printed values differs."""
    alike = state.trail[-1].alike if state.trail else 0
    if trail.rose or trail.shape is None or all(t.shape != trail.shape for t in state.trail):
        alike = 0
    elif state.task is None or state.task.kind != "step":
        # While steps of the plan are done, that something still fails is what one expects.
        alike = min(alike + 1, MAX_ALIKE)
    trail = trail.model_copy(update={"alike": alike})
    state.trail = [*state.trail, trail][-MAX_TRAIL:]


def only_more(state: SessionState, seen: Trail) -> bool:
    """Whether exactly the tests fail that failed a little while ago: then more that pass beside them are no way up.

    While steps of the plan are done, more tests are what one expects; and who does not know which tests fail cannot say
    that they are the same.
    """
    failed = [e for e in state.card.commands if e.exit_code != 0] if state.card else []
    known = bool(failed) and all(e.tally.failing for e in failed)
    again = any(t.shape == seen.shape and t.met >= seen.met for t in state.trail)
    return known and again and (state.task is None or state.task.kind != "step")


def stuck(state: SessionState) -> str | None:
    """What keeps coming back, in words, or None: no work, one tree, two in turn, one failure, or one kind of it."""
    last = state.trail[-WINDOW:]
    if last and last[-1].rose:
        return None
    if len(last) > 1 and last[-1].met > last[-2].met:
        return None
    if state.idle >= MAX_IDLE:
        return f"{state.idle} executes in a row changed nothing"
    if last and last[-1].alike >= MAX_ALIKE:
        return f"the same tests or kinds of errors {MAX_ALIKE} times without getting further"
    if len(last) < WINDOW or last[-1].met > last[0].met or any(t.rose for t in last[1:]):
        return None
    if len({t.tree for t in last}) == 1:
        return "three times the same tree"
    if last[0].tree == last[2].tree:
        return "back and forth between two trees"
    # While steps of the plan are open, that something still fails is what one expects.
    steps_open = state.plan is not None and any(s.status is StepStatus.PENDING for s in state.plan.steps)
    if not steps_open and last[0].failure is not None and len({t.failure for t in last}) == 1:
        return "three times the same failure"
    return None


def reflection_due(state: SessionState) -> str | None:
    """Why the session is to look back now, or None: every fifth iteration."""
    if state.succeeded or state.reflected_at == state.iteration or state.iteration == 0:
        return None
    if state.iteration % REFLECT_EVERY:
        return None
    return f"iteration {state.iteration}: time to look back"


def reflected(state: SessionState, reflection: ReflectionAnswer | None) -> bool:
    """Take over what a reflection said; whether the strategy changed."""
    state.reflected_at = state.iteration
    if reflection is None or not reflection.change_approach or not reflection.new_strategy:
        return False
    state.strategy = reflection.new_strategy
    # A new strategy starts from what is there, not from the fix that the old one asked for.
    tries.drop(state, "the strategy changed")
    state.idle = 0
    return True
