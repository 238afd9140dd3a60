"""The tool that starts sessions."""

from __future__ import annotations

import hashlib

from overnight.base.credentials import find_credential
from overnight.mcp import answers, callers
from overnight.mcp import arguments as a
from overnight.mcp.answers import Started
from overnight.mcp.beginnings import StartingError
from overnight.mcp.context import Ctx, engine_of
from overnight.request import NewSession, name_of
from overnight.started import Started as Began


async def claude_autonomous(
    ctx: Ctx,
    goal: a.Goal,
    project: a.Project = None,
    ref: a.Ref = None,
    validation_command: a.ValidationCommand = None,
    setup_command: a.SetupCommand = None,
    success_criteria: a.SuccessCriteria = [],  # noqa: B006 - read, never written
    recovery_strategies: a.RecoveryStrategies = [],  # noqa: B006 - read, never written
    mode: a.Mode = "autonomous",
    max_iterations: a.MaxIterations = 50,
    success_threshold: a.SuccessThreshold = 0.95,
    max_time_minutes: a.MaxTimeMinutes = 60,
    max_cost_usd: a.MaxCostUsd = None,
    max_tokens: a.MaxTokens = None,
    on_limit: a.OnLimit = "pause",
    on_usage_limit: a.OnUsageLimit = "wait",
    egress: a.Egress = None,
    allow_hosts: a.AllowHosts = [],  # noqa: B006 - read, never written
    model: a.Model = None,
    auto_deploy: a.AutoDeploy = False,
    protected_paths: a.ProtectedPaths = [],  # noqa: B006 - read, never written
    may_change: a.MayChange = [],  # noqa: B006 - read, never written
    held_out: a.HeldOut = None,
    held_out_command: a.HeldOutCommand = None,
    held_out_at: a.HeldOutAt = None,
    held_out_tells: a.HeldOutTells = "names",
    session_id: a.NewSessionId = None,
) -> Started:
    """Start an autonomous session that works on a goal until tests and criteria prove it reached.

    Returns at once; the session goes on by itself, also after this client has gone. Costs money up to max_cost_usd.
    Repeating a call with the same session_id never starts a second one.
    """
    request = NewSession.parse(
        goal=goal,
        project=a.located(project),
        ref=ref,
        validation_command=validation_command,
        setup_command=setup_command,
        success_criteria=success_criteria,
        recovery_strategies=recovery_strategies,
        mode=mode,
        max_iterations=max_iterations,
        success_threshold=success_threshold,
        max_time_minutes=max_time_minutes,
        max_cost_usd=max_cost_usd,
        max_tokens=max_tokens,
        on_limit=on_limit,
        on_usage_limit=on_usage_limit,
        egress=egress,
        allow_hosts=allow_hosts,
        model=model,
        auto_deploy=auto_deploy,
        protected_paths=protected_paths,
        may_change=may_change,
        held_out=a.located(held_out, or_ref=True),
        held_out_command=held_out_command,
        held_out_at=held_out_at,
        held_out_tells=held_out_tells if held_out else None,
        session_id=session_id or _id_for(goal, ctx),
    )
    engine, credential = engine_of(ctx), find_credential()

    async def start() -> tuple[Began, str]:
        ready = await engine.ready(credential)
        return await ready.sessions.start(request, credential=credential), ready.notice

    try:
        asked = f"{callers.current().reach.owner or ''}\n{request.model_dump_json()}"
        known, notice = await engine.beginnings.of(asked, start)
    except StartingError as error:
        raise StartingError(f"{error}, with session_id={request.session_id!r}. The same call finds it again.") from None
    return answers.started(known, notice)


def _id_for(goal: str, ctx: Ctx) -> str:
    """The id of a session that the client did not name: the same for a repeated call of the same tool use."""
    use = (ctx.request_context.meta or {}).get("claudecode/toolUseId")
    readable = name_of(goal)
    if not isinstance(use, str) or not use:
        return readable
    mine = f"{use}{callers.current().reach.owner or ''}"
    return f"{readable.rpartition('-')[0]}-{hashlib.sha256(mine.encode()).hexdigest()[:8]}"
