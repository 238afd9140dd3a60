"""Budgets of a session: what is left, and which one is spent."""

from __future__ import annotations

from workflows.contracts.messages import RaiseLimits
from workflows.contracts.requests import Allowance
from workflows.contracts.spec import Role, SessionSpec
from workflows.contracts.state import SessionState
from workflows.policy.inbox import LIMIT
from workflows.policy.words import counted

MAX_TURNS: dict[Role, int] = {"plan": 60, "execute": 300, "judge": 60, "diagnose": 60, "reflect": 30}
CALL_SECONDS: dict[Role, float] = {"plan": 1_800, "execute": 7_200, "judge": 1_800, "diagnose": 1_800, "reflect": 900}
"""Longest time of one call, in seconds; the session's own time limit may be shorter."""


def remaining_usd(state: SessionState) -> float:
    """USD that the session may still spend."""
    return max(0.0, state.limits.max_cost_usd - state.usage.cost_usd)


def remaining_tokens(state: SessionState) -> int | None:
    """Tokens that the session may still use, or None without such a limit."""
    most = state.limits.max_tokens
    return None if most is None else max(0, most - state.usage.tokens)


def remaining_seconds(state: SessionState) -> float:
    """Seconds of active time that are left."""
    return max(0.0, state.limits.max_time_minutes * 60 - state.active_seconds)


def spent(state: SessionState, *, starting_iteration: bool) -> str | None:
    """The limit that is spent, in words, or None. Iterations count only where a new one would start."""
    limits = state.limits
    if remaining_usd(state) <= 0:
        return f"{LIMIT} cost: ${state.usage.cost_usd:.2f} of ${limits.max_cost_usd:.2f} spent"
    if remaining_tokens(state) == 0:
        return f"{LIMIT} tokens: {state.usage.tokens:,} of {limits.max_tokens:,} used"
    if state.exhausted and limits.max_tokens is not None:
        return f"{LIMIT} budget: what is left of it does not carry another response"
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
        tokens=remaining_tokens(state),
        seconds=min(CALL_SECONDS[role], remaining_seconds(state)),
        max_turns=MAX_TURNS[role],
    )


def refusal(state: SessionState, message: RaiseLimits) -> str | None:
    """Why these limits make no sense, in words, or None: one that is used up already would pause the session again."""
    if not message.model_dump(exclude={"id"}, exclude_none=True):
        return "no limit is named"
    used, minutes = state.usage, state.active_seconds / 60
    checks: list[tuple[str, float | None, float, str]] = [
        ("max_cost_usd", message.max_cost_usd, used.cost_usd, f"${used.cost_usd:.4f} is spent"),
        ("max_tokens", message.max_tokens, used.tokens, f"{counted(used.tokens, 'token')} used"),
        ("max_iterations", message.max_iterations, state.iteration, f"iteration {state.iteration} has begun"),
        ("max_time_minutes", message.max_time_minutes, minutes, f"{minutes:.1f} active minutes are over"),
    ]
    below = [f"{name}: {said} already, give more" for name, wanted, now, said in checks if wanted and wanted < now]
    return f"{'; '.join(below)}; to stop the session, pause or cancel it" if below else None
