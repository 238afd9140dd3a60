"""Whether a file of tests was only added to: new tests beside the old ones are wanted, whatever else is not."""

from __future__ import annotations

import ast
import re
import unittest
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from activities.validation.blocks import steers
from activities.validation.harmless import decorators_of, defined, fixtures_of, is_harmless
from activities.validation.loading import bound_by, reaches_back, words_of_code
from activities.validation.source import parsed

MAX_SOURCE = 1_000_000
"""Bytes above which a file is not parsed; it then counts as changed."""
_STEERING = re.compile(
    r"__\w+|pytestmark|pytest_\w+|load_tests|collect_ignore\w*|[sS]et_?[uU]p\w*|[tT]ear_?[dD]own\w*|run|runTest|debug"
)
_OF_TEST_CASES = frozenset(dir(unittest.IsolatedAsyncioTestCase)) - {"maxDiff", "longMessage"} | {
    "_pre_setup", "_post_teardown", "_fixture_setup", "_fixture_teardown", "client_class", "async_client_class",
    "fixtures", "databases", "urls",
}  # fmt: skip
"""Names by which test cases, Django's too, run and assert: a class that was there does not get another of these."""
_BESIDE_PYTHON = re.compile(
    r"\.only\b|\b(?:fit|fdescribe|ftest|xdescribe|before|after|beforeEach|afterEach|beforeAll|afterAll)\s*\("
    r"|\b(?:jest|vi)\s*\.\s*(?:do|un)?[mM]ock\b|\bTestMain\b|\bfunc\s+init\s*\(|\bprocess\s*\.\s*(?:exit|on)\b"
    r"|\bos\.Exit\b|/\*|#!?\[cfg|\b@Ignore\b|\bat_exit\b|^var\b.*\(|^\s*static\s*\{|\bregister_shutdown_function\b"
    r"|\b(?:alias_method|define_method|remove_method|undef_method|undef|(?:class|module|instance)_(?:eval|exec)|prepend)\b"
)
_ENDS_BY_LAST = re.compile(r"\.(?:sh|bash|t|pl|ps1)$")
"""The last command of a script says how it ends, so more at its end is another outcome."""
_JAVASCRIPT = re.compile(r"\.[cm]?[jt]sx?$")
_WORD = re.compile(r"[\w./-]+")
_RULE = re.compile(r"([\w-][\w ./-]*):(?![=:])[\w ./-]*")
_COMPUTED = re.compile(r"^[^\t\n#=][^\n#=]*:(?!=)[^\n=]*\$", re.MULTILINE)
"""A rule whose prerequisites are computed: any file may be one of them."""
_MEANS_NOTHING = re.compile(r"\.PHONY *:[\w ./-]*|#.*|\s*")
_CLOSES = re.compile(r"[\s})\];,]*(?:end)?\s*")
_REMADE = frozenset({"makefile", "gnumakefile"})
"""What make itself brings up to date before it looks at any target."""
_IMPORTS = re.compile(r"\s*(?:import\b|from\b|use\b|require\b|const\b.*\brequire\(|\"[\w./-]+\"$|#include\b|$)")


def only_adds(path: str, before: bytes, after: bytes, fixtures: Collection[str] = ()) -> bool:
    """Whether ``after`` has all of ``before`` unchanged, and beside it only what cannot change what that does.

    In Python these are imports, constants, functions, classes and methods under names that occur nowhere in the file
    as it was, none of which is set-up, fixture for all, hook or mark, or one of ``fixtures`` that its tests may get
    from elsewhere, and nothing that calls what could reach back; in other languages a block at the end, and imports,
    which in JavaScript bind no name that the file knows; in files of snapshots other snapshots; in a Makefile targets
    at its end that occur nowhere before.
    """
    if max(len(before), len(after)) > MAX_SOURCE:
        return False
    try:
        if path.endswith(".py"):
            return _python_adds(before, after, frozenset(fixtures))
        was, now = before.decode("utf-8"), after.decode("utf-8")
        if path.endswith(".snap"):
            return _snapshots_add(was, now)
        return _targets_add(was, now) if path.lower().endswith("makefile") else _text_adds(path, was, now)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def identifiers(raw: bytes) -> frozenset[str]:
    """All names that occur in a Python file; none where it cannot be read."""
    try:
        return frozenset(_identifiers(parsed(raw)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()


def _python_adds(before: bytes, after: bytes, fixtures: frozenset[str]) -> bool:
    was, now = parsed(before), parsed(after)
    old = frozenset(defined(was.body))
    known = _Known(
        taken=frozenset(_identifiers(was)),
        used=frozenset(decorators_of(was)),
        fresh=frozenset(defined(now.body)) - old,
        fixtures=fixtures,
    )
    return _body_adds(was.body, now.body, known, in_class=False)


@dataclass(frozen=True)
class _Known:
    """What additions are judged by."""

    taken: frozenset[str]
    """Names that occur in the file as it was."""
    used: frozenset[str]
    """Decorators that it applies."""
    fresh: frozenset[str]
    """Names that the additions define."""
    fixtures: frozenset[str]
    """Names of which its tests may get what they are given from elsewhere."""


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=other):
                yield from name.split(".")
                yield other or name
            case ast.Constant(value=str(text)) if text.isidentifier():
                yield text


def _body_adds(was: Sequence[ast.stmt], now: Sequence[ast.stmt], known: _Known, *, in_class: bool) -> bool:
    """Every old statement is there, in order; classes may have grown; the rest is under new names."""
    left = [*reversed(was)]
    for statement in now:
        if left and _grew(left[-1], statement, known):
            left.pop()
        elif isinstance(statement, ast.If):
            # What runs a script as such comes after all that was there: before it, it would run instead of it.
            if left or in_class or not _runs_as_script(statement, known):
                return False
        elif not _is_new(statement, known, in_class=in_class):
            return False
    return not left


def _grew(was: ast.stmt, now: ast.stmt, known: _Known) -> bool:
    """Whether a statement is what it was, or the same class or import with more in it."""
    match was, now:
        case ast.ClassDef(), ast.ClassDef():
            return _class_adds(was, now, known)
        case ast.ImportFrom(), ast.ImportFrom() if (was.module, was.level) == (now.module, now.level):
            old, new = ({(a.name, a.asname) for a in s.names} for s in (was, now))
            return old <= new and _all_new([asname or name for name, asname in new - old], known.taken, in_class=False)
    return ast.dump(was) == ast.dump(now)


def _class_adds(was: ast.ClassDef, now: ast.ClassDef, known: _Known) -> bool:
    heads = [ast.dump(ast.ClassDef(c.name, c.bases, c.keywords, [], c.decorator_list)) for c in (was, now)]
    return heads[0] == heads[1] and _body_adds(was.body, now.body, known, in_class=True)


def _runs_as_script(statement: ast.If, known: _Known) -> bool:
    """Whether it is what a script ends with, where there was none: no runner reaches it."""
    return "__name__" not in known.taken and ast.unparse(statement.test) == "__name__ == '__main__'"


def _is_new(statement: ast.stmt, known: _Known, *, in_class: bool) -> bool:
    taken = known.taken
    if not is_harmless(statement, known.used, known.fresh):
        return False
    match statement:
        case ast.Import(names=aliases):
            # `import x.y` beside `import x` binds what was bound before.
            bound = [(a.asname or a.name.partition(".")[0], a.asname) for a in aliases]
            return _all_new([name for name, renamed in bound if renamed or name not in taken], taken, in_class=in_class)
        case ast.ImportFrom(names=aliases):
            return _all_new([a.asname or a.name for a in aliases], taken, in_class=in_class)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            decorated = "".join(ast.dump(decorator) for decorator in statement.decorator_list)
            given = fixtures_of(statement)
            free = "autouse" not in decorated and known.fixtures.isdisjoint(given)
            return free and _all_new([statement.name, *given], taken, in_class=in_class)
        case ast.Assign(targets=targets):
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            return len(names) == len(targets) and _all_new(names, taken, in_class=in_class)
        case ast.AnnAssign(target=ast.Name(id=name)):
            return _all_new([name], taken, in_class=in_class)
    return False


def _all_new(names: Sequence[str], taken: frozenset[str], *, in_class: bool) -> bool:
    steering = _OF_TEST_CASES if in_class else frozenset[str]()
    return all(n != "*" and n not in taken | steering and not _STEERING.fullmatch(n) for n in names)


def _snapshots_add(before: str, after: str) -> bool:
    was, now = ([one.strip() for one in re.split(r"\n(?=exports\[)", text)] for text in (before, after))
    names = [snapshot.partition("=")[0] for snapshot in now]
    return set(was) <= set(now) and len(names) == len(set(names))


def _targets_add(before: str, after: str) -> bool:
    was, now = before.rstrip().splitlines(), after.splitlines()
    if now[: len(was)] != was or (was and was[-1].endswith("\\")):
        return False
    taken, computed = set(_WORD.findall(before)), _COMPUTED.search(before) is not None
    # A recipe before the first new target would belong to the last one that was there.
    begun = False
    for line in now[len(was) :]:
        if (rule := _RULE.fullmatch(line)) is not None:
            begun = True
            if any(name in taken or name.lower() in _REMADE or (computed and "." in name) for name in rule[1].split()):
                return False
        elif not (_MEANS_NOTHING.fullmatch(line) or (begun and line.startswith("\t"))):
            return False
    return True


def _text_adds(path: str, before: str, after: str) -> bool:
    if _ENDS_BY_LAST.search(path):
        return False
    was, now = before.splitlines(), after.splitlines()
    head = 0
    added: list[str] = []
    # Imports may come in among the first lines; the rest of the file is as it was up to one block at its end.
    for n, line in enumerate(now):
        if head < len(was) and line == was[head]:
            head += 1
        elif _IMPORTS.match(line):
            added.append(line)
        else:
            tail = was[head:]
            if not all(_CLOSES.fullmatch(closing) for closing in tail):
                return False
            block = now[n : len(now) - len(tail)] if tail else now[n:]
            if tail and now[len(now) - len(tail) :] != tail:
                return False
            added += block
            head = len(was)
            break
    if head < len(was) or any(_BESIDE_PYTHON.search(line) for line in added):
        return False
    if _JAVASCRIPT.search(path):
        does = "\n".join(line for line in added if not _IMPORTS.match(line))
        return not reaches_back(does) and words_of_code(before).isdisjoint(bound_by("\n".join(added)))
    return not steers(path, before, [line for line in added if _IMPORTS.match(line)], added)
