"""What is told of a session's sandbox, wherever it is told, and numbers of things."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from activities.host import Host
from activities.sandbox import Isolation, Launcher
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from tests.policy.making import HEAD, NOW, SPEC, state
from workflows.contracts.evidence import CommandEvidence, Scorecard, Tally
from workflows.contracts.outcome import Usage
from workflows.contracts.requests import Site
from workflows.contracts.spec import Egress, SessionSpec
from workflows.policy import record, report, view
from workflows.policy.words import counted, exposure, how_it_ended, how_it_went, plainly, sandbox, with_hosts

LISTED = Egress(mode="allow-list", allow=["pkgs.dev", "*.nlibs.dev:443"])


def spec(egress: Egress) -> SessionSpec:
    return SPEC.model_copy(update={"egress": egress})


@pytest.mark.parametrize(
    ("number", "one", "many", "words"),
    [
        (0, "file", None, "0 files"),
        (1, "file", None, "1 file"),
        (2, "file", None, "2 files"),
        (1, "criterion", "criteria", "1 criterion"),
        (7, "criterion", "criteria", "7 criteria"),
    ],
)
def test_one_is_not_many(number: int, one: str, many: str | None, words: str) -> None:
    assert counted(number, one, many) == words


def test_a_report_counts_as_people_do() -> None:
    once = state(iteration=1, usage=Usage(calls=1, responses=1))
    text = report.report(SPEC, once, NOW)
    assert "- 1 iteration, 0.0 active minutes" in text
    assert ": 1 Claude Code call, 1 response, 0 tokens in" in text
    twice = state(iteration=2, usage=Usage(calls=2, responses=3, input_tokens=1))
    assert ": 2 Claude Code calls, 3 responses, 1 token in" in report.report(SPEC, twice, NOW)


ISOLATIONS = [
    Isolation(Path("/usr/bin/bwrap")),
    Isolation(Path("/usr/bin/bwrap"), "no network namespace", False),
    Isolation(None, "not installed", False),
]
EGRESSES = [Egress(), LISTED, Egress(mode="none"), Egress(mode="host")]


@pytest.mark.parametrize("isolation", ISOLATIONS, ids=lambda i: i.name)
@pytest.mark.parametrize("egress", EGRESSES, ids=lambda e: e.mode)
def test_the_worker_and_its_clients_use_the_same_words(isolation: Isolation, egress: Egress) -> None:
    launcher = Launcher(Settings(home=Path("/nowhere")), isolation)
    host = Host(Settings(), cast("Any", None), launcher, cast("Any", None), cast("Any", None), Redactor())
    told = host.sandbox(Site(session_id="a-session", project=SPEC.project, commit=HEAD, egress=egress))
    own = isolation.full and egress.mode != "host"
    assert told == sandbox(isolation.name, egress.mode if own else None)
    assert bool(exposure(told)) is not own
    assert (f"({', '.join(LISTED.allow)})" in with_hosts(told, egress.allow)) is (own and egress is LISTED)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("none, network: the host's", "NOT SANDBOXED: what the agent runs can read and change whatever"),
        (
            "bubblewrap without a network of its own, network: the host's",
            "NOT FULLY SANDBOXED: no network of its own, whatever",
        ),
        ("bubblewrap, network: the host's", "no network of its own, as was asked for: what the agent"),
    ],
)
def test_what_is_left_open_is_told_everywhere(told: str, words: str) -> None:
    assert exposure(told).startswith(words)
    known = state(sandbox=told)
    assert view.status(SPEC, known, NOW).sandbox == told
    assert words in plainly(told)
    assert f"**Sandbox:** {plainly(told)}\n" in view.scoreboard(SPEC, known, NOW)
    assert f"- Sandbox: {plainly(told)}\n" in report.report(SPEC, known, NOW)


def test_a_sandbox_with_an_allow_list_is_shown_with_its_hosts() -> None:
    known = state(sandbox="bubblewrap, network: allow-list")
    told = "bubblewrap, network: allow-list (pkgs.dev, *.nlibs.dev:443)"
    assert view.status(spec(LISTED), known, NOW).sandbox == told
    assert f"- Sandbox: {told}\n" in report.report(spec(LISTED), known, NOW)
    assert f"**Sandbox:** {told}\n" in view.scoreboard(spec(LISTED), known, NOW)
    assert exposure(told) == ""


def test_before_the_first_call_nothing_is_claimed() -> None:
    assert view.status(SPEC, state(), NOW).sandbox == ""
    assert "andbox" not in report.report(SPEC, state(), NOW) + view.scoreboard(SPEC, state(), NOW)


def test_a_report_tells_what_the_sandbox_stopped() -> None:
    texts = ["network: blocked pkgs.dev:443: not on this session's allow-list", "sandbox limit hit: 3 GB of memory (X)"]
    known = state(event_seq=0)
    for text in [*texts, texts[0], "a.bin was not committed: it is too large"]:
        record.event(known, NOW, "note", text)
    record.event(known, NOW, "message", f"steer: {texts[0]}")
    section = report.report(SPEC, known, NOW).partition("## What the sandbox stopped\n\n")[2]
    assert section.splitlines()[:3] == [f"- {texts[0]}", f"- {texts[1]}", ""]
    assert "`--allow-host HOST`" in section
    assert "OVERNIGHT_EGRESS_EXCEPTIONS" in section
    assert "sandbox stopped" not in report.report(SPEC, state(), NOW)


def test_a_report_tells_how_to_show_a_program_that_was_not_found() -> None:
    ran = CommandEvidence(criterion="setup", commit=HEAD, exit_code=127)
    told = "Exit code 127: a program was not found"
    assert told in report.report(SPEC, state(card=Scorecard(commit=HEAD, setup=ran)), NOW)
    assert told in report.report(SPEC, state(confirmed=Scorecard(commit=HEAD, commands=[ran])), NOW)
    failed = ran.model_copy(update={"exit_code": 1})
    assert told not in report.report(SPEC, state(card=Scorecard(commit=HEAD, commands=[failed])), NOW)


def test_how_a_command_ended() -> None:
    """One that a limit stopped has no exit code: to say ``None`` would tell nobody anything."""
    assert how_it_ended(3, timed_out=False) == "exit code 3"
    assert how_it_ended(None, timed_out=True) == "timed out"
    assert how_it_ended(None, timed_out=False) == "stopped before its end"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"exit_code": 0}, "exit code 0, no test was seen"),
        ({"exit_code": 2}, "exit code 2"),
        (
            {"exit_code": 0, "tally": Tally(source="junit", passed=12)},
            "exit code 0, 12 of 12 tests pass (JUnit report)",
        ),
        (
            {"exit_code": 0, "tally": Tally(source="text", skipped=3)},
            "exit code 0, NO TEST RAN (printed summary), 3 skipped",
        ),
        (
            {"exit_code": 1, "explained": True, "tally": Tally(source="ctrf", passed=7, failed=2, failing=["a", "b"])},
            "exit code 1, 7 of 9 tests pass (CTRF report), failing: a, b",
        ),
        (
            {"exit_code": 2, "tally": Tally(source="text", failed=5, failing=["a", "b", "c"])},
            (
                "exit code 2, 0 of 5 tests pass (printed summary), failing: a, b, c and 2 more,"
                " not all were run, or something else failed"
            ),
        ),
        (
            {"exit_code": 1, "tally": Tally(source="json", passed=1)},
            "exit code 1, 1 of 1 test passes (JSON report), something else failed",
        ),
        (
            {"exit_code": 1, "explained": True, "tally": Tally(source="junit", passed=9, failed=1), "steps": [0, 1, 0]},
            "exit code 1, 9 of 10 tests pass (JUnit report), exit codes of its steps: 0, 1, 0",
        ),
        (
            {"exit_code": None, "timed_out": True, "tally": Tally(source="text", passed=1, failed=1)},
            "timed out, 1 of 2 tests pass (printed summary)",
        ),
    ],
)
def test_how_a_command_went_in_words(seen: dict[str, Any], words: str) -> None:
    assert how_it_went(CommandEvidence(criterion="validation", commit=HEAD, **seen)) == words


def test_people_see_counts_failing_tests_and_their_source_everywhere() -> None:
    tally = Tally(source="junit", passed=7, failed=2, skipped=1, failing=["test_a|b", "test_c"])
    seen = CommandEvidence(criterion="validation", commit=HEAD, exit_code=1, rate=7 / 9, explained=True, tally=tally)
    session = state(card=Scorecard(commit=HEAD, commands=[seen]))
    words = "7 of 9 tests pass (JUnit report), 1 skipped, failing: test_a/b, test_c |"
    assert words in view.scoreboard(SPEC, session, NOW)
    assert words in report.report(SPEC, session, NOW)
    (shown,) = view.status(SPEC, session, NOW).test_results
    assert (shown.tally, shown.explained, shown.passed, shown.no_tests) == (tally, True, False, False)
    assert shown.rate == 7 / 9
