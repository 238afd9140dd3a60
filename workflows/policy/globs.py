"""Patterns of paths, matched by segments: `*` and `?` stay within one, `**` is any number of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache

_WILD = re.compile(r"[*?\[]")


def is_literal(pattern: str) -> bool:
    """Whether a pattern names one path."""
    return not _WILD.search(pattern)


def problem_of(pattern: str) -> str | None:
    """Why a pattern can match nothing in a repository, in words, or None."""
    if pattern.startswith(("/", "~")) or "\\" in pattern:
        return "paths begin at the root of the repository and have forward slashes, such as tests/** or ci/check.sh"
    if ".." in pattern.split("/"):
        return "paths do not leave the repository: take the .. out"
    return None if _segments(pattern) else "it names nothing"


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern matches the path or a folder above it. A pattern without a slash matches at the root only."""
    wanted = _segments(pattern)
    return bool(wanted) and _match(wanted, tuple(path.split("/")))


def any_matches(patterns: Iterable[str], path: str) -> bool:
    """Whether one of the patterns matches."""
    return any(matches(pattern, path) for pattern in patterns)


@lru_cache(maxsize=512)
def _segments(pattern: str) -> tuple[str, ...]:
    parts = [part for part in pattern.strip().split("/") if part not in ("", ".")]
    # Several `**` in a row say no more than one, and at the end no more than `*`: folders match what is in them.
    kept = [part for n, part in enumerate(parts) if part != "**" or n == 0 or parts[n - 1] != "**"]
    return tuple([*kept[:-1], "*"] if kept[-1:] == ["**"] else kept)


def _match(wanted: tuple[str, ...], path: tuple[str, ...]) -> bool:
    # Positions in the pattern that the segments up to now can have led to: linear in the path, whatever the pattern.
    here = _skip({0}, wanted)
    for segment in path:
        if len(wanted) in here:
            return True
        here = _skip({n if wanted[n] == "**" else n + 1 for n in here if _fits(wanted[n], segment)}, wanted)
    return len(wanted) in here


def _skip(positions: set[int], wanted: tuple[str, ...]) -> set[int]:
    """A `**` also stands for no segment."""
    return positions | {n + 1 for n in positions if n < len(wanted) and wanted[n] == "**"}


def _fits(wanted: str, segment: str) -> bool:
    return wanted == "**" or fnmatch.fnmatchcase(segment, wanted)
