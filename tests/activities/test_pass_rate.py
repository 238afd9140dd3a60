"""Pass rates as they are observed: real runners in real boxes, with the command as it was given."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.asking import describe_failures
from activities.claude import Gateway
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from activities.validate import Validate
from overnight.base.settings import Settings
from tests.activities.workspace.support import make_repo
from workflows.contracts.evidence import CommandEvidence
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import Check, FailedCheck, Site, ValidateRequest, ValidateResult
from workflows.contracts.spec import Project
from workflows.policy.rates import holds

VENV = Path(sys.prefix).resolve()
PYTEST = f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {VENV / 'bin' / 'python'} -m pytest -q -p no:cacheprovider"
FILES = {
    "sub/test_sums.py": """
import pytest

@pytest.mark.parametrize("n", range(8))
def test_adds(n):
    assert n + 1 > n

def test_fails():
    assert 1 + 1 == 3

@pytest.mark.skip
def test_later():
    pass
""",
    "unit/test_unit.py": """
import unittest

class Sums(unittest.TestCase):
    def test_adds(self):
        self.assertEqual(1 + 1, 2)

    def test_fails(self):
        self.assertEqual(1 + 1, 3)
""",
    "node/sums.test.mjs": """
import test from 'node:test';
test('adds', () => {});
test('adds more', () => {});
test('fails', () => { throw new Error('3') });
""",
}
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")


class Checker:
    """Runs checks on a small project with three kinds of tests."""

    def __init__(self, host: Host, project: Project) -> None:
        self.host = host
        self.project = project

    async def validated(self, *commands: str, threshold: float = 0.85) -> ValidateResult:
        checks = [Check(criterion=f"c{number}", command=command) for number, command in enumerate(commands)]
        site = Site(session_id="a-session", project=self.project, iteration=1)
        request = ValidateRequest(site=site, checks=checks, seconds=300, threshold=threshold)
        result = await ActivityEnvironment().run(Validate(self.host).run, request)
        assert result.outcome is Outcome.COMPLETED, result.detail
        return result

    async def seen(self, command: str, threshold: float = 0.85) -> CommandEvidence:
        return (await self.validated(command, threshold=threshold)).evidence[0]

    def printed(self, seen: CommandEvidence) -> str:
        assert seen.log is not None
        return self.host.artifacts.get(seen.log).decode()

    def listed(self, seen: CommandEvidence) -> list[str]:
        assert seen.tests is not None
        return self.host.artifacts.get(seen.tests).decode().splitlines()


@pytest_asyncio.fixture
async def checker(tmp_path: Path) -> AsyncIterator[Checker]:
    commit = make_repo(tmp_path / "project", FILES)
    settings = Settings(home=tmp_path / "home", sandbox_readable=[VENV])
    async with Gateway(lambda: None).running() as gateway:
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        location = str(tmp_path / "project")
        yield Checker(host, Project(key="a-project", kind="path", location=location, commit=commit))


async def test_pytest_reports_through_a_shell_in_a_shell(checker: Checker) -> None:
    seen = await checker.seen(f'sh -c "cd sub && {PYTEST}"')
    assert (seen.exit_code, seen.explained, seen.tally.source) == (1, True, "junit")
    assert (seen.tally.passed, seen.tally.failed, seen.tally.skipped) == (8, 1, 1)
    assert seen.rate == 8 / 9
    assert seen.tally.failing == ["test_sums.py::test_fails"]
    assert checker.listed(seen)[0] == '{"id": "test_sums.py::test_adds[0]", "outcome": "passed"}'
    assert checker.listed(seen)[-1] == '{"id": "test_sums.py::test_later", "outcome": "skipped"}'
    assert holds(seen, 0.85)
    assert not holds(seen, 0.95)
    assert "8 passed, 1 skipped" in checker.printed(seen), "what it prints is as ever"


async def test_what_the_person_asks_of_pytest_is_still_asked(checker: Checker) -> None:
    mine = await checker.seen(f"{PYTEST} sub --junitxml=junit-mine.xml")
    assert (mine.tally.source, mine.tally.passed) == ("junit", 8), "the file that it writes is found"
    refused = await checker.seen(f"{PYTEST} sub -p no:junitxml")
    assert (refused.exit_code, refused.tally.source, refused.tally.failed) == (1, "text", 1)


async def test_each_run_has_a_folder_for_reports_to_itself(checker: Checker) -> None:
    leave = "find /overnight/reports -mindepth 1 | grep . || touch /overnight/reports/left"
    for seen in (await checker.validated(leave, leave)).evidence:
        assert (seen.exit_code, checker.printed(seen)) == (0, "")


@needs_node
async def test_node_reports_and_prints_what_it_would(checker: Checker) -> None:
    seen = await checker.seen("cd node && node --test", threshold=0.6)
    assert (seen.tally.source, seen.tally.passed, seen.tally.failed) == ("junit", 2, 1)
    assert seen.tally.failing == ["fails"]
    assert seen.explained
    assert "adds more" in checker.printed(seen)


@needs_node
async def test_node_that_is_asked_for_another_reporter_is_left_alone(checker: Checker) -> None:
    seen = await checker.seen("cd node && node --test --test-reporter=tap")
    assert (seen.tally.source, seen.tally.passed, seen.tally.failed) == ("text", 2, 1)
    assert "ok 1 - adds" in checker.printed(seen)


async def test_unittest_is_counted_by_what_it_prints(checker: Checker) -> None:
    seen = await checker.seen("python3 -m unittest discover unit")
    assert (seen.tally.source, seen.tally.passed, seen.tally.failed) == ("text", 1, 1)
    assert seen.tally.failing == ["test_unit.Sums.test_fails"]


async def test_failures_within_the_threshold_let_the_next_step_run_in_the_same_home(checker: Checker) -> None:
    command = f"touch ~/first /tmp/first && {PYTEST} sub && ls ~/first /tmp/first > second"
    result = await checker.validated(f"{command} && exit_code=3 python3 -c 'print(3)'", "test -f second")
    seen, after = result.evidence
    assert (seen.exit_code, seen.steps, seen.explained, seen.rate) == (1, [0, 1, 0, 0], True, 8 / 9)
    assert holds(seen, 0.85)
    assert after.exit_code == 0
    assert len(checker.listed(seen)) == 10
    printed = checker.printed(seen)
    assert printed.index("$ touch ~/first") < printed.index("1 failed, 8 passed") < printed.index("$ ls ~/first")
    assert any("run one by one" in note for note in result.notes)


async def test_failures_beyond_the_threshold_end_it_where_the_shell_does(checker: Checker) -> None:
    seen, after = (await checker.validated(f"{PYTEST} sub && touch second", "test -f second", threshold=0.95)).evidence
    assert (seen.exit_code, seen.steps, seen.explained) == (1, [], False)
    assert not holds(seen, 0.95)
    assert after.exit_code == 1, "the second step did not run"


async def test_every_step_must_hold(checker: Checker) -> None:
    other = await checker.seen(f"{PYTEST} sub && python3 -m unittest discover unit")
    assert (other.steps, other.rate) == ([1, 1], 0.5)
    assert not holds(other, 0.85)
    broken = await checker.seen(f"{PYTEST} sub && false && touch third")
    assert (broken.steps, broken.explained, broken.tally.failed) == ([1, 1], False, 1)
    assert not holds(broken, 0.1)


async def test_what_may_have_been_left_out_is_not_made_up_for_by_tests_that_passed(checker: Checker) -> None:
    for command in (
        f"cd sub && {PYTEST} && false",
        f"{PYTEST} sub -x --deselect nothing",
        f"{PYTEST} sub -qx > /dev/null",
        f"{PYTEST} sub --maxfail=1 > /dev/null",
        f"{PYTEST} sub | cat; exit 137",
    ):
        seen = await checker.seen(command)
        assert seen.exit_code
        assert not seen.explained, command
        assert not holds(seen, 0.1)


async def test_words_never_help_against_an_exit_code(checker: Checker) -> None:
    result = await checker.validated(
        "echo '==== 5 passed in 0.10s ===='; exit 1",
        "echo '==== 3 failed, 1 passed in 0.10s ===='",
        "echo '==== 3 failed, 9997 passed in 0.10s ===='; kill -9 $$",
        'echo \'<testsuite><testcase name="a" classname="C"/></testsuite>\' > junit.xml; exit 1',
    )
    assert [holds(seen, 0.85) for seen in result.evidence] == [False] * 4
    assert [seen.rate for seen in result.evidence][:2] == [5 / 6, 0.25]


async def test_success_without_a_test_is_flagged(checker: Checker) -> None:
    lint, empty, skipped, ran = (
        await checker.validated(
            "true",
            "python3 -c 'import unittest; unittest.TextTestRunner().run(unittest.TestSuite())'",
            f"{PYTEST} sub -k later",
            f"{PYTEST} sub -k adds",
        )
    ).evidence
    assert [e.no_tests for e in (lint, empty, skipped, ran)] == [True, True, True, False]
    assert [e.exit_code for e in (lint, empty, skipped, ran)] == [0, 0, 0, 0]
    assert [e.tally.source for e in (lint, empty, skipped)] == ["exit", "text", "junit"]


async def test_reports_that_lead_elsewhere_are_not_followed(checker: Checker) -> None:
    seen = await checker.seen(
        "ln -s /etc/passwd /overnight/reports/pytest.xml; mkfifo /overnight/reports/node.xml junit.xml;"
        " ln -s / test-results.xml; ln -s /proc/self/root TEST-all"
    )
    assert (seen.exit_code, seen.tally.source, seen.tests) == (0, "exit", None)


async def test_a_prompt_names_failing_tests_and_shows_head_and_tail(checker: Checker) -> None:
    many = 'for n in $(seq 100 349); do echo "def test_$n(): assert 0"; done > test_many.py'
    seen = await checker.seen(f"echo first words; {many}; {PYTEST} --tb=no test_many.py")
    failed = FailedCheck(
        criterion="c0",
        description="the tests pass",
        command="pytest",
        exit_code=seen.exit_code,
        tally=seen.tally,
        tests=seen.tests,
        log=seen.log,
    )
    told = describe_failures(checker.host, [failed])
    assert "`pytest`: exit code 1, 0 of 250 tests pass (JUnit report), failing: test_many.py::test_100" in told
    assert "- test_many.py::test_299\n- and 50 more\n" in told
    assert "- test_many.py::test_300" not in told
    assert "first words" in told
    assert "250 failed in" in told


async def test_a_suite_that_has_no_test_yet_is_not_met_on_the_commit_that_the_work_begins_from(
    checker: Checker,
) -> None:
    site = Site(session_id="a-session", project=checker.project)
    base = await checker.host.base(site)
    empty = 'python3 -c \'print("-" * 70); print("Ran 0 tests in 0.000s\\n\\nOK")\''
    checks = [Check(criterion="validation", command=empty), Check(criterion="plan-1", command="true")]
    for given, rates in ((base, [0.0, 1.0]), (None, [1.0, 1.0])):
        request = ValidateRequest(
            site=site.model_copy(update={"commit": base}), checks=checks, seconds=300, threshold=0.85, base=given
        )
        result = await ActivityEnvironment().run(Validate(checker.host).run, request)
        assert [(e.exit_code, e.tally.ran, e.rate) for e in result.evidence] == [(0, 0, rate) for rate in rates]
