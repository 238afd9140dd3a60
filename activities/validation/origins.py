"""Where what runs the checks is installed from: told apart where a project names another place than the index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from activities.validation.conventions import JS_RUNNERS, RUNNER_MODULES, RUNNER_PROGRAMS

ORIGIN = "origin of "
"""How the name of such a part begins."""
_JS_TABLES = ("dependencies", "devDependencies", "optionalDependencies", "overrides", "resolutions", "pnpm")
_PLACES = frozenset({"path", "git", "url", "file", "workspace", "editable", "develop", "index"})
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*@")
_ELSEWHERE = re.compile(r"\s*(?:-i|-f|--(?:extra-)?index[-_]url|--find-links)\b")
# An agent writes what these read: each looks at a line once, however long it is.
_GO_LIBRARY = re.compile(r"testify|gomega|ginkgo|gotest\.tools|go-cmp|quicktest|goconvey|gomock|assert")
_GEM = re.compile(
    r"\bgem[\s(]{1,9}[\"']((?:rspec|minitest|test-unit|cucumber|rake|capybara|mocha|webmock)[\w-]{0,99})[\"']"
)
_GEM_PLACE = re.compile(r"\b(?:path|git|github|gist|source)\b.*")
_MAX_NESTING = 12


def of_package_json(package: Mapping[str, Any]) -> dict[str, Any]:
    """Of a `package.json`: runners that come from elsewhere, and the package itself where it is called like one."""
    found = {f"{ORIGIN}{name}": value for key in _JS_TABLES for name, value in _js(package.get(key), key)}
    programs = package.get("bin")
    own = {str(package.get("name", "")): "the project", **(programs if isinstance(programs, dict) else {})}
    return found | {f"{ORIGIN}{name}": value for name, value in own.items() if _is_js_runner(name)}


def _js(table: object, name: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(table, dict) and depth < _MAX_NESTING:
        for key, value in table.items():
            yield from _js(value, name if key == "." else re.split(r"[>]|\*\*/", key)[-1], depth + 1)
    elif isinstance(table, str) and _is_js_runner(name) and re.search(r"[:/]", table.removeprefix("catalog:")):
        yield name, table


def _is_js_runner(name: str) -> bool:
    return re.split(r"(?<=.)@|/", name)[0] in JS_RUNNERS


def of_tables(read: Mapping[str, Any]) -> dict[str, Any]:
    """Of a `pyproject.toml` or a `Pipfile`: the same."""
    project = read.get("project")
    own = str(project.get("name", "")) if isinstance(project, dict) else ""
    named = {f"{ORIGIN}{own}": "the project"} if _is_runner(own) else {}
    return named | {f"{ORIGIN}{name}": value for name, value in _tables(read, "")}


def _tables(value: object, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth >= _MAX_NESTING:
        return
    if isinstance(value, dict):
        if _is_runner(name) and _PLACES & value.keys():
            yield name, value
        for key, inner in value.items():
            yield from _tables(inner, key, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _tables(inner, name, depth + 1)
    elif isinstance(value, str) and (named := _REQUIREMENT.match(value)) and _is_runner(named[1]):
        yield named[1], value


def of_requirements(text: str) -> dict[str, Any]:
    """Of a list of requirements: the same, and where else than in the index packages are looked for."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        said = line.partition(" #")[0].strip()
        named = _REQUIREMENT.match(said)
        # A file or folder is called like what is in it, up to its version.
        file = PurePosixPath(said.split()[-1]).name if "/" in said or said.endswith(".whl") else ""
        if _ELSEWHERE.match(said) or (named and _is_runner(named[1])) or _is_runner(re.split(r"-\d", file)[0]):
            found[f"{ORIGIN}{said}"] = ""
    return found


def of_go(text: str) -> dict[str, Any]:
    """Of a `go.mod` or `go.work`: libraries of tests that stand in a folder."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        said, arrow, place = line.partition("=>")
        words = said.split()
        name = next((word for word in words if word != "replace"), "")
        if arrow and _GO_LIBRARY.search(name):
            found[f"{ORIGIN}{name}"] = place.strip()
    return found


def of_gems(text: str) -> dict[str, Any]:
    """Of a `Gemfile`: libraries of tests that are no gems of the index."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        gems = list(_GEM.finditer(line.partition("#")[0]))
        if gems and (place := _GEM_PLACE.search(line, gems[0].end())):
            found |= {f"{ORIGIN}{gem[1]}": place[0] for gem in gems}
    return found


def _is_runner(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in RUNNER_MODULES or plain in RUNNER_PROGRAMS
