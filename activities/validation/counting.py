"""From what a run left to what its tests came to: its own report, else reports found, else summaries, else nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from activities.validation.found import Found, Reader
from activities.validation.injected import REPORT_NAMES
from activities.validation.reports import NotAReportError, Report, UnreadableError, parse
from activities.validation.summaries import Printed, read_printed
from workflows.contracts.evidence import MAX_FAILING, Source, Tally, TestState

MAX_LISTED = 10_000
"""Tests in the list that is kept; the failed ones go first where there are more."""
_LOG_BYTES = 10_000_000
_FAIL_FAST = re.compile(
    r"(?:^|\s)--?(?:fail-?fast|bail|exitfirst|maxfail|stop-on-failure)\b|\bunittest\b.*\s-[a-z]*f[a-z]*(?:\s|$)"
    r"|\bpy\.?test\b.*\s-[a-zA-Z]*x[a-zA-Z]*(?:\s|$)"
)
"""Options with which a run ends at a failure, whatever it says of that, and wherever it says it."""


@dataclass
class Counted:
    """What the tests of one run came to."""

    tally: Tally = field(default_factory=Tally)
    lowest: float = 1.0
    """A rate that the tally's own must not exceed: that of the worst summary, where what is printed counts."""
    whole: bool = True
    """Nothing says that tests are missing or that more than tests failed."""
    tests: dict[str, TestState] = field(default_factory=dict)
    """Each test, where all that were counted are known by name."""


def count(command: str, *, injected: Path, workspace: Path, since_ns: int, log: Path) -> Counted:
    """What is known of the run of ``command`` that began at ``since_ns``. Blocks; nothing of it may run any more."""
    with log.open("rb") as file:
        printed = read_printed(file.read(_LOG_BYTES).decode("utf-8", "replace"))
    reader = Reader(injected)
    report, whole = _merged([found for name in REPORT_NAMES if (found := reader.one(name)) and found.content != b""])
    asked_for = report is not None
    if report is None:
        anywhere, looked = Reader(workspace).reports(since_ns)
        report, readable = _merged(anywhere)
        whole = whole and looked and readable
    whole = whole and not printed.cut_short and not _FAIL_FAST.search(command)
    if report is None:
        return _by_words(printed, whole)
    return _by_report(report, printed, whole, asked_for=asked_for)


def _merged(found: list[Found]) -> tuple[Report | None, bool]:
    """Reports as one, the later of two with the last word, and whether all of them could be read."""
    report: Report | None = None
    whole = True
    for file in found:
        try:
            if file.content is None:
                raise UnreadableError("it is out of bounds")
            read = parse(file.name, file.content)
        except NotAReportError:
            continue
        except UnreadableError:
            whole = False
            continue
        if report is None:
            report = read
        else:
            report.merge(read)
    return report, whole


def _by_report(report: Report, printed: Printed, whole: bool, *, asked_for: bool) -> Counted:
    """What a report says. Who prints more failures than it has ran more than it has, or has it from somewhere else."""
    counts = Counter(report.tests.values())
    failing = sorted(test for test, outcome in report.tests.items() if outcome == "failed")
    return Counted(
        tally=_tally(report.source, counts["passed"], counts["failed"], counts["skipped"], failing),
        lowest=1.0 if asked_for or printed.failed <= counts["failed"] else printed.lowest,
        whole=whole and report.whole and printed.failed <= counts["failed"],
        tests=report.tests,
    )


def _by_words(printed: Printed, whole: bool) -> Counted:
    if not printed.summaries:
        return Counted(whole=whole)
    counts = printed.counts()
    return Counted(
        tally=_tally("text", counts["passed"], counts["failed"], counts["skipped"], printed.failing),
        lowest=printed.lowest,
        whole=whole,
        tests=printed.tests,
    )


def _tally(source: Source, passed: int, failed: int, skipped: int, failing: list[str]) -> Tally:
    most = 1_000_000
    return Tally(
        source=source,
        passed=min(most, passed),
        failed=min(most, failed),
        skipped=min(most, skipped),
        failing=failing[:MAX_FAILING],
    )


def listed(tests: dict[str, TestState]) -> bytes:
    """Tests as JSON lines, sorted by id; of more than 10,000 the failed ones first, then the skipped ones."""
    rank = {"failed": 0, "skipped": 1, "passed": 2}
    chosen = sorted(tests, key=lambda test: (rank[tests[test]], test))[:MAX_LISTED]
    lines = (json.dumps({"id": test, "outcome": tests[test]}, ensure_ascii=False) for test in sorted(chosen))
    return "".join(f"{line}\n" for line in lines).encode()
