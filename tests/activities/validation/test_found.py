"""Reports are found within bounds, whatever whoever wrote the workspace has put in our way."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from activities.validation import found
from activities.validation.counting import Counted, count

REPORT = (
    "<testsuite><testcase classname='C' name='a'/><testcase classname='C' name='b'><failure/></testcase></testsuite>"
)
GOOD = "<testsuite><testcase classname='C' name='good'/></testsuite>"


def place(workspace: Path, name: str, content: str | bytes = REPORT, *, age_s: float = 0) -> Path:
    path = workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if age_s:
        then = time.time() - age_s
        os.utime(path, (then, then))
    return path


class Run:
    """A run that is over: what it left in its workspace and in the folder for its own report, and its log."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.injected, self.log = folder / "work", folder / "reports", folder / "log"
        for made in (self.workspace, self.injected):
            made.mkdir()
        self.log.write_text("")
        self.since_ns = time.time_ns() - 5_000_000_000

    def counted(self, command: str = "make test") -> Counted:
        return count(command, injected=self.injected, workspace=self.workspace, since_ns=self.since_ns, log=self.log)

    def counts(self) -> tuple[str, int, int]:
        tally = self.counted().tally
        return tally.source, tally.passed, tally.failed


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "junit.xml", "build/reports/junit-results.xml", "target/surefire-reports/TEST-org.example.SumTest.xml",
        "a/b/test-results.xml", "target/nextest/default/junit.xml",
    ],
)  # fmt: skip
def test_a_report_with_a_known_name_is_found_anywhere(run: Run, name: str) -> None:
    place(run.workspace, name)
    assert run.counts() == ("junit", 1, 1)


def test_ctrf_and_jest_are_found_by_folder_or_name(run: Run) -> None:
    recorded = Path(__file__).parent / "recorded"
    place(run.workspace, "ctrf/anything.json", (recorded / "ctrf-report.json").read_text())
    assert run.counts() == ("ctrf", 1, 1)
    (run.workspace / "ctrf/anything.json").unlink()
    place(run.workspace, "jest-results.json", (recorded / "jest-results.json").read_text())
    assert run.counts() == ("json", 1, 1)


@pytest.mark.parametrize(
    "name", ["node_modules/x/junit.xml", ".git/junit.xml", "data.xml", "results.json", "ctrf.json"]
)
def test_what_is_not_the_run_s_own_is_left_alone(run: Run, name: str) -> None:
    place(run.workspace, name)
    assert run.counts() == ("exit", 0, 0)


def test_a_file_of_another_kind_under_a_report_s_name_is_no_missing_report(run: Run) -> None:
    place(run.workspace, "test-results.json", '{"suites": []}')
    place(run.workspace, "test-results.xml", "<html/>")
    assert run.counts() == ("exit", 0, 0)
    assert run.counted().whole
    place(run.workspace, "junit.xml", "<testsuite><testcase")
    assert not run.counted().whole


def test_a_report_from_before_the_run_says_nothing(run: Run) -> None:
    place(run.workspace, "junit.xml", age_s=60)
    assert run.counts() == ("exit", 0, 0)


def test_the_report_that_was_asked_for_is_preferred_to_what_lies_about(run: Run) -> None:
    place(run.workspace, "junit.xml", GOOD)
    place(run.injected, "pytest.xml")
    assert run.counts() == ("junit", 1, 1)
    assert "C::good" not in run.counted().tests


def test_of_two_reports_on_a_test_the_later_has_the_last_word(run: Run) -> None:
    place(run.workspace, "a/junit.xml", age_s=2)
    place(run.workspace, "b/junit.xml", "<testsuite><testcase classname='C' name='b'/></testsuite>", age_s=1)
    assert run.counted().tests == {"C::a": "passed", "C::b": "passed"}
    os.utime(run.workspace / "a/junit.xml")
    assert run.counted().tests == {"C::a": "passed", "C::b": "failed"}


def test_printed_summaries_do_not_beat_a_report_and_speak_against_a_failure_only(run: Run) -> None:
    place(run.injected, "pytest.xml")
    run.log.write_text("===== 500 passed in 1.00s =====\n")
    assert run.counts() == ("junit", 1, 1)
    assert run.counted().whole
    run.log.write_text("Tests:       40 failed, 1 passed, 41 total\n")
    assert run.counts() == ("junit", 1, 1)
    assert not run.counted().whole, "more failed than is reported"


def test_a_report_that_lies_about_does_not_hide_failures_that_are_printed(run: Run) -> None:
    place(run.workspace, "junit.xml", GOOD)
    run.log.write_text("Tests:       3 failed, 1 passed, 4 total\n")
    assert run.counted().lowest == 0.25
    run.log.write_text("Tests:       4 passed, 4 total\n")
    assert run.counted().lowest == 1
    (run.workspace / "junit.xml").rename(run.injected / "node.xml")
    run.log.write_text("Tests:       3 failed, 1 passed, 4 total\n")
    assert run.counted().lowest == 1, "the report that was asked for is the runner's own"


def test_a_printed_summary_that_somebody_adds_does_not_raise_the_rate(run: Run) -> None:
    run.log.write_text("==== 1 failed, 3 passed in 0.10s ====\n")
    alone = run.counted()
    run.log.write_text("==== 1000 passed in 0.10s ====\n==== 1 failed, 3 passed in 0.10s ====\n")
    assert alone.lowest == run.counted().lowest == 0.75


@pytest.mark.parametrize(
    "command", ["npx jest --bail", "python -m unittest -f", "go test -failfast ./...", "x --fail-fast"]
)
def test_a_command_that_stops_at_the_first_failure_leaves_tests_out(run: Run, command: str) -> None:
    place(run.injected, "pytest.xml")
    assert run.counted().whole
    assert run.counted("make -f Makefile test -x").whole
    assert not run.counted(command).whole


def test_links_pipes_sockets_and_folders_are_not_read(run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    place(outside, "junit.xml")
    (run.workspace / "junit.xml").symlink_to(outside / "junit.xml")
    (run.workspace / "linked").symlink_to(outside)
    (run.workspace / "loop").symlink_to(run.workspace)
    os.mkfifo(run.workspace / "junit-pipe.xml")
    os.mkfifo(run.injected / "pytest.xml")
    (run.injected / "node.xml").symlink_to(outside / "junit.xml")
    (run.workspace / "junit-folder.xml").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(run.workspace, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/junit-socket.xml")
        os.close(folder)
        assert run.counts() == ("exit", 0, 0)


def test_a_huge_sparse_file_is_not_read_and_explains_nothing(run: Run) -> None:
    with (run.workspace / "junit.xml").open("wb") as file:
        file.truncate(1_000_000_000)
    assert run.counts() == ("exit", 0, 0)
    assert not run.counted().whole
    place(run.workspace, "other/junit.xml")
    assert run.counts() == ("junit", 1, 1)
    assert not run.counted().whole, "one of the reports is missing"


def test_a_hundred_thousand_files_and_folders_without_end_are_bounded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "MAX_ENTRIES", 2_000)
    place(run.workspace, "junit.xml")
    many = run.workspace / "many"
    many.mkdir()
    for number in range(3_000):
        (many / f"junit-{number}.xml").touch()
    started = time.process_time()
    counted = run.counted()
    assert time.process_time() - started < 10
    assert not counted.whole
    deep = os.open(run.workspace, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    for left in many.iterdir():
        left.unlink()
    assert run.counts() == ("junit", 1, 1)
    assert run.counted().whole


def test_more_reports_than_are_read_are_not_the_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "MAX_FILES", 3)
    for number in range(4):
        place(run.workspace, f"TEST-{number}.xml")
    assert not run.counted().whole


def test_names_and_content_that_are_not_text_are_survived(run: Run) -> None:
    (run.workspace / os.fsdecode(b"junit-\xff\xfe.xml")).write_bytes(b"\xff\xfe\x00")
    place(run.workspace, "junit.xml", b"<testsuite><testcase name='\xc3\xa9' classname='C'/></testsuite>")
    counted = run.counted()
    assert counted.tests == {"C::é": "passed"}
    assert not counted.whole
