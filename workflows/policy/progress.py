"""Progress and estimated completion, with what they are based on."""

from __future__ import annotations

from datetime import datetime, timedelta

from workflows.contracts.plan import StepStatus
from workflows.contracts.state import SessionState, Status

_STEPS_SHARE = 0.4
"""Steps are promises, criteria are evidence: what is left to 1 belongs to the criteria."""


def progress(state: SessionState) -> tuple[int, str]:
    """Progress in percent (100 only when completed) and its basis in words."""
    if state.status is Status.COMPLETED:
        return 100, "completed"
    weights = {c.id: c.weight for c in state.criteria}
    total = sum(weights.values())
    earned = sum(weights[s.id] * (1.0 if s.met else min(s.rate, 0.9)) for s in state.scores if s.id in weights)
    steps = state.plan.steps if state.plan else []
    done = sum(s.status is StepStatus.DONE for s in steps)
    by_steps = done / len(steps) if steps else 0.0
    by_criteria = earned / total if total else 0.0
    share = _STEPS_SHARE * by_steps + (1 - _STEPS_SHARE) * by_criteria
    met = sum(s.met for s in state.scores)
    basis = f"{met} of {len(state.criteria)} criteria met, {done} of {len(steps)} steps done"
    return min(99, int(share * 100)), basis


def seconds_per_iteration(state: SessionState) -> float | None:
    """Mean measured seconds of an execute with its validation, or None before the first."""
    execute = state.times.get("execute")
    if execute is None or execute.count == 0:
        return None
    rest = [state.times[p] for p in ("validate", "diagnose") if p in state.times]
    return execute.seconds / execute.count + sum(t.seconds / t.count for t in rest if t.count)


def estimated_completion(state: SessionState, now: datetime) -> datetime | None:
    """When the session would end at its measured pace, or None when nothing supports a guess."""
    pace = seconds_per_iteration(state)
    if pace is None or state.status.is_final:
        return None
    steps = state.plan.steps if state.plan else []
    pending = sum(s.status is StepStatus.PENDING for s in steps)
    failing = state.fix is not None or any(not s.met for s in state.scores)
    start = state.wait_until if state.wait_until and state.wait_until > now else now
    return start + timedelta(seconds=pace * max(1, pending + (1 if failing and not pending else 0)))
