"""Patterns of paths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.policy.globs import any_matches, is_literal, matches, problem_of

SEGMENTS = st.text("abc.-_", min_size=1, max_size=4).filter(lambda s: s.strip(".") != "")
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("tests/**", "tests/a/b.py", True),
        ("tests", "tests/a/b.py", True),
        ("tests/", "tests/b.py", True),
        ("./tests", "tests/b.py", True),
        ("tests/**", "tests", False),
        ("**/conftest.py", "conftest.py", True),
        ("**/conftest.py", "a/b/conftest.py", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/c/d/b/e", True),
        ("*.py", "a/b.py", False),
        ("*.py", "b.py", True),
        ("**/*.py", "b.py", True),
        ("a/?.py", "a/bc.py", False),
        ("**", "a/b", True),
        ("Tests", "tests/a", False),
        ("/", "a", False),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@settings(deadline=None)
@given(PATHS, PATHS)
def test_a_literal_path_matches_itself_and_what_is_below(path: str, below: str) -> None:
    assert is_literal(path)
    assert matches(path, path)
    assert matches(path, f"{path}/{below}")
    assert matches(f"**/{path}", f"{below}/{path}")
    assert any_matches(["nowhere", "**"], path)


def test_hostile_patterns_end_at_once() -> None:
    assert not matches("**/a/" * 40 + "c", "a/" * 2_000 + "b")
    assert not matches("*a" * 60, "a" * 4_000 + "b")


@pytest.mark.parametrize("pattern", ["/etc/passwd", "~/x", "../x", "a/../../b", "a\\b", "./"])
def test_what_can_match_nothing_is_told(pattern: str) -> None:
    assert problem_of(pattern)


def test_what_can_match_is_no_problem() -> None:
    assert problem_of("tests/**/*_test.py") is None
