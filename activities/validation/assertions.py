"""Tests and assertions in files of tests, counted without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from activities.validation.additions import MAX_SOURCE
from activities.validation.source import parsed
from workflows.contracts.evidence import Tampering

_CALLS = re.compile(r"assert\w*|expect\w*|raises|warns|fail|should\w*|verify\w*|check|approx")
_ASSERTS = re.compile(
    r"\b(?:assert\w*!?|expect\w*|should\w*|verify)\s*[.(\[]|\bt\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\s*\("
    r"|\b(?:require|assert|is)\.[A-Z]\w*\s*\(|\bassert\s+\S"
)
_TESTS = re.compile(
    r"\b(?:it|test|specify|example)(?:\.\w{1,12})?\s*[(\s][\"'`]|\bfunc\s+(?:Test|Fuzz)\w*\s*\(|#\[(?:\w+::)?test\]|@Test\b"
    r"|\bdef\s+test_\w+|\bTEST(?:_F|_P)?\s*\(|\bfun(?:ction)?\s+test\w*\s*\("
)
_COMMENT = re.compile(r"^\s*(?://|#(?!\[)|\*|/\*|--)")


@dataclass(frozen=True)
class Counted:
    """Tests and assertions of one file; ``by_test`` where the tests have names that can be told."""

    tests: int = 0
    assertions: int = 0
    by_test: Mapping[str, int] = field(default_factory=dict)


def count(path: str, raw: bytes | None) -> Counted | None:
    """What the file holds; None where that cannot be told. A missing file holds nothing."""
    if raw is None:
        return Counted()
    if len(raw) > MAX_SOURCE:
        return None
    try:
        return _in_python(parsed(raw)) if path.endswith(".py") else _in_text(raw.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def lost(before: Mapping[str, Counted], after: Mapping[str, Counted]) -> list[Tampering]:
    """Assertions that went although no test did, in all changed files of tests together.

    A test that is still there by its name and asserts nothing any more is found by itself, whatever else came.
    """
    found = [
        Tampering(kind="assertions", path=f"{path}: {test}", detail=f"it asserted {had} times and asserts nothing now")
        for path in sorted(before)
        for test, had in sorted(before[path].by_test.items())
        if had and path in after and after[path].by_test.get(test) == 0
    ]
    if found:
        return found
    tests_before, tests_after = (sum(c.tests for c in side.values()) for side in (before, after))
    had, has = (sum(c.assertions for c in side.values()) for side in (before, after))
    if has >= had or tests_after < tests_before:
        return []
    fewer = [p for p in sorted(before) if p in after and after[p].assertions < before[p].assertions] or sorted(before)
    detail = f"{had} assertions became {has} though no test was removed: assert what holds now in their place"
    return [Tampering(kind="assertions", path=fewer[0], detail=detail)]


def _in_python(tree: ast.Module) -> Counted:
    by_test: dict[str, int] = {}
    classes = [(f"{node.name}.", node.body) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for prefix, body in [("", tree.body), *classes]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                by_test[prefix + node.name] = _asserts(node)
    return Counted(len(by_test), _asserts(tree), by_test)


def _asserts(tree: ast.AST) -> int:
    return sum(_is_assertion(node) for node in ast.walk(tree))


def _is_assertion(node: ast.AST) -> bool:
    match node:
        case ast.Assert(test=ast.Constant()):
            # `assert True` says nothing.
            return False
        case ast.Assert():
            return True
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return _CALLS.fullmatch(name) is not None
    return False


def _in_text(text: str) -> Counted:
    lines = [line[:2_000] for line in text.splitlines() if not _COMMENT.match(line)]
    return Counted(sum(len(_TESTS.findall(line)) for line in lines), sum(len(_ASSERTS.findall(line)) for line in lines))
