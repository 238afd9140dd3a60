"""What a plan may free of the tests of the base: named ones, not all of them at a stroke."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from activities.validation.conventions import is_test
from workflows.policy.globs import matches

_WILDCARDS = frozenset("*?")


def freed(patterns: Sequence[str], paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of a plan's patterns that hold for a base with these paths, and in words why others do not.

    A file may always be named. A folder or pattern may not begin with a wildcard, nor may all of them together match
    more than half of the tests: that is for the person to decide.
    """
    there = set(paths)
    tests = [path for path in there if is_test(path)]
    kept: list[str] = []
    notes: list[str] = []
    wide: set[str] = set()
    for pattern in patterns:
        name = pattern.removeprefix("./")
        if name not in there:
            hit = {path for path in tests if matches(pattern, path)}
            if set(name.split("/", 1)[0]) <= _WILDCARDS:
                notes.append(_refused(pattern, "it begins with a wildcard"))
                continue
            if 2 * len(wide | hit) > len(tests):
                notes.append(_refused(pattern, f"it would free {len(hit)} of {len(tests)} tests"))
                continue
            wide |= hit
        kept.append(pattern)
    return kept, notes


def _refused(pattern: str, why: str) -> str:
    return f"the plan may not let {pattern} change, for {why}: only a person frees as much (--may-change)"
