"""Writing an MCP client's configuration: one entry, everything else as it was, nothing before it was shown."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from overnight.cli.codes import Code
from overnight.cli.trouble import CliError

Scope = Literal["user", "project"]

CLIENTS = ("claude-code", "claude-desktop", "cursor", "vscode")
_MAX_BYTES = 20_000_000
_OURS = ("type", "command", "args", "env", "url", "headers")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True)
class Place:
    """Where a client keeps its servers, and how it writes them."""

    file: Path
    key: str
    """The member that holds the servers."""
    typed: bool
    """Whether an entry on standard input and output says so by a ``type``."""
    reference: str
    """How an environment variable is named in a value."""
    renew: str
    """What makes the client see the change."""


def place(client: str, scope: str | None) -> Place:
    """Where ``client`` keeps the servers of ``scope``. Raises ``CliError``."""
    if client not in CLIENTS:
        near = difflib.get_close_matches(client, CLIENTS, 1)
        meant = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(CLIENTS)}"
        raise CliError(f"no client is called {client[:40]!r}{meant}")
    if scope not in {None, "user", "project"}:
        raise CliError(f"--scope: {scope[:40] if scope else scope!r} is neither user nor project")
    home = Path.home()
    project = scope == "project"
    here = _here() if project else home
    match client:
        case "claude-code":
            folder = Path(os.environ["CLAUDE_CONFIG_DIR"]) if os.environ.get("CLAUDE_CONFIG_DIR") else home
            file = here / ".mcp.json" if project else folder / ".claude.json"
            return Place(file, "mcpServers", True, "${%s}", "Start Claude Code anew, or type /mcp in it.")
        case "cursor":
            file = (here if project else home) / ".cursor" / "mcp.json"
            return Place(file, "mcpServers", False, "${env:%s}", "Cursor asks whether to enable it.")
        case "vscode":
            file = here / ".vscode" / "mcp.json" if project else _programs() / "Code" / "User" / "mcp.json"
            return Place(file, "servers", True, "${env:%s}", "VS Code asks whether to start it.")
    if project:
        raise CliError("--scope: Claude Desktop knows user only")
    file = _programs() / "Claude" / "claude_desktop_config.json"
    return Place(file, "mcpServers", False, "${%s}", "Quit Claude Desktop and open it again.")


def entry(client: str, where: Place, *, url: str | None, token_env: str | None) -> dict[str, Any]:
    """What goes into the file. Raises ``CliError``."""
    if token_env is not None and url is None:
        raise CliError("--token-env: it goes with --http")
    if url is None:
        program = _program()
        kept = {"OVERNIGHT_HOME": _whole(os.environ["OVERNIGHT_HOME"])} if os.environ.get("OVERNIGHT_HOME") else {}
        found: dict[str, Any] = {"type": "stdio"} if where.typed else {}
        return {**found, "command": program[0], "args": program[1:], **({"env": kept} if kept else {})}
    _check_url(url)
    if client == "claude-desktop":
        raise CliError(
            "--http: Claude Desktop's file takes no servers over HTTP; add this one in Claude Desktop under Settings,"
            " Connectors, or leave --http out"
        )
    found = {"type": "http"} if where.typed else {}
    found["url"] = url
    if token_env is not None:
        if not _VARIABLE.fullmatch(token_env):
            raise CliError(
                "--token-env: it takes the name of an environment variable, such as OVERNIGHT_TOKEN; the token itself"
                " never goes into the file"
            )
        found["headers"] = {"Authorization": f"Bearer {where.reference % token_env}"}
    return found


def changed(text: str | None, where: Place, name: str, added: Mapping[str, Any]) -> str:
    """The file's text with the entry in it. Raises ``CliError`` for one that cannot be changed without harm."""
    if text is None or not text.strip():
        return json.dumps({where.key: {name: added}}, indent=2, ensure_ascii=False) + "\n"
    content = _parsed(text, where.file, name, added)
    servers = content.setdefault(where.key, {})
    if not isinstance(servers, dict):
        raise CliError(f"{where.file}: {where.key} is not an object there; mend that first. Nothing was changed")
    servers[name] = _over(servers.get(name), added)
    # As it was written: some programs keep these files on one line, some with tabs.
    indent = _indent(text)
    return json.dumps(content, indent=indent, ensure_ascii=False, separators=None if indent else (",", ":")) + (
        "\n" if text.endswith("\n") else ""
    )


def _over(known: object, added: Mapping[str, Any]) -> dict[str, Any]:
    """The entry, with what somebody set beside what we write: time-outs, permissions, variables."""
    if not isinstance(known, dict):
        return dict(added)
    kept = {member: value for member, value in known.items() if member not in _OURS}
    if "command" in added and isinstance(known.get("env"), dict):
        kept["env"] = known["env"] | added.get("env", {})
    return {**added, **kept}


def install(
    client: str,
    *,
    scope: str | None,
    url: str | None,
    token_env: str | None,
    name: str,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> Code:
    """Show the change, ask, and write it. Raises ``CliError``; then nothing was changed."""
    from overnight.cli.output import as_json, note, say

    if not _NAME.fullmatch(name):
        raise CliError("--name: up to 32 letters, digits, _ and -")
    where = place(client, scope)
    added = entry(client, where, url=url, token_env=token_env)
    target = _target(where.file, _here() if scope == "project" else None)
    before = _read(target)
    after = changed(before, where, name, added)
    if before is not None and _same(before, after):
        if json:
            as_json({"file": str(target), "changed": False, "entry": added})
        else:
            say(f"{target} has it already: nothing to change.")
        return Code.OK
    if not json:
        for line in difference(before, after, target):
            say(line)
    if not dry_run:
        if not yes:
            _ask(target)
        _write(target, before, after)
    if json:
        as_json({"file": str(target), "changed": not dry_run, "entry": added})
    elif dry_run:
        note("Nothing was written.")
    else:
        note(f"{target} is written. {where.renew}")
        if token_env is not None and not os.environ.get(token_env):
            note(f"note: {token_env} is not set in this shell; the client needs it in its environment")
    return Code.OK


def difference(before: str | None, after: str, target: Path) -> list[str]:
    """The change, line by line; of a file on one line, its members."""
    was = [] if before is None else _lines(before)
    old = str(target) if before is not None else "/dev/null"
    from overnight.base.redaction import Redactor

    # What stands around the entry may be somebody's key.
    safe = Redactor()
    return [safe.text(line) for line in difflib.unified_diff(was, _lines(after), old, str(target), lineterm="", n=2)]


def _lines(text: str) -> list[str]:
    if text.count("\n") > 1 or not text.strip():
        return text.splitlines()
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise CliError("the folder that this shell is in is not there any more; go to another one") from None


def _whole(home: str) -> str:
    """The home for a program that is started in another folder than this."""
    path = Path(home).expanduser()
    return str(path if path.is_absolute() else _here() / path)


def _programs() -> Path:
    """Where this system's programs keep their settings."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _program() -> list[str]:
    """How a client starts the server: in full, since it may have another PATH than a shell."""
    beside = Path(sys.executable).parent / "overnight"
    found = str(beside) if beside.is_file() and os.access(beside, os.X_OK) else shutil.which("overnight")
    return [found, "mcp"] if found else [sys.executable, "-m", "overnight.cli", "mcp"]


def _check_url(url: str) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        right = False
    if not right or any(c.isspace() or not c.isprintable() for c in url):
        raise CliError("--http: it takes the URL of a server, such as http://127.0.0.1:8808/mcp")
    if parts.username is not None or parts.password is not None:
        raise CliError("--http: no user or password in it; a token is named by --token-env")


def _target(file: Path, within: Path | None) -> Path:
    """The file itself: a symbolic link stays one, and what it leads to is changed. Raises ``CliError``.

    In a project, links come with the repository: only those that stay ``within`` it are followed.
    """
    try:
        found = file.resolve(strict=False)
        inside = within is None or found.is_relative_to(within.resolve())
    except (OSError, RuntimeError) as error:
        raise CliError(f"{file} leads nowhere: {error}. Nothing was changed") from None
    if not inside:
        raise CliError(
            f"{file} leads out of this folder, to {found}, by a symbolic link; remove the link, or take --scope user."
            " Nothing was changed"
        )
    return found


def _read(file: Path) -> str | None:
    try:
        if file.exists() and not file.is_file():
            raise CliError(f"{file} is not a file. Nothing was changed")
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}. Nothing was changed") from None
    if len(data) > _MAX_BYTES:
        raise CliError(f"{file} is larger than {_MAX_BYTES // 1_000_000} MB. Nothing was changed")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise CliError(f"{file} is not UTF-8 text. Nothing was changed") from None


def _parsed(text: str, file: Path, name: str, added: Mapping[str, Any]) -> dict[str, Any]:
    by_hand = f"; add this by hand: {json.dumps({name: dict(added)}, ensure_ascii=False)}"
    try:
        content = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_unique, parse_constant=_no_number)
    except _TwiceError as error:
        raise CliError(f"{file} has {error} twice in one object, and one would be lost{by_hand}") from None
    except RecursionError:
        raise CliError(f"{file} is nested too deeply to be changed{by_hand}") from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        if re.search(r"(^|[\s,{\[])(//|/\*)", text) or re.search(r",\s*[}\]]", text):
            raise CliError(
                f"{file} has comments, or commas at an end, that writing it anew would lose{where}. Nothing was"
                f" changed{by_hand}"
            ) from None
        raise CliError(f"{file} is not valid JSON{where}; mend it first. Nothing was changed") from None
    if any(0xD800 <= ord(c) <= 0xDFFF for c in json.dumps(content, ensure_ascii=False)):
        raise CliError(
            f"{file} has half a character in it (an escape from \\ud800 to \\udfff without its other half), which"
            f" cannot be written anew; mend it first. Nothing was changed{by_hand}"
        )
    if not isinstance(content, dict):
        raise CliError(f"{file} does not hold an object; mend it first. Nothing was changed")
    return content


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, and no other program could read the file


class _TwiceError(ValueError):
    """A member that is there twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(repr(key[:80]))
        found[key] = value
    return found


def _indent(text: str) -> int | str | None:
    found = re.search(r"\n([ \t]+)\S", text)
    if found is None:
        return 2 if text.count("\n") > 1 else None
    return found[1]


def _same(before: str, after: str) -> bool:
    return before.strip() != "" and bool(json.loads(before.removeprefix("\ufeff")) == json.loads(after))


def _ask(target: Path) -> None:
    """Raises ``CliError`` where nobody can be asked, ``Abort`` when the answer is no."""
    import typer

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CliError("nobody can be asked here; --yes writes it, --dry-run only shows it. Nothing was changed")
    typer.confirm(f"Write this to {target}?", abort=True)


def _write(target: Path, before: str | None, after: str) -> None:
    data = after.encode("utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if before is not None else 0o600
        if _read(target) != before:
            raise CliError(f"{target} was changed by somebody else meanwhile. Nothing was changed; try again")
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            fresh.chmod(mode)
            fresh.replace(target)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CliError(f"{target} cannot be written: {error.strerror}. Nothing was changed") from None
