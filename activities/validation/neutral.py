"""Held-out checks run by the settings of the base: what of the agent's could steer them, and what is there instead."""

from __future__ import annotations

import configparser
import io
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from activities.validation.commands import Runs
from activities.validation.conventions import METADATA, RUNNER_MODULES, WHOLE_SETTINGS, is_test, shadowed_module
from activities.validation.deciding import differing, has_part
from activities.validation.guard import Rules
from activities.validation.held_out import steers_runner
from activities.workspace import TreeChange, TreeEntry
from workflows.contracts.tamper import Guard

Reads = Callable[[str], bytes | None]
"""Content by path; None for what is not there, or no ordinary file."""

_LINK = "120000"
_OF_PROGRAMS = frozenset({"console_scripts", "gui_scripts"})
_PYTEST = "tool.pytest"
_MAX_TABLES = 20
_HARMLESS = frozenset({"pythonpath", "testpaths", "markers", "minversion", "asyncio_mode"})
"""Settings of pytest that say where code is, and let no test pass or stay out of a run that names its folder."""
_MARKERS = ("test_it.py", "it.test.js", "it_test.go", "it_spec.rb", "ItTest.php")


class Neutral:
    """What decides about held-out checks, as if they had been in the base with all that they are."""

    def __init__(self, base: Mapping[str, TreeEntry], commit: str, command: str, target: str) -> None:
        """``commit`` is the base's; ``command`` runs the checks, which lie in the folder ``target``."""
        self._base, self._target = base, target.strip("/")
        self._has_own = any(path.startswith(f"{self._target}/") for path in base)
        self._runs = Runs.of([command])
        # A base without tests protects nothing of theirs: with these it is one in which they always were.
        there = dict(base) | {f"{self._target}/{name}": TreeEntry("100644", "") for name in _MARKERS}
        self._rules = Rules(Guard(base=commit, commands=[command]), there)

    def reads(self, change: TreeChange) -> bool:
        """Whether the contents of this change matter."""
        return self._rules.reads(change) or _is_setting(change.path)

    def differs(
        self, changes: Iterable[TreeChange], blobs: Mapping[str, bytes], loose: Iterable[tuple[str, bool]], read: Reads
    ) -> dict[str, bytes | None]:
        """Paths of a checkout, each with what is to be there instead while the checks run; None: nothing.

        ``loose`` are its files that are in no commit: path, and whether it is a link.
        """
        changes = [change for change in changes if not self._below_target(change.path)]
        instead: dict[str, bytes | None] = {}
        for path, _ in self._rules.found(changes, blobs):
            if _is_setting(path) or has_part(path) or (path not in self._base and not _may_be_work(path)):
                instead[path] = None
        for change in changes:
            if self._decides(change, read):
                instead[change.path] = None
        loose = [one for one in loose if not self._below_target(one[0])]
        instead |= {path: None for path, _ in self._rules.shadows(loose) if not _may_be_work(path)}
        instead |= {path: None for path, is_link in loose if self._steers(path, read, is_link=is_link)}
        for change in changes:
            if change.path in instead and (entry := change.before) is not None and entry.mode != _LINK:
                instead[change.path] = blobs.get(entry.blob)
            if change.path in instead and has_part(change.path):
                after = None if change.after is None or change.after.mode == _LINK else read(change.path)
                instead[change.path] = with_part_of(change.path, instead[change.path], after, self._runs)
        return instead

    def _below_target(self, path: str) -> bool:
        """The folder of the checks is replaced as a whole, unless the base has one."""
        return path.startswith(f"{self._target}/") and not self._has_own

    def _decides(self, change: TreeChange, read: Reads) -> bool:
        path = change.path
        if change.before is not None:
            return _is_setting(path) and (self._above(path) or not is_test(path))
        return self._steers(path, read, is_link=change.after is not None and change.after.mode == _LINK)

    def _steers(self, path: str, read: Reads, *, is_link: bool) -> bool:
        """Whether a file that the base does not have would have a runner do something else."""
        where = PurePosixPath(path)
        if where.name == "conftest.py":
            return self._above(path) or is_link or steers_runner(read(path) or b"")
        if is_link and METADATA.fullmatch(where.name):
            return True
        if where.name.lower() == "entry_points.txt" and any(METADATA.fullmatch(part) for part in where.parts[:-1]):
            return is_link or _loads(read(path) or b"")
        return False

    def _above(self, path: str) -> bool:
        """Whether the file's folder holds that of the checks, is it, or lies in it."""
        folder = path.rpartition("/")[0]
        here, there = f"{folder}/" if folder else "", f"{self._target}/"
        return there.startswith(here) or here.startswith(there)


def _may_be_work(path: str) -> bool:
    """Whether it takes the place of a module of the standard library: what did so in a base with tests is gone."""
    folders = ("" if str(parent) == "." else str(parent) for parent in PurePosixPath(path).parents)
    modules = {shadowed_module(path, folder, is_link=False) for folder in folders} - {None}
    return bool(modules) and not modules & RUNNER_MODULES


def _is_setting(path: str) -> bool:
    name = PurePosixPath(path).name
    return any(pattern.fullmatch(name) for pattern, _, tool in WHOLE_SETTINGS if not tool)


def _loads(raw: bytes) -> bool:
    """Whether such entry points are of more than programs."""
    sections = re.findall(r"^\s*\[([^\]]*)\]", raw.decode("utf-8", "replace"), re.MULTILINE)
    return any(name.strip() not in _OF_PROGRAMS for name in sections)


def with_part_of(path: str, before: bytes | None, after: bytes | None, runs: Runs) -> bytes | None:
    """The file ``after`` the work with the deciding part as it was ``before``; where that cannot be, what it was."""
    name = PurePosixPath(path).name
    merge = _package_json if name == "package.json" else _pyproject if name == "pyproject.toml" else _sections
    if after is None or (merge is _sections and name not in ("setup.cfg", "tox.ini")):
        return before
    try:
        merged = merge((before or b"").decode(), after.decode(), runs).encode()
        compared = _compared(before or b"", merged) if merge is _pyproject else merged
        return merged if differing(path, before, compared, runs, has_tests=True) is None else before
    except (ValueError, TypeError, AttributeError, RecursionError, configparser.Error):
        return before


def _package_json(before: str, after: str, runs: Runs) -> str:
    was, now = json.loads(before or "{}"), json.loads(after)
    # Name by name, as long as one is told that differs: there are no more than it has.
    for _ in range(len(now) + len(now.get("scripts", {})) + len(was) + len(was.get("scripts", {}))):
        text = json.dumps(now)
        name = differing("package.json", json.dumps(was).encode(), text.encode(), runs, has_tests=True)
        if name is None:
            break
        kind, _, script = name.partition(" ")
        place, key, old = (now, name, was)
        if kind in ("script", "hook") and script:
            place, key, old = now.setdefault("scripts", {}), script, was.get("scripts", {})
        if key in old:
            place[key] = old[key]
        else:
            place.pop(key, None)
    return json.dumps(now, indent=2)


def _pyproject(before: str, after: str, runs: Runs) -> str:
    text, name = after, ""
    for _ in range(_MAX_TABLES):
        was = before.encode() if before else None
        if not (name := differing("pyproject.toml", was, text.encode(), runs, has_tests=True) or ""):
            break
        table = _table(name)
        text = "\n\n".join([table.sub("", text).rstrip("\n"), *(found.group(0) for found in table.finditer(before))])
    return text if _table(_PYTEST).search(before) else f"{text}\n\n{_harmless(after)}"


def _compared(before: bytes, merged: bytes) -> bytes:
    """The file without settings of pytest that may stay, where the base had none."""
    table = _table(_PYTEST)
    return merged if table.search(before.decode()) else table.sub("", merged.decode()).encode()


def _table(name: str) -> re.Pattern[str]:
    """Tables of TOML by their dotted name, and those below it, each with what is in it."""
    parts = r"[ \t]*\.[ \t]*".join(rf"[\"']?{re.escape(part)}[\"']?" for part in name.split("."))
    return re.compile(rf"^[ \t]*\[+[ \t]*{parts}[ \t]*[\].].*(?:\n(?![ \t]*\[).*)*\n?", re.MULTILINE)


def _harmless(text: str) -> str:
    options = tomllib.loads(text).get("tool", {}).get("pytest", {}).get("ini_options", {})
    given = {name: value for name, value in options.items() if name in _HARMLESS and _is_plain(value)}
    # What JSON writes for texts and lists of texts, TOML reads as the same.
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items())
    return f"[tool.pytest.ini_options]\n{lines}" if lines else ""


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _sections(before: str, after: str, runs: Runs) -> str:
    parsers = [configparser.RawConfigParser(strict=False, allow_no_value=True) for _ in range(2)]
    was, now = parsers
    was.read_string(before)
    now.read_string(after)
    for name in {*was.sections(), *now.sections()}:
        same = was.has_section(name) == now.has_section(name) and dict(was[name]) == dict(now[name])
        if same or differing("setup.cfg", _text(was, name), _text(now, name), runs, has_tests=True) is None:
            continue
        now.remove_section(name)
        if was.has_section(name):
            now.read_dict({name: dict(was[name])})
    return _whole(now)


def _text(parser: configparser.RawConfigParser, section: str) -> bytes | None:
    if not parser.has_section(section):
        return None
    alone = configparser.RawConfigParser(strict=False, allow_no_value=True)
    alone.read_dict({section: dict(parser[section])})
    return _whole(alone).encode()


def _whole(parser: configparser.RawConfigParser) -> str:
    written = io.StringIO()
    parser.write(written)
    return written.getvalue()
