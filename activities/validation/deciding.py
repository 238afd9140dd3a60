"""Files of which only a part decides checks: that part, so that the rest may change."""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import PurePosixPath

from activities.validation import builds, origins
from activities.validation.builds import Part, table
from activities.validation.commands import Runs
from activities.validation.conventions import RUNNER_PROGRAMS
from activities.validation.lines import kind_of, lines_of, of_pom, speaks_of_tests
from activities.validation.standing_in import is_list_of_requirements

_JS_SECTIONS = ("jest", "mocha", "ava", "vitest", "nyc", "c8", "tap", "jasmine")
_INSTALLING = ("preinstall", "install", "postinstall")
_TEST_SECTIONS = ("pytest", "tool:pytest", "testenv", "tox", "coverage")
_NPMRC = frozenset(
    {"script-shell", "shell", "node-options", "prefix", "if-present", "ignore-scripts", "onload-script", "userconfig"}
    | {"globalconfig", "workspace", "workspaces", "include-workspace-root"}
)
_SCRIPT = "script "
_PLUGINS = "pytest11"
_INSTALLED = (origins.ORIGIN, "scripts.")
_PLUGINS_IN_SETUP = re.compile(
    r"pytest11[\"']?\]?\s*[:=]\s*(\[[^\]]*\]|[\"'][^\"']*[\"'])|^\s*\[pytest11\]\s*\n([^\[\"']*)", re.MULTILINE
)
_PROGRAM = re.compile(
    r"(?:build|settings)\.gradle(?:\.kts)?|vite\.config\.\w+|babel\.config\.\w+|\.babelrc(?:\.\w+)?|\.swcrc"
)
"""Builds that are programs, and what prepares the code and the tests alike."""
_CARGO = ("alias", "target", "build", "env")

_Reader = Callable[[str, Runs], Part]


def has_part(path: str) -> bool:
    """Whether only a part of this file decides checks."""
    return _reader(path) is not None


def steers(path: str) -> str:
    """The language of the tests that this file steers; empty for any."""
    return _STEERED.get(PurePosixPath(path).name, "python" if is_list_of_requirements(path) else "")


def loads_plugins(text: str) -> bool:
    """Whether such metadata, or what it is made of, has pytest load something."""
    return _PLUGINS in text


def in_doubt(path: str) -> bool:
    """Whether nobody can tell what of this file decides checks: a change is for a person to see."""
    return _PROGRAM.fullmatch(PurePosixPath(path).name) is not None


def says_other(path: str, before: bytes | None, after: bytes | None) -> bool:
    """Whether such a file (``in_doubt``) may say something else of how tests run than before."""
    was, now = ((raw or b"").decode("utf-8", "replace") for raw in (before, after))
    return speaks_of_tests(was) != speaks_of_tests(now) if ".gradle" in path else was != now


def deciding(path: str, raw: bytes | None, runs: Runs) -> Part | None:
    """The part of the file that decides checks; None when it cannot be read. Nothing of a missing file decides."""
    reader = _reader(path)
    if raw is None or reader is None:
        return {}
    try:
        return reader(raw.decode("utf-8"), runs)
    except (ValueError, RecursionError, configparser.Error):
        return None


def differing(
    path: str, before: bytes | None, after: bytes | None, runs: Runs, *, has_tests: bool, anywhere: bool = False
) -> str | None:
    """What of the deciding part is not as it was, by its name; None when all of it is.

    A part that was not there may be added as long as there were no tests (``has_tests``) that it could steer; a script
    that did not exist may be, too. What would be installed steers tests wherever they are (``anywhere``).
    """
    was, now = deciding(path, before, runs), deciding(path, after, runs)
    if was is None:
        return None if before == after else "all of it"
    if now is None:
        return "all of it"
    for name in sorted({*was, *now}):
        steers_some = has_tests or (anywhere and (_PLUGINS in name or name.startswith(_INSTALLED)))
        if was.get(name) != now.get(name) and (name in was or (steers_some and not name.startswith(_SCRIPT))):
            return name
    return None


def _reader(path: str) -> _Reader | None:
    where = PurePosixPath(path)
    if (kind := kind_of(path)) is not None:
        return lambda text, _: lines_of(kind, text)
    if where.name not in _READERS and is_list_of_requirements(path):
        return lambda text, _: origins.of_requirements(text)
    if where.parts[-2:-1] == (".cargo",) and where.name in ("config", "config.toml"):
        return _cargo
    return _READERS.get(where.name)


def _package_json(text: str, runs: Runs) -> Part:
    package = json.loads(text)
    if not isinstance(package, dict):
        raise ValueError("no object")
    given = package.get("scripts")
    scripts = given if isinstance(given, dict) else {}
    hooks = {*_INSTALLING}
    part: Part = {}
    for name in runs.package_scripts(scripts):
        if name in scripts:
            part[_SCRIPT + name] = scripts[name]
            hooks |= {f"pre{name}", f"post{name}"}
    part |= {f"hook {name}": scripts[name] for name in hooks if name in scripts}
    part |= origins.of_package_json(package)
    return part | {name: package[name] for name in _JS_SECTIONS if name in package}


def _pyproject(text: str, runs: Runs) -> Part:
    read = tomllib.loads(text)
    tools, project = table(read, "tool"), table(read, "project")
    decides = {"pytest", "coverage", "tox", "nox", *(name for name in tools if runs.names(name))}
    part: Part = {f"tool.{name}": value for name, value in tools.items() if name in decides}
    plugins = {
        "project.entry-points": table(project, "entry-points").get(_PLUGINS),
        "tool.poetry.plugins": table(table(tools, "poetry"), "plugins").get(_PLUGINS),
    }
    part |= {f"{where}.{_PLUGINS}": value for where, value in plugins.items() if value is not None}
    part |= origins.of_tables(read)
    # A project that is installed may bring a program of a runner's name.
    scripts = {**table(table(tools, "poetry"), "scripts"), **table(project, "scripts")}
    return part | {f"scripts.{name}": value for name, value in scripts.items() if name in RUNNER_PROGRAMS}


def _sections(text: str, runs: Runs) -> Part:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read_string(text)
    part: Part = {
        f"[{name}]": dict(parser.items(name))
        for name in parser.sections()
        if name.startswith(_TEST_SECTIONS) or runs.names(name.partition(":")[0].partition("-")[0])
    }
    points = dict(parser.items("options.entry_points")) if parser.has_section("options.entry_points") else {}
    part |= {_PLUGINS: points[_PLUGINS]} if _PLUGINS in points else {}
    installed = (line.partition("=") for line in (points.get("console_scripts") or "").splitlines())
    return part | {f"scripts.{n.strip()}": v.strip() for n, _, v in installed if n.strip() in RUNNER_PROGRAMS}


def _entry_points(text: str, _: Runs) -> Part:
    """What an installed package, or what looks like one, has pytest load."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
    parser.read_string(text)
    return {_PLUGINS: dict(parser.items(_PLUGINS))} if parser.has_section(_PLUGINS) else {}


def _setup_py(text: str, _: Runs) -> Part:
    # It is a program: of what it may come to, only that it speaks of plugins is seen.
    found = _PLUGINS_IN_SETUP.findall(text)
    return {_PLUGINS: found or [""]} if _PLUGINS in text else {}


def _npmrc(text: str, _: Runs) -> Part:
    part: Part = {}
    for line in text.splitlines():
        key, _sign, value = line.partition("=")
        name = _npm_key(key)
        # What the environment puts into a name is known to nobody here.
        if name in _NPMRC or "${" in name:
            part[name] = [*part.get(name, []), value.strip()]
    return part


def _npm_key(key: str) -> str:
    """The name of a setting as npm takes it: without quotes, escapes, and the brackets of a list."""
    key = key.strip()
    if key[:1] == key[-1:] == '"' and len(key) > 1:
        with contextlib.suppress(ValueError):
            key = str(json.loads(key))
    elif key[:1] == key[-1:] == "'" and len(key) > 1:
        key = key[1:-1]
    return key.replace("\\", "").strip().removesuffix("[]").strip()


def _cargo(text: str, _: Runs) -> Part:
    return {name: value for name, value in tomllib.loads(text).items() if name in _CARGO}


_READERS: dict[str, _Reader] = {
    "package.json": _package_json,
    "pyproject.toml": _pyproject,
    "Pipfile": lambda text, _: origins.of_tables(tomllib.loads(text)),
    "setup.cfg": _sections,
    "tox.ini": _sections,
    "hatch.toml": builds.hatch,
    "setup.py": _setup_py,
    "entry_points.txt": _entry_points,
    ".npmrc": _npmrc,
    "bunfig.toml": builds.bun,
    "deno.json": builds.deno,
    "deno.jsonc": builds.deno,
    "composer.json": builds.composer,
    "Cargo.toml": builds.cargo,
    "rust-toolchain": builds.toolchain,
    "rust-toolchain.toml": builds.toolchain,
    "pom.xml": lambda text, _: of_pom(text),
    "go.mod": lambda text, _: origins.of_go(text),
    "go.work": lambda text, _: origins.of_go(text),
    "Gemfile": lambda text, _: origins.of_gems(text),
}
_STEERED = {
    **dict.fromkeys(("package.json", ".npmrc", ".yarnrc", ".yarnrc.yml", "bunfig.toml"), "javascript"),
    **dict.fromkeys(
        ("pyproject.toml", "Pipfile", "setup.cfg", "tox.ini", "hatch.toml", "setup.py", "entry_points.txt"), "python"
    ),
}
