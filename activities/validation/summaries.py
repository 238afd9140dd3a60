"""What test runners print: their summaries, failing tests, and signs that a run was cut short.

Anybody can print such lines. So each summary is kept for itself, and the one with the lowest rate counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from activities.validation.reports import test_id
from workflows.contracts.evidence import TestState
from workflows.contracts.text import printable

MOST = 100_000
"""A count beyond this is nobody's."""
_LINE_LENGTH = 1_000
_MOST_LINES = 300_000
_MOST_NAMED = 200

_PYTEST = re.compile(
    r"(?:=+ )?(?:no tests (?:ran|collected)|(?P<counts>\d+ [a-z ]{1,24}(?:, \d+ [a-z ]{1,24}){0,11})) in [\d.]+s"
    r"(?: \([^)]{1,20}\))?(?: =+)?"
)
_PYTEST_FAILING = re.compile(r"(?:FAILED|ERROR) (\S+\.py\b.*)")
_UNITTEST_RAN = re.compile(r"Ran (\d+) tests? in [\d.]+s")
_UNITTEST_END = re.compile(r"(?:OK|FAILED|NO TESTS RAN)(?: \((?P<counts>[a-z =,\d]{1,120})\))?")
_UNITTEST_COUNT = re.compile(r"([a-z]+(?: [a-z]+)?)=(\d{1,8})")
_UNITTEST_FAILING = re.compile(r"(?:FAIL|ERROR): (\S+) \(([\w.]+)\)")
_UNITTEST_VERBOSE = re.compile(
    r"(\S+) \(([\w.]+)\) \.\.\. (?:(?P<passed>ok)|(?P<skipped>skipped .*|expected failure)|(?P<failed>.*))"
)
_JEST = re.compile(r"Tests:\s+(?P<counts>.{1,100}), (?P<total>\d+) total")
_JEST_FAILING = re.compile(r"  ● (.*\S)")
_VITEST = re.compile(r"\s*Tests\s+(?:no tests|(?P<counts>\d.{1,100}) \(\d+\))")
_VITEST_FAILING = re.compile(r"\s*FAIL\s+(\S.* > .*\S)")
_NODE = re.compile(r"[\u2139#] (tests|pass|fail|cancelled|skipped|todo) (\d+)")
_NODE_FAILING = re.compile(r"✖ (.*\S) \([\d.]+ms\)")
_CARGO = re.compile(r"test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored;.*")
_CARGO_RUNNING = re.compile(r"\s+(?:Running (?:unittests )?(\S+) \(\S*/(\w+)-[0-9a-f]+\)|Doc-tests (\S+))")
_CARGO_TEST = re.compile(r"test (\S.*) \.\.\. (?:(?P<passed>ok)|(?P<skipped>ignored.*)|(?P<failed>FAILED))")
_NEXTEST = re.compile(r"\s*Summary \[[^\]]{1,20}\]\s+[\d/]+ tests? run: (?P<counts>\d.{1,100})")
_GO = re.compile(r"\s*--- (PASS|FAIL|SKIP): (\S+) \([\d.]+s\)")
_GO_PACKAGE = re.compile(r"(?:ok  |FAIL|\?   )\t(\S+).*")
_TAP = re.compile(r"(not )?ok\b(?: +\d+)?(?: +- +| +)?(.*)")
_TAP_NOT_RUN = re.compile(r"(?:^|\s)#\s?(?:skip|todo)", re.IGNORECASE)
_TAP_PLAN = re.compile(r"1\.\.(\d+)\b.*")
_COUNT = re.compile(r"(\d+) ([a-z][a-z ]*)")

_CUT_SHORT = re.compile(
    r"!{3,} .* !{3,}"  # pytest: stopping after failures, interrupted
    r"|Bail out!.*"  # TAP
    r"|error(?:\[E\d+\])?: could not compile.*"
    r"|FAIL\t.*\[(?:build|setup) failed\]"  # go
    r"|panic: .*"
    r"|Test Suites:.* \d+ of \d+ total"  # jest, with bail
    r"|\s*● Test suite failed to run.*"
    r"|⎯+ Failed Suites \d+ ⎯+.*"  # vitest
    r"|⎯+ Unhandled (?:Errors|Rejection).*"
    r"|ERROR: \S+ \(unittest\.loader\._FailedTest.*"
)

_CARGO_STOPPED = re.compile(r"error: test failed, to rerun pass.*")
"""What cargo says of a binary whose tests failed; then others, and documentation tests, did not run."""
_CARGO_WENT_ON = re.compile(r"error: \d+ targets? failed:")
"""Unless it was told to go on, and says this at the end."""
_VITEST_TOTAL = re.compile(r"\s*(?:Test Files|Tests)\s+(\d.{1,100}) \((\d{1,8})\)")
"""What vitest says of all that there is: with ``--bail``, more than it ran."""


@dataclass
class Summary:
    """One summary of one runner."""

    runner: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def rate(self) -> float:
        """Share of its tests that passed; 1 without tests."""
        ran = self.passed + self.failed
        return self.passed / ran if ran else 1.0


@dataclass
class Printed:
    """All that a log says of tests."""

    summaries: list[Summary] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    """Names of failing tests, as far as they are printed: at most 200."""
    tests: dict[str, TestState] = field(default_factory=dict)
    """Each test with its outcome, where all that were counted are printed; else empty."""
    cut_short: bool = False
    """Something says that tests did not run, or that more than tests failed."""

    @property
    def failed(self) -> int:
        """Failures of all summaries."""
        return self.counts()["failed"]

    @property
    def lowest(self) -> float:
        """The rate of the worst summary: the others may be somebody's who only prints them."""
        return min((summary.rate for summary in self.summaries), default=1.0)

    def counts(self) -> Counter[TestState]:
        """What all summaries come to."""
        found: Counter[TestState] = Counter()
        for one in self.summaries:
            found.update({"passed": one.passed, "failed": one.failed, "skipped": one.skipped})
        return found


def read_printed(log: str) -> Printed:
    """What ``log`` says; runners that print one after another are all in it."""
    every = [line for line in printable(log).splitlines() if line and len(line) <= _LINE_LENGTH]
    lines = every[-_MOST_LINES:]
    # What was said before them is not known.
    printed = Printed(cut_short=len(every) > len(lines) or _is_cut_short(lines))
    named: dict[str, TestState] = {}
    for read in (_pytest, _unittest, _jest, _vitest, _cargo, _go, _node_or_tap):
        summaries, tests = read(lines)
        printed.summaries += summaries
        if summaries:
            named |= {test_id(name): state for name, state in tests.items()}
    printed.failing = [test for test, state in named.items() if state == "failed"][:_MOST_NAMED]
    if Counter(named.values()) == printed.counts():
        printed.tests = named
    return printed


def _is_cut_short(lines: list[str]) -> bool:
    stopped = any(_CARGO_STOPPED.fullmatch(line) for line in lines)
    went_on = any(_CARGO_WENT_ON.fullmatch(line) for line in lines)
    bailed = any(sum(_counted(match[1], "|").values()) < int(match[2]) for match in _matches(_VITEST_TOTAL, lines))
    return (stopped and not went_on) or bailed or any(_CUT_SHORT.fullmatch(line) for line in lines)


Read = tuple[list[Summary], dict[str, TestState]]
"""Summaries, and tests by name as far as they are named: those that failed, or all."""


def _failed(names: Iterable[str]) -> dict[str, TestState]:
    return dict.fromkeys(names, "failed")


def _state(match: re.Match[str]) -> TestState:
    """Which of a pattern's groups named for an outcome matched."""
    return "passed" if match["passed"] else "skipped" if match["skipped"] else "failed"


def _counted(text: str, separator: str = ",") -> dict[str, int]:
    """``3 failed, 2 passed`` as numbers by word."""
    found = (_COUNT.match(part.strip()) for part in text.split(separator))
    return {match[2].strip(): min(MOST, int(match[1])) for match in found if match and len(match[1]) < 9}


def _matches(pattern: re.Pattern[str], lines: list[str]) -> Iterator[re.Match[str]]:
    return (match for line in lines if (match := pattern.fullmatch(line)))


def _pytest(lines: list[str]) -> Read:
    summaries = []
    for match in _matches(_PYTEST, lines):
        said = _counted(match["counts"] or "")
        summaries.append(
            Summary(
                "pytest",
                passed=sum(n for word, n in said.items() if word in ("passed", "xpassed")),
                failed=sum(n for word, n in said.items() if word in ("failed", "error", "errors")),
                skipped=sum(n for word, n in said.items() if word in ("skipped", "xfailed")),
            )
        )
    return summaries, _failed(match[1].split(" - ", 1)[0] for match in _matches(_PYTEST_FAILING, lines))


def _unittest(lines: list[str]) -> Read:
    summaries: list[Summary] = []
    for number, line in enumerate(lines):
        ran = _UNITTEST_RAN.fullmatch(line)
        end = ran and next((_UNITTEST_END.fullmatch(after) for after in lines[number + 1 : number + 2]), None)
        if not ran or not end:
            continue
        said = {match[1]: min(MOST, int(match[2])) for match in _UNITTEST_COUNT.finditer(end["counts"] or "")}
        failed = sum(said.get(word, 0) for word in ("failures", "errors", "unexpected successes"))
        skipped = said.get("skipped", 0) + said.get("expected failures", 0)
        # Subtests fail one by one, and belong to one test.
        total = min(MOST, int(ran[1][:8]))
        summaries.append(Summary("unittest", max(0, total - failed - skipped), min(MOST, failed), min(MOST, skipped)))
    tests = {_unittest_name(match): _state(match) for match in _matches(_UNITTEST_VERBOSE, lines)}
    return summaries, tests | _failed(_unittest_name(m) for line in lines if (m := _UNITTEST_FAILING.match(line)))


def _unittest_name(match: re.Match[str]) -> str:
    """As Python 3.11 says it; before, the method was missing."""
    return match[2] if match[2].endswith(match[1]) else f"{match[2]}.{match[1]}"


def _jest(lines: list[str]) -> Read:
    summaries = []
    for match in _matches(_JEST, lines):
        said = _counted(match["counts"])
        skipped = said.get("skipped", 0) + said.get("todo", 0) + said.get("pending", 0)
        summaries.append(Summary("jest", said.get("passed", 0), said.get("failed", 0), skipped))
    if not summaries:
        summaries = [Summary("jest") for line in lines if line.rstrip() == "Tests:       0 total"]
    names = (m[1] for m in _matches(_JEST_FAILING, lines) if m[1] not in ("Console", "Test suite failed to run"))
    return summaries, _failed(name.replace(" \u203a ", "::") for name in names)


def _vitest(lines: list[str]) -> Read:
    summaries = []
    for match in _matches(_VITEST, lines):
        said = _counted(match["counts"] or "", "|")
        skipped = said.get("skipped", 0) + said.get("todo", 0)
        summaries.append(Summary("vitest", said.get("passed", 0), said.get("failed", 0), skipped))
    return summaries, _failed(match[1].replace(" > ", "::") for match in _matches(_VITEST_FAILING, lines))


def _cargo(lines: list[str]) -> Read:
    summaries = []
    for match in _matches(_CARGO, lines):
        passed, failed, ignored = (min(MOST, int(n[:8])) for n in match.groups())
        summaries.append(Summary("cargo", passed, failed, ignored))
    for match in _matches(_NEXTEST, lines):
        said = _counted(re.sub(r" \([^)]*\)", "", match["counts"]))
        failed = said.get("failed", 0) + said.get("timed out", 0)
        summaries.append(Summary("nextest", said.get("passed", 0), failed, said.get("skipped", 0)))
    tests: dict[str, TestState] = {}
    where = ""
    for line in lines:
        if running := _CARGO_RUNNING.fullmatch(line):
            where = running[3] or f"{running[2]}/{running[1]}"
        elif test := _CARGO_TEST.fullmatch(line):
            tests[f"{where}::{test[1]}"] = _state(test)
    return summaries, tests


def _go(lines: list[str]) -> Read:
    """``go test``: without ``-v`` it names only what failed, and a package that passed counts as one test."""
    summaries: list[Summary] = []
    tests: dict[str, TestState] = {}
    pending: dict[str, TestState] = {}
    states: dict[str, TestState] = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
    for line in lines:
        if test := _GO.fullmatch(line):
            pending[test[2]] = states[test[1]]
        elif package := _GO_PACKAGE.fullmatch(line):
            # A test that has subtests fails with them: only leaves count.
            parents = {name[:cut] for name in pending for cut, sign in enumerate(name) if sign == "/"}
            leaves = {name: how for name, how in pending.items() if name not in parents}
            how = Counter(leaves.values())
            passed, failed = how["passed"], how["failed"]
            if not how and not line.endswith(("[no test files]", "[no tests to run]")):
                passed, failed = int(line.startswith("ok")), int(line.startswith("FAIL"))
            elif line.startswith("FAIL"):
                failed = max(1, failed)
            summaries.append(Summary("go", passed, failed, how["skipped"]))
            tests |= {f"{package[1]}::{name}": state for name, state in leaves.items()}
            pending = {}
    return summaries, tests


def _node_or_tap(lines: list[str]) -> Read:
    """node:test says the same as TAP and in words of its own: then its own words count."""
    summaries, tests = _node(lines)
    return (summaries, tests) if summaries else _tap(lines)


def _node(lines: list[str]) -> Read:
    summaries: list[Summary] = []
    said: dict[str, int] = {}
    for match in _matches(_NODE, lines):
        if match[1] == "tests":
            said = {}
        said[match[1]] = min(MOST, int(match[2][:8]))
        if match[1] == "todo" and {"tests", "pass", "fail"} <= said.keys():
            failed = said["fail"] + said.get("cancelled", 0)
            summaries.append(Summary("node", said["pass"], failed, said.get("skipped", 0) + said["todo"]))
            said = {}
    start = next((n for n, line in enumerate(lines) if line == "✖ failing tests:"), len(lines))
    spec = [match[1] for match in _matches(_NODE_FAILING, lines[start + 1 :])]
    tap = [test for test, state in _tap(lines)[1].items() if state == "failed"]
    return summaries, _failed([*spec, *tap])


def _tap(lines: list[str]) -> Read:
    planned = [min(MOST, int(match[1][:8])) for match in _matches(_TAP_PLAN, lines)]
    if len(planned) != 1:
        return [], {}
    summary = Summary("tap")
    tests: dict[str, TestState] = {}
    for match in _matches(_TAP, lines):
        if _TAP_NOT_RUN.search(match[2]):
            summary.skipped += 1
            tests[match[2]] = "skipped"
        elif match[1]:
            summary.failed += 1
            tests[match[2]] = "failed"
        else:
            summary.passed += 1
            tests[match[2]] = "passed"
    # What was planned and is not there did not pass.
    summary.failed += max(0, planned[0] - summary.passed - summary.failed - summary.skipped)
    return [summary], tests
