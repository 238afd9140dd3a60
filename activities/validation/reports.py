"""Test reports: JUnit XML, CTRF, and the JSON of jest and vitest. Each may be hostile."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from workflows.contracts.evidence import Source, TestState
from workflows.contracts.text import printable

MAX_TESTS = 100_000
MAX_JSON_BYTES = 8_000_000
"""JSON is read as a whole, and takes up to twenty times its size in memory."""
_MAX_NESTING = 50
_MAX_ELEMENTS = 300_000
_ID_LENGTH = 250
_WORST = {"passed": 1, "skipped": 0, "failed": 2}
_NO_CLASS = {"", "test", "(root)"}
"""Class names of reporters that know none: then the suites around a test say where it belongs."""


class UnreadableError(Exception):
    """A file that may be a report, but broken, hostile or out of bounds."""


class NotAReportError(UnreadableError):
    """A file that is something else, whatever its name says."""


@dataclass
class Report:
    """The tests of one file, or of several that were merged."""

    source: Source
    tests: dict[str, TestState] = field(default_factory=dict)
    whole: bool = True
    """Nothing says that tests are missing, or did not run because something other than a test failed."""

    def add(self, test: str, outcome: TestState) -> None:
        """One result; of two on the same test the worse one counts."""
        if test not in self.tests and len(self.tests) >= MAX_TESTS:
            self.whole = False
        elif test not in self.tests or _WORST[outcome] > _WORST[self.tests[test]]:
            self.tests[test] = outcome

    def merge(self, later: Report) -> None:
        """Take over what another report says: on the same test it has the last word."""
        for test, outcome in later.tests.items():
            if test in self.tests or len(self.tests) < MAX_TESTS:
                self.tests[test] = outcome
            else:
                self.whole = False
        self.whole = self.whole and later.whole


def parse(name: str, content: bytes) -> Report:
    """The report in ``content``, by its name JSON or XML. Raises ``UnreadableError`` and its kind."""
    return parse_json(content) if name.endswith(".json") else parse_junit(content)


def parse_junit(content: bytes) -> Report:
    """JUnit XML in any of its dialects: every ``testcase``, wherever it is. Raises ``UnreadableError``."""
    try:
        return _Junit().read(content)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise UnreadableError(str(error)) from error


class _Junit:
    """Reads a file as it goes by; what was read is let go at once."""

    def __init__(self) -> None:
        self._report = Report("junit")
        self._suites: list[str] = []
        self._seen: Counter[str] = Counter()
        self._said: dict[str, int] | None = None
        self._cases = self._failed = 0

    def read(self, content: bytes) -> Report:
        above: list[Element] = []
        within = elements = 0
        for event, element in iterparse(io.BytesIO(content), events=("start", "end"), forbid_dtd=True):
            tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
            if event == "start":
                above.append(element)
                elements += 1
                if len(above) > _MAX_NESTING or elements > _MAX_ELEMENTS:
                    raise UnreadableError("it is nested too deeply, or has too many elements")
                self._begin(tag, element)
                within += tag == "testcase"
                continue
            above.pop()
            if tag == "testcase":
                within -= 1
                self._case(element)
            elif tag == "testsuite" and self._suites:
                self._suites.pop()
            if not within and above:
                del above[-1][:]
        if self._said is None:
            raise UnreadableError("it is no JUnit report")
        self._report.whole &= self._said["failed"] <= self._failed and self._said["tests"] <= self._cases
        return self._report

    def _begin(self, tag: str, element: Element) -> None:
        if self._said is None:
            if tag not in ("testsuites", "testsuite"):
                raise NotAReportError(f"it begins with {tag[:40]!r}")
            count = {name: _number(element.get(name)) for name in ("tests", "failures", "errors")}
            self._said = {"tests": count["tests"], "failed": count["failures"] + count["errors"]}
        if tag == "testsuite":
            self._suites.append(element.get("name") or "")

    def _case(self, case: Element) -> None:
        outcome: TestState = "passed"
        for child in case:
            tag = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
            if tag in ("failure", "error"):
                outcome = "failed"
                # pytest's word for a file that it could not even load: nobody knows how many tests that hides.
                self._report.whole &= child.get("message") != "collection failure"
            elif tag == "skipped" and outcome == "passed":
                outcome = "skipped"
        if outcome == "passed" and (case.get("status") or "").lower() in ("notrun", "disabled", "skipped", "ignored"):
            outcome = "skipped"
        self._cases += 1
        self._failed += outcome == "failed"
        self._report.add(self._id(case), outcome)

    def _id(self, case: Element) -> str:
        file, group, name = case.get("file") or "", case.get("classname") or "", case.get("name") or ""
        if group in _NO_CLASS:
            # Nothing tells two of the same name apart but their order.
            made = test_id(file, *(suite for suite in self._suites if suite != "pytest"), name)
            self._seen[made] += 1
            return made if self._seen[made] == 1 else f"{made} #{self._seen[made]}"
        if file.endswith(".py"):
            # As pytest itself names it: the module is the file.
            module = file.removesuffix(".py").replace("\\", "/").replace("/", ".")
            group = "" if group == module else group.removeprefix(f"{module}.").replace(".", "::")
        return test_id(file, "" if group == file else group, name)


def parse_json(content: bytes) -> Report:
    """CTRF, or what ``jest --json`` and vitest's ``json`` reporter write. Raises ``UnreadableError``."""
    if len(content) > MAX_JSON_BYTES:
        raise UnreadableError("it is too large")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error)) from error
    if isinstance(results := _part(found, "results"), dict) and isinstance(results.get("tests"), list):
        return _ctrf(results)
    if isinstance(_part(found, "testResults"), list) and "numTotalTests" in found:
        return _jest(found)
    raise NotAReportError("it is neither CTRF nor of jest")


def _ctrf(results: dict[str, Any]) -> Report:
    report = Report("ctrf")
    outcomes: dict[object, TestState] = {"passed": "passed", "failed": "failed"}
    for test in results["tests"]:
        name, suite = _part(test, "name"), _part(test, "suite")
        groups = suite if isinstance(suite, list) else [suite]
        report.add(
            test_id(_text(_part(test, "filePath")), *map(_text, groups), _text(name)),
            outcomes.get(_text(_part(test, "status")), "skipped"),
        )
    said = _part(results, "summary")
    report.whole = _number(_part(said, "failed")) <= sum(o == "failed" for o in report.tests.values())
    return report


def _jest(found: dict[str, Any]) -> Report:
    report = Report("json")
    outcomes: dict[object, TestState] = {"passed": "passed", "failed": "failed"}
    for suite in found["testResults"]:
        file = _text(_part(suite, "name"))
        tests = _part(suite, "assertionResults")
        tests = tests if isinstance(tests, list) else []
        for test in tests:
            above, title = _part(test, "ancestorTitles"), _text(_part(test, "title"))
            groups = [_text(group) for group in above] if isinstance(above, list) else []
            report.add(test_id(file, *groups, title), outcomes.get(_text(_part(test, "status")), "skipped"))
        # A file that failed, though none of its tests did, was not run to its end.
        if _part(suite, "status") == "failed" and all(_part(test, "status") != "failed" for test in tests):
            report.whole = False
    if _number(found.get("numRuntimeErrorTestSuites")) or found.get("wasInterrupted") is True:
        report.whole = False
    return report


def test_id(*parts: str) -> str:
    """``file::class::name`` of what is known of these, on one line, at most 250 characters, and still its own."""
    said = "::".join(" ".join(printable(part).split()) for part in parts if part.strip()) or "(unnamed)"
    said = said.removeprefix("/workspace/").encode("utf-8", "replace").decode()
    if len(said) <= _ID_LENGTH:
        return said
    mark = hashlib.sha256(said.encode()).hexdigest()[:8]
    return f"{said[: _ID_LENGTH - len(mark) - 1]}~{mark}"


def _part(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    """A count as reports write it; what is none is 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return max(0, value)
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else 0
