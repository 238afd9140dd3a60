"""``overnight mcp``: the MCP server on standard input and output or over HTTP, its tokens, and setting clients up."""

from __future__ import annotations

from typing import Annotated

import typer

from overnight import STARTED_BY
from overnight.cli.codes import Code

Json = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]

mcp = typer.Typer(help="Serve MCP clients such as Claude Code.", invoke_without_command=True, no_args_is_help=False)
token = typer.Typer(help="Tokens for callers over HTTP.", no_args_is_help=True)
mcp.add_typer(token, name="token")


@mcp.callback()
def serve(
    context: typer.Context,
    http: Annotated[
        bool, typer.Option("--http", help="Over streamable HTTP, instead of standard input and output.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on, with --http; beyond this machine only with tokens. (default: 127.0.0.1)"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="TCP port, with --http; 0 takes a free one. (default: 8808)", min=0, max=65_535),
    ] = None,
) -> None:
    """Serve MCP clients such as Claude Code: the one that starts this, or with --http any number of them."""
    if context.invoked_subcommand is not None:
        if http or host is not None or port is not None:
            raise typer.BadParameter("they serve, and go with no subcommand", param_hint="--http, --host, --port")
        return
    if host == "":
        raise typer.BadParameter("is empty; leave it out to listen on 127.0.0.1", param_hint="--host")
    from overnight.cli.settings import load

    settings = load()
    import mcp_server

    if not http:
        if host is not None or port is not None:
            raise typer.BadParameter("they go with --http", param_hint="--host, --port")
        mcp_server.stdio(settings, STARTED_BY)
    import asyncio

    from overnight.cli.output import note
    from overnight.mcp import http as over_http
    from overnight.mcp.engine import Engine

    listener, address = over_http.listen(settings, host or "127.0.0.1", over_http.PORT if port is None else port)
    for text in over_http.warnings(settings, address):
        note(f"note: {text}")
    mcp_server.with_logs(settings)
    server = mcp_server.build(Engine(settings), over_http.request_state(settings))
    asyncio.run(over_http.serve(server, settings, listener, address))


@mcp.command()
def install(
    client: Annotated[
        str, typer.Argument(metavar="CLIENT", help="claude-code, claude-desktop, cursor or vscode.", show_default=False)
    ],
    scope: Annotated[
        str | None,
        typer.Option(
            help="For which work: user (all of yours) or project (this folder, for all who work in it). (default: user)"
        ),
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that runs already, such as http://127.0.0.1:8808/mcp.")
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Environment variable that holds the token, with --http; the file names it only."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What the client calls the server.")] = "overnight",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the change only.")] = False,
    json: Json = False,
) -> int:
    """Write a client's configuration: shows the change first, and keeps everything else in the file."""
    from overnight.cli.mcp_install import install as work

    return work(client, scope=scope, url=http, token_env=token_env, name=name, yes=yes, dry_run=dry_run, json=json)


@token.command("add")
def add(
    owner: Annotated[str, typer.Argument(help="Whose it is, such as ada: sessions are seen by their owner alone.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPES",
            help="read: look. control: start, steer, pause, cancel. approve: answer approvals. Between commas, or "
            "repeated. (default: read)",
        ),
    ] = None,
    days: Annotated[float | None, typer.Option(help="How long it holds. (default: until revoked)")] = None,
    text: Annotated[str, typer.Option("--note", help="For the list.", show_default=False)] = "",
    json: Json = False,
) -> int:
    """Make a token. It is shown once, on standard output, and cannot be had again."""
    from overnight.cli.output import as_json, note, say
    from overnight.cli.settings import load
    from overnight.mcp.tokens import Registry, parse_scopes, setting_of

    made, plain = Registry(load()).add(owner, parse_scopes(scope or ["read"]), days=days, note=text)
    if json:
        as_json({"token": plain, **made.model_dump(mode="json"), "setting": setting_of(made)})
        return Code.OK
    say(plain)
    until = f", until {made.expires:%Y-%m-%d %H:%M} UTC" if made.expires else ""
    note(f"Token {made.id} of {owner}: {', '.join(made.scopes)}{until}. Keep it: it is not shown again.")
    note(f"Callers send it as `Authorization: Bearer ...`. To take it away: overnight mcp token revoke {made.id}")
    return Code.OK


@token.command("list")
def show(json: Json = False) -> int:
    """Tokens, without what opens: only hashes are kept."""
    from datetime import UTC, datetime

    from overnight.cli.output import as_json, say
    from overnight.cli.settings import load
    from overnight.mcp.tokens import Registry

    now = datetime.now(UTC)
    tokens = Registry(load()).tokens()
    if json:
        as_json([{**t.model_dump(mode="json", exclude={"sha256"}), "expired": t.expired(now)} for t in tokens])
        return Code.OK
    if not tokens:
        say("There are no tokens. To make one: overnight mcp token add NAME --scope read,control")
    for one in tokens:
        until = f"{'expired' if one.expired(now) else 'until'} {one.expires:%Y-%m-%d}" if one.expires else ""
        made = f"{one.created:%Y-%m-%d}" if one.created else "setting"
        say(f"{one.id:<12} {one.owner:<20} {','.join(one.scopes):<22} {made:<11}{until:<18}{one.note}".rstrip())
    return Code.OK


@token.command("revoke")
def revoke(
    id_or_owner: Annotated[str, typer.Argument(metavar="ID|OWNER", help="A token, or an owner: all of theirs.")],
    json: Json = False,
) -> int:
    """Take a token away; servers that run refuse it with their next request."""
    from overnight.cli.output import as_json, say
    from overnight.cli.settings import load
    from overnight.mcp.tokens import Registry

    gone = Registry(load()).revoke(id_or_owner)
    if json:
        as_json({"revoked": [one.id for one in gone]})
        return Code.OK
    for one in gone:
        say(f"{one.id} of {one.owner} opens nothing any more.")
    return Code.OK
