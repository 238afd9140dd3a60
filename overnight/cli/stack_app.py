"""The commands about an installation. Each body imports what it needs, so that ``--help`` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overnight.cli.mcp import mcp
from overnight.cli.parameters import Json

STACK = "Installation"

stack_app = typer.Typer()


@stack_app.command(rich_help_panel=STACK)
def up(json: Json = False) -> int:
    """Start Temporal and the worker; other commands do it by themselves."""
    from overnight.cli.stack import up as work

    return work(json=json)


@stack_app.command(rich_help_panel=STACK)
def down(json: Json = False) -> int:
    """Stop Temporal and the worker; sessions go on at the next start."""
    from overnight.cli.stack import down as work

    return work(json=json)


@stack_app.command(rich_help_panel=STACK)
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the model's service.")] = False,
    json: Json = False,
) -> int:
    """Examine this installation and say how to mend it (exit code 6 if anything is red)."""
    from overnight.cli.doctor import doctor as work

    return work(offline=offline, json=json)


@stack_app.command(rich_help_panel=STACK)
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


stack_app.add_typer(mcp, name="mcp", rich_help_panel=STACK)
