"""The commands and their options. Each body imports what it needs, so that ``--help`` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from overnight.cli.codes import EPILOG
from overnight.cli.knowledge_app import knowledge_app
from overnight.cli.parameters import (
    AllowHost,
    Egress,
    HeldOut,
    HeldOutAt,
    HeldOutCommand,
    HeldOutTells,
    Id,
    Json,
    MaybeId,
    MayChange,
    Now,
    Protect,
    Reason,
    Request,
    StatusName,
    Wait,
)
from overnight.cli.stack_app import stack_app

app = typer.Typer(
    name="overnight",
    help="Give Claude Code a goal in the evening, find tested commits in the morning.",
    epilog=EPILOG,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

WORK, LOOK, STEER = "Work", "Look", "Steer"

app.add_typer(knowledge_app, rich_help_panel=LOOK)


def _version(wanted: bool) -> None:
    if wanted:
        from overnight.base.version import VERSION
        from overnight.cli.output import say

        say(f"overnight {VERSION}")
        raise typer.Exit


@app.callback()
def overnight(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Give Claude Code a goal in the evening, find tested commits in the morning."""


@app.command(rich_help_panel=WORK)
def run(
    goal: Annotated[str, typer.Argument(help="What is to be achieved; - reads it from stdin.", show_default=False)],
    project: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="Git repository to work on; none means a new project.")
    ] = None,
    ref: Annotated[str | None, typer.Option(help="Branch, tag or commit to start from.")] = None,
    validate: Annotated[
        str | None, typer.Option(metavar="CMD", help="Command that exits 0 only when the goal is reached.")
    ] = None,
    setup: Annotated[
        str | None, typer.Option(metavar="CMD", help="Command that prepares a fresh clone for validation.")
    ] = None,
    criterion: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Criterion in words, for a judge; may be repeated.")
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="What to try first when a check fails, in words or by name; may be repeated."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Share of a command's tests that must pass, above 0 up to 1. (default: 0.95)")
    ] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Most iterations. (default: 50)")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Most minutes of active time. (default: 60)")] = None,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Most US dollars. (default: 20)")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens, cached ones too. (default: any)")] = None,
    model: Annotated[str | None, typer.Option(help="Claude model for every role.")] = None,
    on_limit: Annotated[
        Literal["pause", "fail"] | None, typer.Option(help="What to do at a limit. (default: pause)")
    ] = None,
    on_usage_limit: Annotated[
        Literal["wait", "pause"] | None,
        typer.Option(help="At a usage limit of the model's service: wait for its reset, or pause. (default: wait)"),
    ] = None,
    egress: Egress = None,
    allow_host: AllowHost = None,
    protect: Protect = None,
    may_change: MayChange = None,
    held_out: HeldOut = None,
    held_out_command: HeldOutCommand = None,
    held_out_at: HeldOutAt = None,
    held_out_tells: HeldOutTells = None,
    session_id: Annotated[
        str | None, typer.Option("--id", help="Id of the session; the same id again is the same session.")
    ] = None,
    mode: Annotated[
        Literal["autonomous", "iterative"],
        typer.Option(help="iterative: the plan and each iteration wait for approval."),
    ] = "autonomous",
    approval_timeout: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Longest wait for an approval. (default: for ever)")
    ] = None,
    on_approval_timeout: Annotated[
        Literal["continue", "pause", "end"] | None,
        typer.Option(help="What to do then: go on as if approved, pause, or end as failed. (default: pause)"),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it and come back at once.")] = False,
    wait: Wait = False,
    json: Json = False,
) -> int:
    """Start a session and watch it; Ctrl-C detaches, the session goes on."""
    from overnight.cli.starting import run_session

    return run_session(
        goal,
        project=project,
        detach=detach,
        wait=wait,
        json=json,
        ref=ref,
        validation_command=validate,
        setup_command=setup,
        success_criteria=criterion,
        recovery_strategies=strategy,
        success_threshold=threshold,
        max_iterations=max_iterations,
        max_time_minutes=max_minutes,
        max_cost_usd=max_cost,
        max_tokens=max_tokens,
        model=model,
        on_limit=on_limit,
        on_usage_limit=on_usage_limit,
        egress=egress,
        allow_hosts=allow_host,
        protected_paths=protect,
        may_change=may_change,
        held_out=held_out,
        held_out_command=held_out_command,
        held_out_at=held_out_at,
        held_out_tells=held_out_tells,
        session_id=session_id,
        mode=mode,
        approval_timeout_minutes=approval_timeout,
        on_approval_timeout=on_approval_timeout,
    )


@app.command(rich_help_panel=WORK)
def watch(session_id: MaybeId = None, wait: Wait = False, json: Json = False) -> int:
    """Watch a session until it ends; Ctrl-C detaches."""
    from overnight.cli.starting import watch_session

    return watch_session(session_id, wait=wait, json=json)


@app.command(rich_help_panel=WORK)
def checkout(
    session_id: Id,
    into: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Clone into this new folder instead.", show_default=False)
    ] = None,
    json: Json = False,
) -> int:
    """Bring the session's branch into your repository; your working tree is not touched."""
    from overnight.cli.checkout import checkout as work

    return work(session_id, into, json=json)


@app.command(rich_help_panel=LOOK)
def status(session_id: MaybeId = None, json: Json = False) -> int:
    """Show where a session stands."""
    from overnight.cli.reading import status as work

    return work(session_id, json=json)


@app.command("list", rich_help_panel=LOOK)
def list_(
    status: Annotated[StatusName | None, typer.Option(help="Only sessions with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most sessions to show.")] = 20,
    json: Json = False,
) -> int:
    """List the newest sessions."""
    from overnight.cli.reading import list_sessions

    return list_sessions(status, limit, json=json)


@app.command(rich_help_panel=LOOK)
def events(
    session_id: Id,
    after: Annotated[int, typer.Option(min=0, help="Only events with a number above this.")] = 0,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Only the newest. (default: all that are kept)", show_default=False),
    ] = None,
    json: Json = False,
) -> int:
    """Print the session's last events."""
    from overnight.cli.reading import events as work

    return work(session_id, after, limit, json=json)


@app.command(rich_help_panel=LOOK)
def diff(
    session_id: Id,
    path: Annotated[str | None, typer.Argument(help="Only this file or folder.", show_default=False)] = None,
    stat: Annotated[bool, typer.Option("--stat", help="Only which files changed, and how much.")] = False,
    json: Json = False,
) -> int:
    """Print what the session changed, as a patch."""
    from overnight.cli.reading import diff as work

    return work(session_id, path, stat=stat, json=json)


@app.command(rich_help_panel=LOOK)
def report(session_id: Id, json: Json = False) -> int:
    """Print the session's report, as markdown."""
    from overnight.cli.reading import report as work

    return work(session_id, json=json)


@app.command(rich_help_panel=LOOK)
def plan(session_id: Id, json: Json = False) -> int:
    """Print the session's plan in full, as it can be edited."""
    from overnight.cli.approving import plan as work

    return work(session_id, json=json)


@app.command(rich_help_panel=LOOK)
def learn(session_id: Id, json: Json = False) -> int:
    """Show what a session that is over teaches, and keep it; sessions do so by themselves when they end."""
    from overnight.cli.knowledge import learn as work

    return work(session_id, json=json)


@app.command(rich_help_panel=STEER)
def pause(session_id: Id, now: Now = False, reason: Reason = "", json: Json = False) -> int:
    """Pause a session at the end of its running turn."""
    from overnight.cli.steering import pause as work

    return work(session_id, now=now, reason=reason, json=json)


@app.command(rich_help_panel=STEER)
def resume(session_id: Id, reason: Reason = "", json: Json = False) -> int:
    """Let a paused or waiting session go on."""
    from overnight.cli.steering import resume as work

    return work(session_id, reason=reason, json=json)


@app.command(rich_help_panel=STEER)
def steer(
    session_id: Id,
    guidance: Annotated[str, typer.Argument(metavar="TEXT", help="Guidance; - reads it from stdin.")],
    now: Now = False,
    json: Json = False,
) -> int:
    """Give guidance to a session."""
    from overnight.cli.steering import steer as work

    return work(session_id, guidance, now=now, json=json)


@app.command(rich_help_panel=STEER)
def approve(
    session_id: Id,
    request: Request = None,
    edit: Annotated[bool, typer.Option("--edit", help="Edit the plan first, with $VISUAL or $EDITOR.")] = False,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take the plan from this file, as `overnight plan` prints it.")
    ] = None,
    json: Json = False,
) -> int:
    """Approve what waits for it, from a terminal only."""
    from overnight.cli.approving import approve as work

    return work(session_id, request, edit=edit, file=plan, json=json)


@app.command(rich_help_panel=STEER)
def reject(
    session_id: Id,
    request: Request = None,
    reason: Annotated[
        str, typer.Option(help="Why; it becomes guidance. Asked for if left out.", show_default=False)
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End the session by it, as failed.")] = False,
    json: Json = False,
) -> int:
    """Reject what waits for approval, from a terminal only; the work is kept."""
    from overnight.cli.approving import reject as work

    return work(session_id, request, reason=reason, end=end, json=json)


@app.command(rich_help_panel=STEER)
def cancel(
    session_id: Id,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> int:
    """End a session; its work stays on the branch."""
    from overnight.cli.steering import cancel as work

    return work(session_id, reason=reason, yes=yes, json=json)


@app.command(rich_help_panel=STEER)
def limits(
    session_id: Id,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Most US dollars.")] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Most iterations.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Most minutes of active time.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens, cached ones too.")] = None,
    json: Json = False,
) -> int:
    """Set new limits, from a terminal only; a session that a limit paused goes on."""
    from overnight.cli.steering import limits as work

    given = {"max_cost_usd": max_cost, "max_iterations": max_iterations}
    given |= {"max_time_minutes": max_minutes, "max_tokens": max_tokens}
    return work(session_id, {name: value for name, value in given.items() if value is not None}, json=json)


@app.command(rich_help_panel=STEER)
def rollback(
    session_id: Id,
    iteration: Annotated[int, typer.Argument(min=0, help="Iteration to go back to; 0 is where it began.")],
    json: Json = False,
) -> int:
    """Go back to an iteration's checkpoint, with a new commit; what came after it stays in the branch's history."""
    from overnight.cli.steering import rollback as work

    return work(session_id, iteration, json=json)


app.add_typer(stack_app)
