"""The commands and their options. Each body imports what it needs, so that ``--help`` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from overnight.cli.codes import EPILOG

app = typer.Typer(
    name="overnight",
    help="Give Claude Code a goal in the evening, find tested commits in the morning.",
    epilog=EPILOG,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

WORK, LOOK, STEER, STACK = "Work", "Look", "Steer", "Installation"

Id = Annotated[str, typer.Argument(metavar="ID", help="The session's id.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(metavar="[ID]", help="The session's id; the newest one if left out.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
Wait = Annotated[bool, typer.Option("--wait", help="Come back when the session pauses, too (exit code 5).")]
Now = Annotated[bool, typer.Option("--now", help="Interrupt the running turn; its work is kept.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.", show_default=False)]
Egress = Annotated[
    Literal["public", "allow-list", "none", "host"] | None,
    typer.Option(
        help="Network of what runs in the sandbox. public: public addresses, nothing private and nothing of this "
        "machine. allow-list: only what --allow-host names. none: none at all. host: this machine's own network, its "
        "ports included, where the worker allows that. (default: public, or OVERNIGHT_EGRESS)"
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST",
        help="Where the sandbox may go, and nowhere else: pkgs.dev, *.nlibs.dev (what is below it), .example.com "
        "(both), an address or a network, each with :port if need be; may be repeated.",
    ),
]
StatusName = Literal[
    "queued", "running", "paused", "waiting_limit", "waiting_approval", "completed", "failed", "cancelled"
]


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
    threshold: Annotated[
        float | None, typer.Option(help="Share of checks that must pass, above 0 up to 1. (default: 0.95)")
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
    session_id: Annotated[
        str | None, typer.Option("--id", help="Id of the session; the same id again is the same session.")
    ] = None,
    mode: Annotated[Literal["autonomous", "iterative"], typer.Option(help="How it works.")] = "autonomous",
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
        session_id=session_id,
        mode=mode,
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
    json: Json = False,
) -> int:
    """Print the session's last events."""
    from overnight.cli.reading import events as work

    return work(session_id, after, json=json)


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


@app.command(rich_help_panel=STACK)
def up(json: Json = False) -> int:
    """Start Temporal and the worker; other commands do it by themselves."""
    from overnight.cli.stack import up as work

    return work(json=json)


@app.command(rich_help_panel=STACK)
def down(json: Json = False) -> int:
    """Stop Temporal and the worker; sessions go on at the next start."""
    from overnight.cli.stack import down as work

    return work(json=json)


@app.command(rich_help_panel=STACK)
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the model's service.")] = False,
    json: Json = False,
) -> int:
    """Examine this installation and say how to mend it (exit code 6 if anything is red)."""
    from overnight.cli.doctor import doctor as work

    return work(offline=offline, json=json)


@app.command(rich_help_panel=STACK)
def demo(
    home: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Its own home. (default: demo in OVERNIGHT_HOME)")
    ] = None,
    keep: Annotated[
        bool | None, typer.Option("--keep/--stop", help="Leave its stack running. (default: on a terminal only)")
    ] = None,
    json: Json = False,
) -> int:
    """Watch a whole session, offline and without a credential: a scripted model, everything else real."""
    from overnight.cli.demo import demo as work

    return work(home, keep=keep, json=json)
