"""Budgets of a session: what is left, and which one is spent."""

from __future__ import annotations

from workflows.contracts.requests import Allowance
from workflows.contracts.spec import Role, SessionSpec
from workflows.contracts.state import SessionState
from workflows.policy.inbox import LIMIT

MAX_TURNS: dict[Role, int] = {"plan": 60, "execute": 300, "judge": 60, "diagnose": 60, "reflect": 30}
CALL_SECONDS: dict[Role, float] = {"plan": 1_800, "execute": 7_200, "judge": 1_800, "diagnose": 1_800, "reflect": 900}
"""Longest time of one call, in seconds; the session's own time limit may be shorter."""


def remaining_usd(state: SessionState) -> float:
    """USD that the session may still spend."""
    return max(0.0, state.limits.max_cost_usd - state.usage.cost_usd)


def remaining_seconds(state: SessionState) -> float:
    """Seconds of active time that are left."""
    return max(0.0, state.limits.max_time_minutes * 60 - state.active_seconds)


def spent(state: SessionState, *, starting_iteration: bool) -> str | None:
    """The limit that is spent, in words, or None. Iterations count only where a new one would start."""
    limits = state.limits
    if remaining_usd(state) <= 0:
        return f"{LIMIT} cost: ${state.usage.cost_usd:.2f} of ${limits.max_cost_usd:.2f} spent"
    if state.exhausted:
        return f"{LIMIT} cost: what is left of ${limits.max_cost_usd:.2f} does not carry another response"
    if remaining_seconds(state) <= 0:
        return f"{LIMIT} time: {limits.max_time_minutes:g} active minutes are over"
    if starting_iteration and state.iteration >= limits.max_iterations:
        return f"{LIMIT} iterations: {state.iteration} of {limits.max_iterations} are done"
    return None


def allowance(spec: SessionSpec, state: SessionState, role: Role) -> Allowance:
    """What one call may use: never more than the session has left."""
    return Allowance(
        model=getattr(spec.models, role),
        cost_usd=remaining_usd(state),
        seconds=min(CALL_SECONDS[role], remaining_seconds(state)),
        max_turns=MAX_TURNS[role],
    )
