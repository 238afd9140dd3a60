"""Progress and estimated completion, with what they are based on. What has no basis yet is not guessed."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from workflows.contracts.requests import Phase
from workflows.contracts.state import SessionState, Status
from workflows.contracts.status import Estimate
from workflows.policy import steps
from workflows.policy.words import counted

_STEPS_SHARE = 0.4
"""Steps are promises, criteria are evidence: what is left to 1 belongs to the criteria."""
_NOT_AN_ITERATION: frozenset[Phase] = frozenset({"recall", "plan", "baseline", "deliver", "learn"})
"""Phases whose time and cost do not come again with each iteration."""
_AS_LIKELY = 2.0
"""Iterations per step, at most, before any were counted: each step may need a fix."""
_LONGEST = timedelta(days=365)
"""What would take longer is not a plan."""


def progress(state: SessionState) -> tuple[int, str]:
    """Progress in percent (100 only when completed) and its basis in words.

    Never less for a criterion more that is met, a step more that is done, or a step that is dropped; less when steps
    are added, and when something that was met is met no longer.
    """
    if state.status is Status.COMPLETED:
        return 100, "completed"
    if state.plan is None:
        return 0, "not planned yet"
    weights = {c.id: c.weight for c in state.criteria}
    total = sum(weights.values())
    earned = sum(weights[s.id] * (1.0 if s.met else min(s.rate, 0.9)) for s in state.scores if s.id in weights)
    done, to_do = steps.done(state.plan), len(steps.pending(state.plan))
    by_steps = done / (done + to_do) if done else 0.0
    by_criteria = earned / total if total else 0.0
    share = _STEPS_SHARE * by_steps + (1 - _STEPS_SHARE) * by_criteria
    met = sum(s.met for s in state.scores)
    basis = f"{met} of {len(state.criteria)} criteria met, {done} of {done + to_do} steps done"
    return min(99, int(share * 100)), basis


def estimate(state: SessionState, now: datetime) -> Estimate:
    """When the session would end at its measured pace, as a range, and what that rests on in words."""
    if state.status.is_final:
        return Estimate(basis="it is over")
    if state.status in {Status.PAUSED, Status.WAITING_APPROVAL}:
        return Estimate(basis=f"no estimate while a person is waited for{_limit_ahead(state)}")
    pace = seconds_per_iteration(state)
    if pace is None and not state.iteration and (recalled := _recalled(state, now)):
        return recalled
    if pace is None or state.plan is None:
        return Estimate(basis="no basis yet: no iteration was measured")
    least, most = _iterations_left(state)
    basis = f"{_counted(least, most)} to go at {_duration(pace)} each (mean of {state.times['execute'].count})"
    limit = nearest_limit(state)
    if limit is not None and limit[1] < least:
        return Estimate(basis=f"no end in sight: {basis}, but {_passes(*limit)}")
    ahead = f"; {_passes(*limit)}" if limit is not None and limit[1] < most else ""
    start = state.wait_until if state.wait_until and state.wait_until > now else now
    if timedelta(seconds=min(pace * most, 1e9)) > _LONGEST:
        return Estimate(basis=f"no end in sight: {basis}")
    return Estimate(
        earliest=start + timedelta(seconds=pace * least),
        latest=start + timedelta(seconds=pace * most),
        basis=f"{basis}{ahead}",
    )


_HALF, _TWICE = 0.5, 2.0
"""What another session took is taken for right within a factor of two."""


def _recalled(state: SessionState, now: datetime) -> Estimate | None:
    """What the session most like this one took, before anything of this one is measured; None where there is none."""
    expected = state.knowledge.expected_seconds
    if expected is None:
        return None
    left = max(0.0, expected - state.active_seconds)
    start = state.wait_until if state.wait_until and state.wait_until > now else now
    basis = f"a session with such a goal took {_duration(expected)}; nothing of this one is measured yet"
    if start + timedelta(seconds=left * _TWICE) > start + _LONGEST:
        return None
    return Estimate(
        earliest=start + timedelta(seconds=left * _HALF), latest=start + timedelta(seconds=left * _TWICE), basis=basis
    )


def middle(range_: Estimate) -> datetime | None:
    """The middle of an estimate; None without one."""
    if range_.earliest is None or range_.latest is None:
        return None
    return range_.earliest + (range_.latest - range_.earliest) / 2


def seconds_per_iteration(state: SessionState) -> float | None:
    """Mean measured seconds of an execute with all that follows it, or None before the first."""
    execute = state.times.get("execute")
    if execute is None or execute.count == 0:
        return None
    return sum(t.seconds for phase, t in state.times.items() if phase not in _NOT_AN_ITERATION) / execute.count


def nearest_limit(state: SessionState) -> tuple[str, float] | None:
    """The limit that is spent first at the measured pace, and after how many more iterations; None without a pace."""
    iterations, limits = state.iteration, state.limits
    if not iterations:
        return None
    spent = [
        ("max_cost_usd", limits.max_cost_usd, state.usage.cost_usd),
        ("max_time_minutes", limits.max_time_minutes, state.active_seconds / 60),
        *([("max_tokens", float(limits.max_tokens), float(state.usage.tokens))] if limits.max_tokens else []),
    ]
    after = [(name, max(0.0, most - used) / (used / iterations)) for name, most, used in spent if used > 0]
    after.append(("max_iterations", float(max(0, limits.max_iterations - iterations))))
    return min(after, key=lambda one: one[1])


def _iterations_left(state: SessionState) -> tuple[int, int]:
    """The fewest iterations that can be left, and as many as it would take if they go like those before."""
    done, to_do = steps.done(state.plan), len(steps.pending(state.plan))
    least = max(1, to_do + (state.fix is not None))
    # A step or two say little: then the range is the wider.
    each = max(1.0, state.iteration / done if done else _AS_LIKELY)
    return least, max(least, ceil(least * each))


def _limit_ahead(state: SessionState) -> str:
    limit = nearest_limit(state)
    return f"; {_passes(*limit)}" if limit is not None and limit[1] < _iterations_left(state)[1] else ""


def _passes(name: str, iterations: float) -> str:
    """How a limit is told that comes before the end does."""
    if iterations < 1:
        return f"would pass {name} with the next iteration"
    return f"would pass {name} after about {counted(int(iterations), 'iteration')}"


def _counted(least: int, most: int) -> str:
    return counted(least, "iteration") if least == most else f"{least} to {most} iterations"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
