"""What was blocked, hit or not found is shown with what to do about it: on the command line and by MCP tools."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from overnight.cli.plain import event_lines, failures
from overnight.hints import AS_ARGUMENTS, AS_OPTIONS, hint_of_event, hint_of_result
from overnight.mcp import answers
from overnight.mcp.choosing import Choice
from workflows.contracts.state import Event, Status
from workflows.contracts.status import Events, SessionStatus, TestResult

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def note(text: str, kind: Any = "note") -> Event:
    return Event(seq=1, time=NOW, kind=kind, text=text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "network: blocked pkgs.dev:443: not on this session's allow-list",
            "--allow-host pkgs.dev as well, or with --eg",
        ),
        (
            "c1: network: blocked pkgs.dev:8443 (3 times): not on this session's allow-list",
            "--allow-host pkgs.dev:8443 ",
        ),
        (
            "network: blocked pkgs.dev:443: this session has no network",
            "--allow-host pkgs.dev, or with --egress public",
        ),
        (
            "network: blocked [::1]:25278: not on this session's allow-list",
            "start the worker with OVERNIGHT_EGRESS_EXCEPTIONS=[::1]:25278",
        ),
        (
            "network: blocked 10.0.0.7:443: a private address",
            "OVERNIGHT_EGRESS_EXCEPTIONS=10.0.0.7:443 (overnight down",
        ),
        ("network: blocked [fd00::1]:443: a private address", "OVERNIGHT_EGRESS_EXCEPTIONS=[fd00::1]:443 (overnight"),
        ("network: blocked 127.0.0.1:80: a loopback address", "OVERNIGHT_EGRESS_EXCEPTIONS=127.0.0.1:80 (overnight"),
        ("sandbox limit hit: 3 GB of memory (OVERNIGHT_BOX_MEMORY_GB)", "a higher OVERNIGHT_BOX_MEMORY_GB (overnight"),
    ],
)
def test_what_the_sandbox_stopped_comes_with_a_remedy(text: str, said: str) -> None:
    told, hint = event_lines(note(text))
    assert told.endswith(text)
    assert said in hint


@pytest.mark.parametrize(
    "event",
    [
        note("network: blocked 169.254.169.254:80: a cloud metadata address"),
        note("network: blocked mx.example.com:25: port 25 sends mail"),
        note("x.bin was not committed: it is too large"),
        note("network: blocked pkgs.dev:443: not on this session's allow-list", "message"),
    ],
)
def test_where_there_is_none_nothing_is_said(event: Event) -> None:
    assert hint_of_event(event, AS_OPTIONS) == ""
    assert len(list(event_lines(event))) == 1


def result(**given: Any) -> TestResult:
    usual = {"criterion": "c1", "command": "make check", "passed": False, "exit_code": 127}
    return TestResult.model_validate({**usual, **given})


def status(*ran: TestResult) -> SessionStatus:
    known = {"session_id": "some-id", "status": Status.RUNNING, "phase": "execute", "goal": "g"}
    return SessionStatus.model_validate({**known, "test_results": ran})


def test_a_program_that_was_not_found_is_told_how_to_show_it() -> None:
    lines = list(failures(status(result(tail="sh: 1: poetry: not found"))))
    assert "OVERNIGHT_SANDBOX_READABLE=/folder" in lines[-1]
    assert hint_of_result(result(exit_code=2, tail="make: poetry: command not found\nmake: *** [check] Error"))
    assert not hint_of_result(result(exit_code=1, tail="AssertionError: page not found in the menu"))
    assert not hint_of_result(result(exit_code=0, passed=True))


def test_tools_say_it_in_their_own_terms() -> None:
    blocked = note("network: blocked pkgs.dev:443: not on this session's allow-list")
    (told,) = answers.events_answer(status(), Events(events=[blocked], first_seq=1, last_seq=1), Choice()).events
    assert "start a session with allow_hosts=['pkgs.dev'] as well, or with egress='public'" in told.hint
    assert hint_of_event(blocked, AS_ARGUMENTS) == told.hint
    (ran,) = answers.status_answer(status(result())).test_results
    assert "OVERNIGHT_SANDBOX_READABLE" in ran.hint


@pytest.mark.parametrize("target", ["169.254.169.254:80", "[fd00:ec2::254]:80"])
def test_nothing_is_said_to_open_what_nothing_opens(target: str) -> None:
    assert hint_of_event(note(f"network: blocked {target}: not on this session's allow-list"), AS_OPTIONS) == ""
