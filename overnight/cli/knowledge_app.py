"""``overnight knowledge``: its commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from overnight.cli.options import located

knowledge_app = typer.Typer(
    name="knowledge",
    help="What sessions learned: search, mend, share and forget it.",
    no_args_is_help=False,
    invoke_without_command=True,
)

Name = Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning of it.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
Of = Annotated[
    str | None,
    typer.Option(
        "--project",
        metavar="PATH|URL",
        callback=located,
        help="Only what this project may use. (default: all there is)",
    ),
]
For = Annotated[
    str | None,
    typer.Option("--project", metavar="PATH|URL", callback=located, help="The project that it is for."),
]
KindName = Annotated[
    Literal["approach", "error_solution", "template", "memory", "recovery"] | None,
    typer.Option("--kind", help="Only this kind."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Everywhere = Annotated[bool, typer.Option("--everywhere", help="Let every project use it.")]
File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Take it from this TOML file, not from the editor.")
]


@knowledge_app.callback()
def knowledge(context: typer.Context, json: Json = False) -> int:
    """Without a command: how much there is, and how it is searched."""
    if context.invoked_subcommand is not None:
        return 0
    from overnight.cli.knowledge import stats

    raise typer.Exit(stats(json=json))


@knowledge_app.command()
def search(
    query: Annotated[str, typer.Argument(help="A goal in words, or the lines of an error.", show_default=False)],
    project: Of = None,
    kind: KindName = None,
    limit: Annotated[int, typer.Option(min=1, max=25, help="Most entries to show.")] = 10,
    json: Json = False,
) -> int:
    """Find what resembles a goal or an error."""
    from overnight.cli.knowledge import search as work

    return work(query, project=project, kind=kind, limit=limit, json=json)


@knowledge_app.command()
def suggest(
    text: Annotated[
        str, typer.Argument(metavar="GOAL", help="A goal in words; with --error, what was printed.", show_default=False)
    ],
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            metavar="PATH|URL",
            callback=located,
            help="The project that it is for. (default: only what every project may use)",
        ),
    ] = None,
    error: Annotated[bool, typer.Option("--error", help="It is an error: what mended it?")] = False,
    json: Json = False,
) -> int:
    """Suggest how to go about a goal: approach, measured time, pitfalls, and how far to trust it."""
    from overnight.cli.suggesting import solutions, suggestion

    work = solutions if error else suggestion
    return work(text, project=project, json=json)


@knowledge_app.command("list")
def list_(
    project: Of = None,
    kind: KindName = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries to show.")] = 20,
    json: Json = False,
) -> int:
    """List the newest entries."""
    from overnight.cli.knowledge import listing

    return listing(project=project, kind=kind, limit=limit, json=json)


@knowledge_app.command()
def show(name: Name, json: Json = False) -> int:
    """Show all of one entry: its words, where it is from, and how often it helped."""
    from overnight.cli.knowledge import show as work

    return work(name, json=json)


@knowledge_app.command()
def add(
    project: For = None,
    everywhere: Everywhere = False,
    title: Annotated[str | None, typer.Option(help="One line for lists.")] = None,
    cue: Annotated[str | None, typer.Option(help="What it is found by: a goal, or the lines of an error.")] = None,
    advice: Annotated[str | None, typer.Option(help="What to do.")] = None,
    kind: Annotated[
        Literal["approach", "error_solution", "template", "memory"] | None, typer.Option(help="(default: approach)")
    ] = None,
    file: File = None,
    json: Json = False,
) -> int:
    """Add something that sessions should know: by options, from a file, or in $EDITOR."""
    from overnight.cli.knowledge import add as work

    given = {"title": title, "cue": cue, "advice": advice}
    words = {name: value for name, value in given.items() if value is not None}
    if words or kind:
        words["kind"] = kind or "approach"
    return work(words, file=file, project=project, everywhere=everywhere, json=json)


@knowledge_app.command()
def edit(name: Name, file: File = None, json: Json = False) -> int:
    """Change an entry in $VISUAL or $EDITOR, as TOML."""
    from overnight.cli.knowledge import edit as work

    return work(name, file=file, json=json)


@knowledge_app.command()
def forget(name: Name, yes: Yes = False, json: Json = False) -> int:
    """Remove an entry for good; sessions do not bring it back."""
    from overnight.cli.knowledge import forget as work

    return work(name, yes=yes, json=json)


@knowledge_app.command()
def share(name: Name, yes: Yes = False, json: Json = False) -> int:
    """Let every project use what one of them taught; read it first."""
    from overnight.cli.knowledge import share as work

    return work(name, yes=yes, json=json)


@knowledge_app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; stdout if left out, or -.", show_default=False)] = None,
    project: Of = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> int:
    """Write entries as JSON lines."""
    from overnight.cli.knowledge import export as work

    return work(file, project=project, force=force)


@knowledge_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="JSON lines, as export writes them; - reads stdin.")],
    project: Annotated[
        str | None,
        typer.Option(metavar="PATH|URL", callback=located, help="Put all of it to this project, whatever it says."),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Take in what is for every project, too; the rest stays with its own.")
    ] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Take in what was forgotten here, too.")] = False,
    json: Json = False,
) -> int:
    """Take in JSON lines; bad ones are told, the others are kept (exit code 2 if any is bad)."""
    from overnight.cli.knowledge import take_in

    return take_in(file, project=project, everywhere=everywhere, restore=restore, json=json)
