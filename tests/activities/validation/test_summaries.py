"""What runners print, as they really printed it (``recorded``), or as their sources say that they do (``written``)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.validation.summaries import Printed, read_printed

HERE = Path(__file__).parent


def printed(name: str) -> Printed:
    return read_printed((HERE / name).read_text())


@pytest.mark.parametrize(
    ("name", "counts", "failing"),
    [
        ("recorded/pytest.txt", (3, 2, 2), ["tests/test_a.py::TestSums::test_fails", "tests/test_a.py::test_setup"]),
        ("recorded/pytest-q.txt", (3, 2, 2), ["tests/test_a.py::TestSums::test_fails", "tests/test_a.py::test_setup"]),
        ("recorded/pytest-none.txt", (0, 0, 0), []),
        ("recorded/unittest.txt", (1, 2, 2), ["test_u.Sums.test_error", "test_u.Sums.test_fails"]),
        ("recorded/unittest-none.txt", (0, 0, 0), []),
        ("recorded/jest.txt", (1, 1, 2), ["sums::fails"]),
        ("recorded/vitest.txt", (1, 1, 2), ["a.test.mjs::sums::fails"]),
        ("recorded/node-spec.txt", (2, 3, 2), ["fails", "inner bad", "crash.test.mjs"]),
        ("recorded/node-tap.txt", (2, 2, 2), ["fails", "outer"]),
        ("recorded/node-none.txt", (0, 0, 0), []),
        ("recorded/cargo-all.txt", (3, 1, 1), ["shapes/src/lib.rs::tests::fails"]),
        ("written/nextest.txt", (2, 1, 1), []),
        ("written/go-v.txt", (3, 1, 1), ["example.org/sums::TestSum/three"]),
        ("written/go.txt", (1, 1, 0), ["example.org/sums::TestSum"]),
    ],
)
def test_a_summary_says_how_many_and_which(name: str, counts: tuple[int, int, int], failing: list[str]) -> None:
    found = printed(name)
    assert found.summaries, "a runner spoke"
    assert tuple(sum(getattr(s, n) for s in found.summaries) for n in ("passed", "failed", "skipped")) == counts
    assert found.failing == failing
    assert not found.cut_short


@pytest.mark.parametrize(
    "name",
    [
        "recorded/pytest-x.txt", "recorded/pytest-collection.txt", "recorded/unittest-import.txt",
        "recorded/jest-broken.txt", "recorded/jest-bail.txt", "recorded/vitest-broken.txt", "recorded/vitest-bail.txt",
        "recorded/cargo.txt", "written/go-build.txt",
        "written/bail.tap",
    ],
)  # fmt: skip
def test_a_run_that_left_tests_out_is_known_by_its_words(name: str) -> None:
    found = printed(name)
    assert found.failed > 0
    assert found.cut_short


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        (
            "recorded/cargo-all.txt",
            {
                "shapes/src/lib.rs::tests::doubles": "passed",
                "shapes/src/lib.rs::tests::later": "skipped",
                "shapes/src/lib.rs::tests::fails": "failed",
                "whole/tests/whole.rs::whole": "passed",
                "shapes::src/lib.rs - double (line 2)": "passed",
            },
        ),
        (
            "recorded/unittest-v.txt",
            {
                "test_u.Sums.test_adds": "passed",
                "test_u.Sums.test_error": "failed",
                "test_u.Sums.test_expected": "skipped",
                "test_u.Sums.test_fails": "failed",
                "test_u.Sums.test_later": "skipped",
            },
        ),
        (
            "written/go-v.txt",
            {
                "example.org/sums::TestSum/two": "passed",
                "example.org/sums::TestSum/three": "failed",
                "example.org/sums::TestLater": "skipped",
                "example.org/sums::TestMinus": "passed",
                "example.org/sums/names::TestNames": "passed",
            },
        ),
        ("recorded/unittest.txt", {}),
        ("recorded/jest.txt", {}),
    ],
)
def test_where_every_test_is_printed_all_are_known(name: str, tests: dict[str, str]) -> None:
    assert printed(name).tests == tests


def test_go_packages_without_tests_count_for_nothing() -> None:
    said = "ok  \texample.org/a\t0.1s [no tests to run]\n?   \texample.org/b\t[no test files]\n"
    assert [(s.passed, s.failed) for s in read_printed(said).summaries] == [(0, 0), (0, 0)]


def test_runners_that_print_one_after_another_add_up() -> None:
    both = (HERE / "recorded/pytest.txt").read_text() + (HERE / "recorded/vitest.txt").read_text()
    found = read_printed(both)
    assert (sum(s.passed for s in found.summaries), found.failed) == (4, 3)


def test_what_was_planned_and_is_not_there_failed() -> None:
    (summary,) = read_printed("TAP version 13\n1..3\nok 1 - one\nok 2 # SKIP later\n").summaries
    assert (summary.passed, summary.failed, summary.skipped) == (1, 1, 1)


def test_a_log_without_tests_says_nothing() -> None:
    assert read_printed("All checks passed!\n5 files checked\n1 error, 2 failed attempts in 3 s\nok\n") == Printed()


HOSTILE = [
    "=" * 999, "= " * 499, "1 failed, " * 99, "ok " * 333, "not ok" + " " * 900, "FAIL " * 199, "test " * 190,
    "Tests: " + "1 failed, " * 90, "--- FAIL: " * 99, "error: " * 140, "!!! " * 240, "Test Suites:" + " 1 of" * 190,
    "Summary [" + "1" * 900, "Ran 1 test in " + "." * 900, "Ran 5 tests in 0.1s", "FAILED (" + "failures=1," * 80,
    "FAILED (failures=a, errors=)", "1.." + "9" * 900,
]  # fmt: skip


def test_lines_made_to_keep_us_busy_do_not() -> None:
    started = time.process_time()
    read_printed("\n".join(HOSTILE * 200))
    read_printed("9" * 10_000_000)
    read_printed("\n" * 8_000_000)
    assert read_printed("a\n" * 400_000 + "= 1 failed, 9 passed in 1.0s =\n").cut_short
    assert time.process_time() - started < 10


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=80), max_size=30))
def test_nothing_that_is_printed_breaks_the_reading(lines: list[str]) -> None:
    found = read_printed("\n".join(lines))
    assert all(0 <= s.rate <= 1 and min(s.passed, s.failed, s.skipped) >= 0 for s in found.summaries)
