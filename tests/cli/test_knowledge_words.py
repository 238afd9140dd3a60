"""What is wrong with a question about knowledge is told in words, before anything is asked of a worker."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from overnight.base.wording import reworded
from overnight.cli import run
from overnight.cli.board import board
from overnight.cli.listing import print_table
from overnight.cli.session import headline
from overnight.errors import InvalidRequestError, NotReadyError, WorkerAwayError
from overnight.exchange import Exchange
from overnight.knowledge import Knowledge
from tests.cli.support import clean_environment
from tests.planted import value_of
from workflows.contracts.knowledge import Learning, Question, Reply
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus


@pytest.fixture
def asked() -> Knowledge:
    """Without a way to a worker: none of these questions may get that far."""
    return Knowledge(cast("Exchange", None), cast("Any", None))


@pytest.mark.parametrize("name", ["not-an-id", "abc", "0" * 65, "12345g", ""])
def test_what_is_no_id_is_told_what_an_id_is(asked: Knowledge, name: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        asyncio.run(asked.show(name))
    said = reworded(str(refused.value))
    assert said.startswith("id: must be 4 to 64 of 0-9 and a-f; `overnight knowledge list` shows them")


@pytest.mark.parametrize("query", ["", " \n "])
def test_a_search_for_nothing_is_told(asked: Knowledge, query: str) -> None:
    with pytest.raises(InvalidRequestError, match="nothing to look for"):
        asyncio.run(asked.search(query))


@pytest.mark.parametrize("secret", [value_of("github classic", 3), 'password = "kitten42"'])
@pytest.mark.parametrize("field", ["title", "cue", "advice"])
def test_what_would_be_taken_out_of_a_persons_words_is_refused(asked: Knowledge, field: str, secret: str) -> None:
    words = {"title": "t", "cue": "c", "advice": "a"} | {field: f"log in\nwith {secret}"}
    learning = Learning.model_validate({"kind": "approach", **words})
    with pytest.raises(InvalidRequestError, match=f"{field}: line 2 holds what looks like a secret") as refused:
        asyncio.run(asked.add(learning, project=None, everywhere=True))
    assert secret not in str(refused.value)


class Asking:
    """In the place of a way to a worker: remembers the lines that it is asked to take in."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    async def read(self, _name: str, question: Question, _answer: type[Reply]) -> Reply:
        self.lines.append((question.first_line, question.lines))
        return Reply(changed=len(question.lines.split("\n")))


def test_a_line_that_cannot_be_asked_about_keeps_no_other_out() -> None:
    worker = Asking()
    known = Knowledge(cast("Exchange", worker), cast("Any", None))
    lines = ["one", "two", "x" * 200_000, "four", b"\xff\xfe".decode("utf-8", "surrogateescape"), "six"]

    async def taken_in() -> list[Reply]:
        return [reply async for reply in known.take_in(lines, project=None, everywhere=False, restore=False)]

    replies = asyncio.run(taken_in())
    assert worker.lines == [(1, "one\ntwo"), (4, "four"), (6, "six")]
    assert [problem for reply in replies for problem in reply.problems] == [
        "line 3: it is longer than 100000 bytes",
        "line 5: it is no text in UTF-8",
    ]


def test_what_is_the_stores_fault_is_not_the_persons() -> None:
    class Away(Asking):
        async def read(self, _name: str, _question: Question, _answer: type[Reply]) -> Reply:
            return Reply(problem="its disk is full", away=True)

    with pytest.raises(NotReadyError, match="its disk is full"):
        asyncio.run(Knowledge(cast("Exchange", Away()), cast("Any", None)).stats())


@pytest.mark.parametrize(("do", "more"), [("forget", True), ("stats", False)])
def test_a_change_that_nobody_confirmed_may_still_be_made(do: str, more: bool) -> None:
    class Silent(Asking):
        async def read(self, _name: str, _question: Question, _answer: type[Reply]) -> Reply:
            raise WorkerAwayError("worker offline or busy")

    known = Knowledge(cast("Exchange", Silent()), cast("Any", None))
    with pytest.raises(WorkerAwayError) as away:
        asyncio.run(known._ask(do=do, id="abcd"))
    assert ("may still be done" in str(away.value)) is more


def test_a_name_that_no_file_can_have_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.environ", clean_environment(tmp_path / "home"))
    assert run(["knowledge", "export", str(tmp_path / ("x" * 300))]) == 2
    assert "cannot be written: File name too long" in " ".join(capsys.readouterr().err.split())


def test_an_export_writes_over_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.environ", clean_environment(tmp_path / "home"))
    kept = tmp_path / "kept.jsonl"
    kept.write_text("mine")
    assert run(["knowledge", "export", str(kept)]) == 2
    assert "--force writes over it" in " ".join(capsys.readouterr().err.split())
    assert kept.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["kept.jsonl"], "nothing was started"


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.RUNNING])
def test_of_a_session_that_is_over_no_phase_is_told(status: Status) -> None:
    one = SessionStatus(
        session_id="over-1",
        status=status,
        phase="learn",
        iteration=2,
        progress=100,
        goal="Write a parser",
        cost_usd=0.5,
        started_at=datetime.now(UTC),
        worker="online",
    )
    console = Console(width=120, record=True, file=io.StringIO())
    print_table([one], console)
    console.print(board(one, []))
    told = [headline(one), console.export_text()]
    assert ["learn" in said for said in told] == [not status.is_final] * 2
