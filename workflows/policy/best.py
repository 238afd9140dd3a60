"""How far a session got: the best checkpoint, what rises above all before it, and what falls below."""

from __future__ import annotations

from workflows.contracts.evidence import Scorecard
from workflows.contracts.requests import Checkpoint
from workflows.contracts.state import Best, Mark, SessionState
from workflows.policy import steps, tamper, tries

MAX_FALLS = 2
"""Iterations in a row below the best that are one too many."""


def mark(state: SessionState) -> Mark:
    """How far the commit got that was validated last."""
    return Mark(
        met=sum(s.met for s in state.scores),
        rate=round(sum(s.rate for s in state.scores), 6),
        passed=_passed(state.card),
    )


def _passed(card: Scorecard | None) -> int:
    """Tests that passed."""
    return sum(e.tally.passed for e in card.commands) if card else 0


def keep(state: SessionState, *, counts: bool = True) -> bool:
    """Take the last validation into account; whether the session got further than ever before, in any way.

    Where that does not count (``counts``), it is no rise, though it may be the best there is.
    """
    now, high, best = mark(state), state.high, state.best
    if state.card is not None and tamper.stands(state.card):
        # Its checks are not those that were there: whatever they show is no way up, and nothing to return to.
        state.falls += best is not None
        return False
    rose = counts and (now.met > high.met or now.rate > high.rate or now.passed > high.passed)
    state.high = Mark(met=max(now.met, high.met), rate=max(now.rate, high.rate), passed=max(now.passed, high.passed))
    made = state.checkpoint
    if rose:
        state.returns = 0
    if best is not None and below(now, best.mark):
        state.falls += 1
        return rose
    state.falls = 0
    commit = made.commit if made else state.base
    if commit is not None and (best is None or _key(now) >= _key(best.mark)):
        same = best is not None and made is not None and made.tree == best.tree and _key(now) == _key(best.mark)
        if not same:
            iteration = made.iteration if made else 0
            state.best = Best(commit=commit, tree=made.tree if made else None, iteration=iteration, mark=now)
    return rose


def _key(reached: Mark) -> tuple[int, float, int]:
    return reached.met, reached.rate, reached.passed


def below(now: Mark, best: Mark) -> bool:
    """Whether ``now`` is a step back: less is met or passes, and it is not that there is more that passes."""
    return (now.met, now.rate) < (best.met, best.rate) and now.passed <= best.passed


def fallen_from(state: SessionState) -> Best | None:
    """The checkpoint to return to, when the last iterations in a row fell below it.

    The commit that the session started from is none: on the way to a goal, what passed before may fail for a while.
    """
    best = state.best
    lost = state.falls >= MAX_FALLS and best is not None and best.iteration > 0
    return best if lost and not stands_on_best(state) else None


def stands_on_best(state: SessionState) -> bool:
    """Whether the session's tree is the best one's already."""
    best, made = state.best, state.checkpoint
    if best is None or made is None:
        return True
    return best.commit == made.commit or best.tree == made.tree


def take_back(state: SessionState, made: Checkpoint | None, iteration: int, why: str) -> None:
    """The branch has grown by a commit with the tree of ``iteration``: what came after that is to be done again."""
    if made is None:
        return
    state.checkpoint = made.model_copy(update={"returned": True})
    state.conversation = state.confirmed = None
    state.succeeded = False
    state.falls = 0
    state.returns += 1
    tries.drop(state, why)
    tries.undone(state, iteration)
    reopen_steps(state, iteration)


def chosen_by_a_person(state: SessionState) -> None:
    """A person went back: where they went is where the session starts from, whatever got further."""
    state.best, state.high, state.returns = None, Mark(), 0


def reopen_steps(state: SessionState, iteration: int) -> None:
    """Steps of the plan that were done after ``iteration`` are to be done again."""
    if state.plan is not None:
        state.plan = steps.reopen(state.plan, iteration)


def moved(state: SessionState) -> bool:
    """Whether the session stands on a commit that nobody has validated yet, since it went back to it."""
    made = state.checkpoint
    return made is not None and (state.card is None or state.card.commit != made.commit)
