"""What the views make of a status, without an engine."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from overnight.cli.board import board
from overnight.cli.criteria import Row, bare, rows
from overnight.cli.following import follow
from overnight.cli.plain import Lines, standing
from overnight.cli.session import code_of
from overnight.cli.starting import located
from overnight.errors import UnreachableError
from workflows.contracts.evidence import CommandEvidence, Quote, Scorecard, Verdict
from workflows.contracts.plan import Criterion
from workflows.contracts.spec import Models, Project, SessionSpec
from workflows.contracts.state import CriterionState, SessionState, Status
from workflows.contracts.status import Events, SessionStatus, TestResult
from workflows.policy.report import report

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
COMMIT = "a" * 40


def status(**given: Any) -> SessionStatus:
    basic = {"session_id": "some-id", "status": Status.RUNNING, "phase": "execute", "goal": "Do\nit"}
    return SessionStatus.model_validate({**basic, **given})


def drawn(of: SessionStatus, criteria: list[Row], **more: Any) -> str:
    console = Console(file=io.StringIO(), width=100, markup=False)
    console.print(board(of, criteria, **more))
    shown = console.file
    assert isinstance(shown, io.StringIO)
    return shown.getvalue()


def test_criteria_are_read_from_the_report() -> None:
    models = Models(plan="m", execute="m", judge="m", diagnose="m", reflect="m")
    spec = SessionSpec(session_id="some-id", goal="g", project=Project(key="k"), models=models)
    state = SessionState(
        criteria=[
            Criterion(id="validation", description="it | passes", command="a | b `c` || d"),
            Criterion(id="goal", description="the goal is achieved"),
            Criterion(id="plan-3", description="not looked at", command="true"),
        ],
        scores=[CriterionState(id="validation", met=True, passed_at_baseline=True), CriterionState(id="goal")],
        card=Scorecard(
            commit=COMMIT,
            commands=[CommandEvidence(criterion="validation", commit=COMMIT, exit_code=0, seconds=1, rate=1)],
            verdicts=[
                Verdict(
                    criterion="goal",
                    commit=COMMIT,
                    met=False,
                    confidence="high",
                    reason="no | never",
                    quotes=[Quote(file="a|b.py", quote="x", found=True)],
                )
            ],
        ),
    )
    validation, goal, unseen = rows(report(spec, state, NOW), status())
    assert (validation.id, validation.met) == ("validation", True)
    assert validation.command is not None
    assert validation.command.startswith("a | b")
    assert "exit code 0 in 1.0 s" in validation.evidence
    assert "passed before the work began" in validation.evidence
    assert (goal.command, goal.met, goal.description) == (None, False, "the goal is achieved")
    assert "no / never" in goal.evidence
    assert unseen.evidence == "not looked at on this commit"


def test_criteria_without_a_report() -> None:
    ran = TestResult(criterion="validation", command="true", passed=True, exit_code=0, seconds=0.5, rate=1)
    known = status(validation_status={"validation": True, "goal": False}, test_results=[ran])
    assert (
        rows("no table", known)
        == bare(known)
        == [
            Row("validation", "validation", "true", True, "exit code 0 in 0.5 s"),
            Row("goal", "goal", None, False, "not looked at yet"),
        ]
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"worker": "offline"}, "worker offline: this is the session's last word"),
        ({"status": Status.WAITING_LIMIT, "waiting_until": NOW}, "waits until 2030-01-0"),
        ({"status": Status.PAUSED, "reason": "limit: cost: $1 of $1 spent"}, "limit: cost: $1 of $1 spent"),
        ({"last_error": "it broke [red]"}, "last error: it broke [red]"),
        ({"monitor_url": "http://127.0.0.1:1/x"}, "http://127.0.0.1:1/x"),
        ({"guidance": [{"id": "g", "text": "use tabs", "state": "waiting"}]}, "guidance: use tabs (waits for the next"),
        ({"steps": [{"id": "s1", "title": "Write it", "status": "done"}]}, "✔ s1 Write it"),
        ({"strategy": "smaller steps"}, "strategy: smaller steps"),
    ],
)
def test_the_board_shows(given: dict[str, Any], words: str) -> None:
    shown = drawn(status(**given), [])
    assert words in shown
    assert "Do it" in shown


def test_the_board_shows_an_outage_and_fits_a_narrow_screen() -> None:
    row = Row("validation", "d", "c" * 300, False, "e" * 300)
    shown = drawn(status(progress=40), [row], trouble="Temporal does not answer")
    assert "Temporal does not answer (still trying)" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "✘ validation" in shown


def test_standing_in_one_line() -> None:
    told = standing(status(status=Status.WAITING_LIMIT, waiting_until=NOW + timedelta(hours=1), reason="usage limit"))
    assert told.startswith("waiting_limit · execute · iteration 0 · 0 % · waits until 2030-01-0")
    assert told.endswith(" · usage limit")
    assert standing(status(worker="offline")).startswith("worker offline")


@pytest.mark.parametrize(
    ("ended", "code"), [(Status.COMPLETED, 0), (Status.FAILED, 1), (Status.CANCELLED, 1), (Status.PAUSED, 5)]
)
def test_exit_codes(ended: Status, code: int) -> None:
    assert code_of(ended) == code


def test_paths_become_absolute_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:name").mkdir()
    monkeypatch.setenv("HOME", "/home/somebody")
    for given, expected in (
        (".", str(tmp_path)),
        ("sub/../other", str(tmp_path / "other")),
        ("~/code", "/home/somebody/code"),
        ("odd:name", str(tmp_path / "odd:name")),
        ("https://example.org/a.git", "https://example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("ext::sh -c true", "ext::sh -c true"),
        ("", ""),
        (None, None),
    ):
        assert located(given) == expected


class Flaky:
    """Sessions that are out of reach twice, then over."""

    def __init__(self) -> None:
        self.asked = 0

    async def status(self, session_id: str) -> SessionStatus:
        self.asked += 1
        if self.asked < 3:
            raise UnreachableError("Temporal does not answer")
        return status(status=Status.COMPLETED, reason="done")

    async def events(self, session_id: str, *, after: int = 0) -> Events:
        return Events()

    async def report(self, session_id: str) -> str:
        raise UnreachableError("no worker")


async def test_an_outage_is_told_once_and_outlasted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overnight.cli.following.POLL_SECONDS", 0)
    sessions: Any = Flaky()
    ended = await follow(sessions, "some-id", Lines(), until_paused=False)
    assert ended.status is Status.COMPLETED
    told = capsys.readouterr().out
    assert told.count("Temporal does not answer (still trying)") == 1
    assert "completed · execute" in told


async def test_an_outage_that_lasts_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overnight.cli.following.PATIENCE_SECONDS", -1)
    sessions: Any = Flaky()
    with pytest.raises(UnreachableError):
        await follow(sessions, "some-id", Lines(), until_paused=False)
