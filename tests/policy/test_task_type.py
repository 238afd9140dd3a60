"""Kinds of tasks: what a goal asks for decides, not what it happens to mention."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.policy.task_type import TASK_TYPES, task_type


@pytest.mark.parametrize(
    ("goal", "kind"),
    [
        ("Fix the crash when the config file is empty", "bug_fix"),
        ("The login button does not work on Safari", "bug_fix"),
        ("Sorting by date gives the wrong order for time zones west of UTC; fix it", "bug_fix"),
        ("Users report that uploads hang at 99 %", "bug_fix"),
        ("Upgrade Django from 4.2 to 5.1", "dependency_upgrade"),
        ("Bump all outdated npm dependencies", "dependency_upgrade"),
        ("Document the public API of the client", "docs"),
        ("Write a README with a quick start", "docs"),
        ("Add docstrings to all public functions", "docs"),
        ("Add a --json flag to every command", "feature"),
        ("Implement password reset by e-mail, with tests", "feature"),
        ("Please support dark mode", "feature"),
        ("Let users export their invoices as PDF", "feature"),
        ("Migrate the database from MySQL to PostgreSQL", "migration"),
        ("Port the build scripts from bash to Python", "migration"),
        ("Replace moment with date-fns", "migration"),
        ("Write a command-line tool that merges spans of the day", "new_project"),
        ("Create a REST API for a todo app with FastAPI", "new_project"),
        ("Build a snake game from scratch", "new_project"),
        ("Make the search page load faster", "performance"),
        ("Reduce memory usage of the importer", "performance"),
        ("Optimize the slow report query", "performance"),
        ("Refactor the payment module into smaller classes", "refactor"),
        ("Split utils.py into modules without changing behaviour", "refactor"),
        ("Remove dead code and duplication from the parser", "refactor"),
        ("Fix the SQL injection vulnerability in the search form", "security"),
        ("Harden the upload endpoint against path traversal", "security"),
        ("Add unit tests for the date parser", "tests"),
        ("Raise test coverage of billing to 90 %", "tests"),
        ("Stabilise the flaky end-to-end tests", "tests"),
        ("Set up GitHub Actions with linting and type checking", "tooling"),
        ("Dockerize the application", "tooling"),
        ("Hello", "other"),
        ("", "other"),
    ],
)
def test_a_goal_is_of_the_kind_that_it_asks_for(goal: str, kind: str) -> None:
    assert task_type(goal) == kind


def test_what_a_long_goal_mentions_later_does_not_count() -> None:
    goal = "Add a dark mode. " + "It must look good. " * 40 + "Migrate, refactor, upgrade and document everything."
    assert task_type(goal) == "feature"


@given(st.text(max_size=2_000))
def test_every_text_has_a_kind(goal: str) -> None:
    assert task_type(goal) in TASK_TYPES
    assert task_type(goal) == task_type(goal)


@pytest.mark.parametrize("goal", ["a " * 10_000, "port " * 5_000, "split x " * 5_000, "create a " + "x " * 9_000])
def test_hostile_goals_take_no_long_time(goal: str) -> None:
    began = time.process_time()
    task_type(goal)
    assert time.process_time() - began < 0.5
