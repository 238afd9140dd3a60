"""What stands in for what tests rely on: a module for one that would be installed, other data, another runner."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from activities.validation.additions import MAX_SOURCE
from activities.validation.harmless import dotted
from activities.validation.source import parsed

_DATA = re.compile(
    r".*\.(?:json|jsonl|ndjson|ya?ml|csv|tsv|txt|xml|dat|bin|golden|expected|approved|snap|out|sqlite3?|db|pkl|parquet|npy|npz)"
)
_LIBRARIES = frozenset(
    {"hamcrest", "mock", "parameterized", "ddt", "responses", "freezegun", "time_machine", "factory", "faker"}
    | {"expects", "requests_mock", "httpretty", "vcr", "testfixtures", "assertpy", "sure", "pexpect", "snapshottest"}
    | {"syrupy", "doublex", "approvaltests", "respx", "aioresponses", "moto", "flexmock", "model_bakery", "testtools"}
    | {"dirty_equals", "twisted", "trio", "anyio", "behave", "robot", "selenium", "numpy", "pandas", "requests"}
    | {"httpx", "django", "flask"}
)
"""Modules by whose names nobody means one of their own: test libraries, and what tests are most often made with."""
_REQUIREMENTS = re.compile(r"(?:.*/)?(?:[\w-]*requirements[\w-]*\.(?:txt|in)|requirements/[\w-]+\.(?:txt|in)|Pipfile)")
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_FRAMEWORKS = frozenset({"unittest", "pytest", "_pytest", "nose", "doctest"})


def is_data(path: str) -> bool:
    """Whether a file holds nothing but data, by its name."""
    return _DATA.fullmatch(path) is not None


def is_list_of_requirements(path: str) -> bool:
    """Whether a file holds nothing but what Python is to install."""
    return _REQUIREMENTS.fullmatch(path) is not None


def tells_dependencies(path: str) -> bool:
    """Whether a file lists what is to be installed."""
    return is_list_of_requirements(path) or path in ("pyproject.toml", "setup.cfg")


def is_dependency(module: str, texts: Iterable[tuple[str, bytes]]) -> bool:
    """Whether tests mean something installed by this module: a known library, or a distribution that files list."""
    if module in _LIBRARIES:
        return True
    plain = module.lower().replace("_", "-")
    meant = {plain, f"py{plain}", f"python-{plain}", f"{plain}-python"}
    return any(meant & set(_listed(path, raw.decode("utf-8", "replace"))) for path, raw in texts)


def _listed(path: str, text: str) -> Iterator[str]:
    lines: list[str] = []
    if path.endswith((".toml", "Pipfile")):
        try:
            read = tomllib.loads(text)
        except (ValueError, RecursionError):
            return
        lines = [*_specifiers(read, inside=False)]
    elif path.endswith("setup.cfg"):
        wanted = re.findall(r"^(?:install|tests|setup)_requires\s*=(.*(?:\n[ \t]+.*)*)", text, re.MULTILINE)
        lines = [line for block in wanted for line in block.splitlines()]
    elif _REQUIREMENTS.fullmatch(path):
        lines = text.splitlines()
    yield from (found[1].lower().replace("_", "-") for line in lines if (found := _NAME.match(line)))


def _specifiers(table: dict[str, Any], *, inside: bool) -> Iterator[str]:
    for key, value in table.items():
        here = inside or "dependencies" in key or key in ("dependency-groups", "packages", "dev-packages", "requires")
        if isinstance(value, dict):
            if here:
                yield from value
            yield from _specifiers(value, inside=here)
        elif isinstance(value, list) and here:
            yield from (one for one in value if isinstance(one, str))


def imported_by(module: str) -> tuple[str, str]:
    """How a file imports a module, in words that a search finds."""
    return f"import {module}", f"from {module}"


def top_module(path: str) -> str | None:
    """The module that a file is, or is the beginning of, in its folder; None for others."""
    where = PurePosixPath(path)
    if where.name == "__init__.py":
        return where.parent.name or None
    return where.stem if where.suffix == ".py" and where.stem.isidentifier() else None


def patched(before: bytes, after: bytes) -> list[str]:
    """What of a test framework this code begins to change, dotted."""
    had = set(_patches(before))
    return sorted({name for name in _patches(after) if name not in had})


def _patches(raw: bytes) -> Iterator[str]:
    if len(raw) > MAX_SOURCE:
        return
    try:
        tree = parsed(raw)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    theirs: set[str] = set()
    targets: list[ast.expr] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                theirs |= {a.asname or a.name.partition(".")[0] for a in aliases if _framework(a.name)}
            case ast.ImportFrom(module=str(module), names=aliases) if _framework(module):
                theirs |= {a.asname or a.name for a in aliases}
            case ast.Assign(targets=assigned):
                targets += [one for one in assigned if isinstance(one, ast.Attribute)]
            case ast.AugAssign(target=ast.Attribute() as target) | ast.AnnAssign(target=ast.Attribute() as target):
                targets.append(target)
            case ast.Delete(targets=deleted):
                targets += [one for one in deleted if isinstance(one, ast.Attribute)]
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[first, *_]):
                targets.append(first)
    yield from (name for name in map(dotted, targets) if name.partition(".")[0] in theirs)


def _framework(module: str) -> bool:
    return module.partition(".")[0] in _FRAMEWORKS
