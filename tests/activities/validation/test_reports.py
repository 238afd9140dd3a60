"""Reports as runners really wrote them (``recorded``), and as their formats say (``written``)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from activities.validation.reports import Report, UnreadableError, parse, test_id

HERE = Path(__file__).parent
test_id.__test__ = False  # type: ignore[attr-defined]


def read(name: str) -> Report:
    return parse(name, (HERE / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "source", "counts"),
    [
        ("recorded/pytest.xml", "junit", (3, 2, 2)),
        ("recorded/pytest-xunit2.xml", "junit", (3, 2, 2)),
        ("recorded/node.xml", "junit", (2, 3, 2)),
        ("recorded/vitest-junit.xml", "junit", (1, 1, 2)),
        # Its writer takes what is still to be done for done.
        ("recorded/jest-junit.xml", "junit", (2, 1, 1)),
        ("written/surefire.xml", "junit", (1, 2, 1)),
        ("recorded/ctrf-report.json", "ctrf", (1, 1, 2)),
        ("recorded/jest-results.json", "json", (1, 1, 2)),
        ("recorded/vitest-results.json", "json", (1, 1, 2)),
    ],
)
def test_a_report_is_counted(name: str, source: str, counts: tuple[int, int, int]) -> None:
    report = read(name)
    found = Counter(report.tests.values())
    assert (report.source, (found["passed"], found["failed"], found["skipped"])) == (source, counts)
    assert report.whole


def test_tests_are_called_as_their_runner_calls_them() -> None:
    assert list(read("recorded/pytest.xml").tests) == [
        "tests/test_a.py::TestSums::test_adds[1]",
        "tests/test_a.py::TestSums::test_adds[2]",
        "tests/test_a.py::TestSums::test_fails",
        "tests/test_a.py::test_setup",
        "tests/test_a.py::test_later",
        "tests/test_a.py::test_expected",
        "tests/test_a.py::test_last",
    ]
    assert list(read("recorded/node.xml").tests)[3:] == [
        "todo",
        "outer::inner ok",
        "outer::inner bad",
        "crash.test.mjs",
    ]
    assert "org.example.SumTest::adds" in read("written/surefire.xml").tests
    assert "a.test.mjs::sums > adds" in read("recorded/vitest-junit.xml").tests
    assert "a.test.js::sums::adds" in read("recorded/jest-results.json").tests


@pytest.mark.parametrize("name", ["recorded/pytest-collection.xml", "recorded/jest-broken.json"])
def test_a_file_that_could_not_be_loaded_hides_tests(name: str) -> None:
    assert not read(name).whole


def junit(*cases: str, more: str = "") -> Report:
    return parse(
        "junit.xml", f"<testsuites {more}><testsuite name='s'>{''.join(cases)}</testsuite></testsuites>".encode()
    )


def test_of_one_test_in_one_report_the_worse_counts_and_in_two_the_later() -> None:
    passed = "<testcase file='t.py' classname='t' name='a'/>"
    failed = "<testcase file='t.py' classname='t' name='a'><error message='teardown'/></testcase>"
    assert junit(passed, failed).tests == junit(failed, passed).tests == {"t.py::a": "failed"}
    earlier = junit(failed)
    earlier.merge(junit(passed))
    assert earlier.tests == {"t.py::a": "passed"}


def test_tests_of_one_name_that_nothing_else_tells_apart_stay_several() -> None:
    same = "<testcase name='works' classname='test'/>"
    assert list(junit(same, same).tests) == ["s::works", "s::works #2"]


def test_a_report_that_claims_more_than_it_shows_is_not_whole() -> None:
    case = "<testcase classname='C' name='a'/>"
    assert junit(case, more="tests='1' failures='0'").whole
    assert not junit(case, more="tests='2'").whole
    assert not junit(case, more="errors='1'").whole


def test_what_was_not_run_did_not_pass() -> None:
    assert junit("<testcase classname='C' name='a' status='notrun'/>").tests == {"C::a": "skipped"}


def test_an_id_is_one_bounded_line_of_its_own() -> None:
    assert test_id("a.py", "", "b\n\x1b[31mc\x00") == "a.py::b c"
    long, other = test_id("x" * 300 + "1"), test_id("x" * 300 + "2")
    assert len(long) == len(other) == 250
    assert long != other
    assert test_id("", " ") == "(unnamed)"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("junit.xml", b""),
        ("junit.xml", b"<testsuites>"),
        ("junit.xml", b"<html><testcase name='a'/></html>"),
        ("junit.xml", b"<testsuite name='\xff\xfe'/>"),
        ("junit.xml", b"<?xml version='1.0' encoding='no-such'?><testsuite/>"),
        ("junit.xml", b"<!DOCTYPE x SYSTEM 'http://10.0.0.1/x'><testsuite/>"),
        ("junit.xml", b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><testsuite name='&a;'/>"),
        ("junit.xml", b"<testsuite>" + b"<testsuite>" * 1_000_000),
        ("junit.xml", b"<testsuite>" + b"<a/>" * 310_000 + b"</testsuite>"),
        ("results.json", b"[" * 1_000_000),
        ("results.json", b"9" * 1_000_000),
        ("results.json", b'{"results": {"tests": 7}}'),
        ("results.json", b'{"testResults": {}, "numTotalTests": 1}'),
        ("results.json", b"\xff\xfe\x00"),
        ("results.json", b"[1]"),
    ],
)
def test_what_is_no_report_is_said_to_be_none(name: str, content: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse(name, content)


def test_laughs_in_billions_are_not_counted() -> None:
    laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
    bomb = f"<!DOCTYPE lolz [<!ENTITY l0 'lol'>{laughs}]><testsuite><testcase name='&l11;'/></testsuite>"
    with pytest.raises(UnreadableError):
        parse("junit.xml", bomb.encode())


def test_odd_values_in_json_are_taken_for_nothing() -> None:
    odd = (
        b'{"results": {"summary": 3, "tests": [1, null, {}, {"name": 5, "status": ["passed"]}, {"status": "failed"}]}}'
    )
    assert parse("ctrf.json", odd).tests == {"(unnamed)": "failed"}
    odd = (
        b'{"numTotalTests": [], "testResults": [null, {"assertionResults": 3, "name": {}}, {"assertionResults": [7]}]}'
    )
    assert parse("jest.json", odd).tests == {"(unnamed)": "skipped"}
