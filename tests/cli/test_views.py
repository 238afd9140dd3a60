"""What the views make of a status, without an engine."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from overnight.cli.board import board
from overnight.cli.codes import Code
from overnight.cli.criteria import Row, bare, rows
from overnight.cli.following import follow
from overnight.cli.listing import print_table
from overnight.cli.options import OPTIONS, in_options, located
from overnight.cli.outcome import tell_end
from overnight.cli.plain import Lines, event_line, standing
from overnight.cli.reading import _stat
from overnight.cli.session import code_of, known
from overnight.errors import InvalidRequestError, UnreachableError
from overnight.request import NewSession, details
from workflows.contracts.evidence import CommandEvidence, Quote, Scorecard, Tally, Verdict
from workflows.contracts.plan import Criterion
from workflows.contracts.reads import DiffAnswer, FileLine
from workflows.contracts.spec import Models, Project, SessionSpec
from workflows.contracts.state import CriterionState, ErrorEntry, Event, SessionState, Status
from workflows.contracts.status import Events, SessionStatus, TestResult
from workflows.policy.report import report

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
COMMIT = "a" * 40
PLAN = {
    "request": "plan",
    "subject": "plan",
    "what": "the plan: 1 step",
    "since": NOW,
    "until": NOW + timedelta(minutes=5),
    "then": "pause",
}
TALLY = Tally(source="junit", passed=39, failed=1, failing=["test_a[x|y]"])
BROKE = ErrorEntry(iteration=2, phase="execute", kind="crashed", text="it broke")


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
            commands=[
                CommandEvidence(criterion="validation", commit=COMMIT, exit_code=0, seconds=1, rate=1, tally=TALLY)
            ],
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
    assert "39 of 40 tests pass (JUnit report), failing: test_a[x/y]" in validation.evidence
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
            Row("validation", "validation", "true", True, "exit code 0 in 0.5 s, no test was seen"),
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
        ({"last_error": "it broke", "error_log": [BROKE]}, "last error (#2): it broke"),
        (
            {"last_error": "it broke", "error_log": [BROKE], "status": Status.COMPLETED},
            "last error (#2, overcome): it broke",
        ),
        (
            {"guidance": [{"id": "g", "text": "use tabs", "state": "too_late"}], "status": Status.CANCELLED},
            "guidance: use tabs (came too late, no prompt carried it)",
        ),
        ({"monitor_url": "http://127.0.0.1:1/x"}, "http://127.0.0.1:1/x"),
        ({"guidance": [{"id": "g", "text": "use tabs", "state": "waiting"}]}, "guidance: use tabs (waits for the next"),
        ({"steps": [{"id": "s1", "title": "Write it", "status": "done"}]}, "✔ s1 Write it"),
        ({"steps": [{"id": "s2", "title": "Drop it", "status": "dropped", "note": "why"}]}, "- s2 Drop it (why)"),
        ({"approval": PLAN, "status": Status.WAITING_APPROVAL}, "plan waits for approval since 2030-01-0"),
        ({"approval": PLAN, "status": Status.WAITING_APPROVAL}, ", then pauses: the plan: 1"),
        ({"estimate": {"earliest": NOW, "latest": NOW, "basis": "1 iteration to go"}}, "(1 iteration to go)"),
        ({"estimate": {"basis": "no basis yet"}}, "no basis yet"),
        ({"strategy": "smaller steps"}, "strategy: smaller steps"),
    ],
)
def test_the_board_shows(given: dict[str, Any], words: str) -> None:
    shown = " ".join(drawn(status(**given), []).split())
    assert words in shown
    assert "Do it" in shown


def test_the_board_shows_an_outage_and_fits_a_narrow_screen() -> None:
    row = Row("validation", "d", "c" * 300, False, "e" * 300)
    shown = drawn(status(progress=40), [row], trouble="Temporal does not answer")
    assert "Temporal does not answer (still trying)" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "✘ validation" in shown


def test_standing_in_one_line() -> None:
    told = standing(status(status=Status.WAITING_LIMIT, waiting_until=NOW + timedelta(hours=1)))
    assert told.startswith("waiting_limit · execute · iteration 0 · 0 % · waits until 2030-01-0")
    assert standing(status(worker="offline")).startswith("worker offline")


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (Status.COMPLETED, 0),
        (Status.FAILED, 1),
        (Status.CANCELLED, 1),
        (Status.PAUSED, 5),
        (Status.WAITING_APPROVAL, 5),
    ],
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
    with pytest.raises(InvalidRequestError, match=r"project: '~nobody-known' begins with a user"):
        located("~nobody-known")


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_every_time_is_local_and_names_its_zone() -> None:
    reason = "usage limit: goes on by itself at 2030-01-02 03:04:05 UTC (the reset is unknown: backing off)"
    waiting = status(status=Status.WAITING_LIMIT, waiting_until=NOW, reason=reason)
    event = Event(seq=1, time=NOW, kind="limit", text=reason)
    for told in (drawn(waiting, []), standing(waiting), event_line(event)):
        assert "2030-01-02 12:04 JST" in told
        assert "UTC" not in told
        assert told.count("by itself") == 1
    assert event_line(event).startswith("2030-01-02 12:04 JST  limit")


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
    assert "completed · iteration" in told


async def test_an_outage_that_lasts_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overnight.cli.following.PATIENCE_SECONDS", -1)
    sessions: Any = Flaky()
    with pytest.raises(UnreachableError):
        await follow(sessions, "some-id", Lines(), until_paused=False)


SANDBOX = "bubblewrap, network: allow-list (pkgs.dev)"


def test_the_board_shows_the_sandbox_and_what_it_leaves_open() -> None:
    shown = drawn(status(sandbox=SANDBOX), [])
    assert f"sandbox: {SANDBOX}" in shown
    assert "SANDBOXED" not in shown
    assert "NOT SANDBOXED: what the agent runs can read and change" in drawn(
        status(sandbox="none, network: the host's"), []
    )
    assert "sandbox" not in drawn(status(), [])


def told_by(lines: Lines, capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    lines.show(status(**given), [], [])
    return capsys.readouterr().out


def test_a_pause_off_a_terminal_comes_with_the_way_on(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    assert "overnight" not in told_by(lines, capsys)
    paused = told_by(lines, capsys, status=Status.PAUSED, reason="paused by a person")
    for command in ("overnight resume some-id", 'overnight steer some-id "guidance"', "overnight cancel some-id"):
        assert command in paused
    assert told_by(lines, capsys, status=Status.PAUSED, reason="paused by a person") == ""
    limit = told_by(lines, capsys, status=Status.PAUSED, reason="limit: cost: $1 of $1 spent")
    assert "overnight limits some-id --max-cost" in limit
    assert "overnight resume" not in limit
    waits = Lines(until_paused=True)  # whoever ends with the pause tells the same
    assert "overnight" not in told_by(waits, capsys, status=Status.PAUSED, reason="paused by a person")


def test_the_sandbox_off_a_terminal_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    assert "sandbox" not in told_by(lines, capsys)
    assert told_by(lines, capsys, sandbox=SANDBOX).endswith(f"  sandbox     {SANDBOX}\n")
    assert told_by(lines, capsys, sandbox=SANDBOX) == ""
    assert "sandbox" not in told_by(lines, capsys, worker="offline")
    assert "NOT SANDBOXED" in told_by(lines, capsys, sandbox="none, network: the host's")


LONG_ID = "write-the-greeter-in-python-ab12cd"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 120, 160])
def test_a_list_shows_ids_whole_and_drops_columns_rather_than_letters(width: int) -> None:
    found = [
        status(session_id=LONG_ID, goal="Write a greeter that greets " * 9, progress=77, cost_usd=12.34),
        status(session_id="lim3", status=Status.WAITING_LIMIT, iteration=12, started_at=NOW),
    ]
    console = Console(file=io.StringIO(), width=width)
    print_table(found, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= max(width, len(LONG_ID))
    assert [line.split()[0] for line in lines] == ["session", LONG_ID, "lim3"]
    assert all("…" not in line.partition("Write")[0] for line in lines)
    head = lines[0].split()
    for column, needed, value in (("status", 60, "waiting_limit"), ("progress", 60, "77 %"), ("cost", 80, "$12.34")):
        assert (column in head) is (value in "\n".join(lines))
        assert width < needed or column in head
    assert ("goal" in head) is (width >= 120)


def test_the_web_ui_s_unchanging_details_tell_limits_as_those_of_the_start() -> None:
    models = Models(plan="m", execute="m", judge="m", diagnose="m", reflect="m")
    told = details(SessionSpec(session_id="some-id", goal="g", project=Project(key="k"), models=models))
    assert "- limits at the start: 50 iterations, 60 minutes, $20" in told


def test_what_was_not_committed_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    late = {"id": "g", "text": "use tabs", "state": "too_late"}
    ended = status(status=Status.CANCELLED, reason="enough", committed=False, guidance=[late])
    tell_end(ended, Code.SESSION_FAILED, json=False)
    told = capsys.readouterr().out
    assert "nothing was committed" in told
    assert "overnight checkout" not in told
    assert "came too late, no prompt carried it: use tabs" in told
    tell_end(status(status=Status.CANCELLED, reason="enough", committed=True), Code.SESSION_FAILED, json=False)
    assert "overnight checkout some-id" in capsys.readouterr().out


def test_what_nobody_knows_is_left_out_for_programs() -> None:
    told = known(status(iteration=3))
    assert (told["iteration"], told["status"]) == (3, "running")
    assert not {"max_cost_usd", "test_results", "elapsed_minutes", "worker"} & set(told)


def test_one_of_something_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    tell_end(status(status=Status.COMPLETED, iteration=1), Code.OK, json=False)
    assert "  1 iteration, $0.00" in capsys.readouterr().out
    _stat(DiffAnswer(files=[FileLine(path="a", status="added", added=1, removed=0)]))
    assert "1 file changed, 1 line added, 0 removed" in capsys.readouterr().out
    _stat(DiffAnswer(files=[FileLine(path=p, status="added", added=1, removed=1) for p in "ab"]))
    assert "2 files changed, 2 lines added, 2 removed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("success_criteria.1: is long", "--criterion (number 2): is long"),
        ("goal: is long; max_time_minutes: is less", "goal: is long; --max-minutes: is less"),
        ("auto_deploy is not in this version", "auto_deploy is not in this version"),
        ("session_id: it is taken", "--id: it is taken"),
        ("the model: ref: x", "the model: ref: x"),
    ],
)
def test_problems_name_options_and_not_fields(problem: str, told: str) -> None:
    assert in_options(problem) == told
    assert all(field in NewSession.model_fields for field in OPTIONS)
