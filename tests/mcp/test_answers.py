"""The largest answers: bounded, cut where it hurts least, and saying so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from overnight.client import Started as Began
from overnight.mcp import answers
from workflows.contracts.reads import MAX_FILES, PATCH_BYTES, DiffAnswer, FileLine
from workflows.contracts.state import ErrorEntry, Event, Status
from workflows.contracts.status import Events, GuidanceStatus, SessionStatus, StepStatusLine, TestResult

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINE = '"ü\n' * 70


def session(n: int = 0, **fields: Any) -> SessionStatus:
    """A session that has as much to say as its contract lets it."""
    keys = [f"{i:064}" for i in range(12)]
    told: dict[str, Any] = {
        "session_id": f"session-{n}",
        "status": Status.RUNNING,
        "phase": "execute",
        "goal": LINE * 3,
        "reason": LINE,
        "last_error": LINE,
        "progress_basis": LINE,
        "error_log": [ErrorEntry(iteration=1, phase="execute", kind="internal", text=LINE)] * 10,
        "validation_status": dict.fromkeys(keys, False),
        "test_results": [TestResult(criterion=k, command=LINE, passed=False, tail='"\n' * 500) for k in keys],
        "steps": [StepStatusLine(id=k, title=LINE, status=LINE) for k in keys],
        "guidance": [GuidanceStatus(id=keys[0], text=LINE, state="waiting")] * 20,
        "strategy": LINE * 4,
        "summary": LINE * 4,
        "branch": "overnight/x",
        "next": "Works by itself.",
        **fields,
    }
    return SessionStatus(**told)


def size(answer: BaseModel) -> int:
    return len(answer.model_dump_json(indent=2))


def test_a_full_status_cuts_the_report() -> None:
    answer = answers.status_answer(session(), report="# Report\n" + '"word"\n' * 3_000, full=True)
    assert size(answer) <= answers.MAX_CHARACTERS
    assert answer.truncated
    assert len(answer.test_results) == 12
    assert len(answer.report) > 1_000


def test_a_short_report_is_whole() -> None:
    answer = answers.status_answer(session(test_results=[]), report="# Report", full=True)
    assert (answer.report, answer.truncated) == ("# Report", False)


def test_a_summary_leaves_the_long_parts_out() -> None:
    answer = answers.status_answer(session())
    assert size(answer) <= answers.MAX_CHARACTERS
    assert (answer.error_log, answer.usage, answer.report) == ([], None, "")
    assert {ran.tail for ran in answer.test_results} == {""}


def test_a_long_list_and_ten_waits_fit() -> None:
    rows = answers.listed([session(n) for n in range(100)], 100)
    assert size(rows) <= answers.MAX_CHARACTERS
    assert rows.truncated
    assert rows.sessions[0].session_id == "session-0"
    assert size(answers.waited([session(n) for n in range(10)], None, 50.0)) <= answers.MAX_CHARACTERS


def test_fifty_events_fit_and_what_was_forgotten_is_told() -> None:
    found = [Event(seq=n, time=NOW, kind="note", text=LINE) for n in range(101, 151)]
    answer = answers.events_answer(session(), Events(events=found, first_seq=101, last_seq=150), 0, 50)
    assert size(answer) <= answers.MAX_CHARACTERS
    assert (answer.next_after, answer.more, answer.forgotten) == (150, False, 100)


@pytest.mark.parametrize("files", [3, MAX_FILES])
@pytest.mark.parametrize("patch", ["", '+"line"\n' * (PATCH_BYTES // 8)])
def test_a_large_diff_is_cut_and_says_how_to_see_the_rest(files: int, patch: str) -> None:
    lines = [FileLine(path=f"{n}" * 50, status="added", added=1, removed=0) for n in range(files)]
    answer = answers.diff_answer(session(), DiffAnswer(files=lines, patch=patch))
    assert size(answer) <= answers.MAX_CHARACTERS
    assert answer.files
    assert answer.truncated == (bool(patch) or files == MAX_FILES)
    assert bool(answer.patch) == bool(patch)
    assert ("path=" in answer.next) == answer.truncated


@pytest.mark.parametrize("status", list(Status))
def test_there_is_advice_for_every_status(status: Status) -> None:
    assert answers.advice(session(status=status))


def test_a_start_tells_what_the_sandbox_leaves_open_and_what_was_there_already() -> None:
    told = session(sandbox="none, network: the host's").model_dump()
    answer = answers.started(Began(**told, warning="NOT SANDBOXED: all of it"), "The engine was started.")
    assert answer.notice == "WARNING: NOT SANDBOXED: all of it. The engine was started."
    assert answer.sandbox.startswith("none, network: the host's (NOT SANDBOXED: what the agent runs")
    assert answers.started(Began(**told, existed=True), "").notice.startswith("It was there already")


def test_a_status_tells_what_the_sandbox_leaves_open() -> None:
    told = answers.status_answer(session(sandbox="bubblewrap, network: the host's")).sandbox
    assert told.startswith("bubblewrap, network: the host's (no network of its own, as was asked for")
    assert answers.status_answer(session(sandbox="bubblewrap, network: none")).sandbox == "bubblewrap, network: none"
