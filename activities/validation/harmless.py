"""What may be added to a Python file of tests: what runs when it is imported does nothing to what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

_CALLS = re.compile(
    r"pytest\.(?:mark\.\w+|param|importorskip)|mark\.\w+|re\.compile|(?:pathlib\.)?(?:Pure)?(?:Posix|Windows)?Path"
    r"|(?:decimal\.)?Decimal|(?:fractions\.)?Fraction|(?:datetime\.|dt\.)?(?:date|time|datetime|timedelta|timezone)"
    r"|(?:uuid\.)?UUID|(?:textwrap\.)?dedent|(?:collections\.)?(?:namedtuple|OrderedDict|Counter|defaultdict)"
    r"|(?:os\.)?path\.(?:join|dirname|abspath|basename)|(?:st|strategies)\.\w+|(?:typing\.)?TypeVar|(?:logging\.)?getLogger"
    r"|(?:frozen)?set|list|dict|tuple|range|str|int|float|complex|bool|bytes|bytearray|len|sum|zip|enumerate|reversed|abs"
    r"|object|slice|chr|ord|frozenset|round"
)
"""Calls that make a value of what they are given."""
_METHODS = frozenset(
    {"resolve", "absolute", "joinpath", "with_name", "with_suffix", "strip", "lstrip", "rstrip", "split", "splitlines"}
    | {"join", "format", "encode", "decode", "replace", "lower", "upper", "title", "items", "keys", "values", "copy"}
    | {"startswith", "endswith", "hex", "as_posix", "relative_to", "union", "map", "filter", "flatmap"}
)
_DECORATORS = re.compile(
    r"pytest\.(?:mark\.\w+|fixture)|(?:pytest_asyncio\.)?fixture|mark\.\w+|(?:unittest\.)?(?:skip|skipIf|skipUnless|expectedFailure)"
    r"|staticmethod|classmethod|property|(?:abc\.)?abstractmethod|(?:typing\.)?(?:overload|override|final|no_type_check)"
    r"|(?:dataclasses\.)?dataclass|(?:\w+\.)*patch(?:\.object|\.dict|\.multiple)?|parameterized(?:\.expand|_class)?"
    r"|(?:hypothesis\.)?(?:given|settings|example|note|reproduce_failure)|(?:st|strategies)\.composite|(?:override|modify)_settings|tag"
    r"|(?:contextlib\.)?(?:async)?contextmanager|(?:functools\.)?(?:cache|lru_cache|wraps|cached_property|total_ordering)"
    r"|(?:freezegun\.)?freeze_time|(?:responses|respx|httpretty)\.(?:activate|mock)|ddt|data|unpack|(?:time_machine\.)?travel"
    r"|(?:enum\.)?unique"
)
"""Decorators of test libraries and of the standard library: what they do, they do to what they decorate."""
_AT_DEFINITION = frozenset({"__init_subclass__", "__class_getitem__", "__prepare__", "__set_name__", "__mro_entries__"})
_METACLASSES = frozenset({"ABCMeta", "EnumMeta", "EnumType"})


def is_harmless(statement: ast.stmt, used: frozenset[str], fresh: frozenset[str]) -> bool:
    """Whether executing the statement at the level of a module or class does nothing but bind its names.

    ``used`` are decorators, dotted, that the file applies already; ``fresh`` names that its additions define, which
    may not speak for what is known to be harmless.
    """
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            given = statement.args
            defaults = [*given.defaults, *(value for value in given.kw_defaults if value is not None)]
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            arguments += [one for one in (given.vararg, given.kwarg) if one is not None]
            notes = [one.annotation for one in arguments if one.annotation is not None]
            notes += [statement.returns] if statement.returns is not None else []
            values_are = all(is_value(value, fresh) for value in (*defaults, *notes))
            return values_are and _decorators(statement.decorator_list, used, fresh)
        case ast.ClassDef(bases=bases, keywords=keywords, body=body):
            heads = all(is_value(value, fresh) for value in (*bases, *(k.value for k in keywords)))
            metaclasses = [k.value for k in keywords if k.arg in (None, "metaclass")]
            named = all(dotted(value).rpartition(".")[2] in _METACLASSES for value in metaclasses)
            inside = all(_in_class(one, used, fresh) for one in body)
            return heads and named and inside and _decorators(statement.decorator_list, used, fresh)
        case ast.Assign(value=value):
            return is_value(value, fresh)
        case ast.AnnAssign(value=value, annotation=annotation):
            return is_value(annotation, fresh) and (value is None or is_value(value, fresh))
    return True


def _in_class(statement: ast.stmt, used: frozenset[str], fresh: frozenset[str]) -> bool:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name not in _AT_DEFINITION and is_harmless(statement, used, fresh)
        case ast.Assign(targets=targets):
            named = [target.id for target in targets if isinstance(target, ast.Name)]
            bound = len(named) == len(targets) and not _AT_DEFINITION.intersection(named)
            return bound and is_harmless(statement, used, fresh)
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name not in _AT_DEFINITION and is_harmless(statement, used, fresh)
        case ast.ClassDef():
            return is_harmless(statement, used, fresh)
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return True
    return False


def is_value(value: ast.expr, fresh: frozenset[str]) -> bool:
    """Whether evaluating an expression runs nothing but what makes a value: literals, names, and a few known calls."""
    inner: list[ast.AST] = [value]
    while inner:
        node = inner.pop()
        match node:
            case ast.Lambda(args=given):
                # Its body is run by whoever calls it, as that of any new function.
                inner += [*given.defaults, *(one for one in given.kw_defaults if one is not None)]
                continue
            case ast.Call() if not _is_known(node, fresh):
                return False
            case ast.NamedExpr() | ast.Await() | ast.Yield() | ast.YieldFrom():
                return False
            case ast.Attribute(ctx=ctx) | ast.Subscript(ctx=ctx) if not isinstance(ctx, ast.Load):
                # The target of a comprehension may be somebody else's attribute.
                return False
        inner += ast.iter_child_nodes(node)
    return True


def _is_known(call: ast.Call, fresh: frozenset[str]) -> bool:
    if any(keyword.arg == "key" for keyword in call.keywords):
        return False
    name = dotted(call.func)
    if name and _CALLS.fullmatch(name) and name.partition(".")[0] not in fresh:
        return True
    match call.func:
        case ast.Attribute(value=ast.Constant() | ast.JoinedStr() | ast.Call(), attr=attr):
            return attr in _METHODS
    return False


def _decorators(given: Iterable[ast.expr], used: frozenset[str], fresh: frozenset[str]) -> bool:
    for decorator in given:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = dotted(called)
        known = _DECORATORS.fullmatch(name) is not None and name.partition(".")[0] not in fresh
        if not (known or name in used):
            return False
        if isinstance(decorator, ast.Call):
            values = [*decorator.args, *(keyword.value for keyword in decorator.keywords)]
            if not all(is_value(value, fresh) for value in values):
                return False
    return True


def dotted(node: ast.expr) -> str:
    """A name, or attributes of one, as it is written; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def fixtures_of(statement: ast.stmt) -> list[str]:
    """Names under which a function is a fixture of pytest; with one that is computed all names may be meant: ``*``."""
    found: list[str] = []
    for decorator in getattr(statement, "decorator_list", []):
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not dotted(called).endswith("fixture"):
            continue
        given = (
            [k.value for k in decorator.keywords if k.arg in ("name", None)] if isinstance(decorator, ast.Call) else []
        )
        named = [value.value if isinstance(value, ast.Constant) else "*" for value in given]
        found += [str(name) for name in named if name is not None] or [getattr(statement, "name", "*")]
    return found


def decorators_of(tree: ast.AST) -> Iterator[str]:
    """Decorators that a file applies, dotted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
                if name:
                    yield name


def defined(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Names that statements bind otherwise than by an import, in classes too."""
    for statement in statements:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name, body=body):
                yield name
                yield from defined(body)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
