"""What of a project its next session is told: the project's own, a person's word before the sessions'."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from activities import check
from activities.knowing import Knowing
from activities.knowledge import Knowledge
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.applied import MAX_MEMORIES, Known, RecallAsked
from workflows.contracts.knowledge import MAX_HITS, PERSON, Learning, LearnRequest, Question, RecallRequest
from workflows.contracts.suggestion import Answered, Sought

OURS = "aaaaaaaaaaaa"
SETUP = "how to set it up"


@pytest.fixture
def knowledge(tmp_path: Path) -> Iterator[Knowledge]:
    made = Knowledge.of(Settings(home=tmp_path), Redactor())
    yield made
    made.close()


def memory(cue: str, advice: str) -> Learning:
    return Learning(kind="memory", title=cue, cue=cue, advice=advice)


def taught(knowledge: Knowledge, session: str, *learnings: Learning) -> None:
    assert not knowledge.learn(LearnRequest(session_id=session, project=OURS, learnings=list(learnings))).problem


def said(knowledge: Knowledge, learning: Learning, project: str | None = OURS) -> None:
    reply = knowledge.answer(Question(do="add", learning=learning, project=project, everywhere=project is None))
    assert reply.changed, reply.problem


def recalled(knowledge: Knowledge) -> Known:
    request = RecallRequest(session_id="tonight-1", project=OURS, query="Write a parser")
    return asyncio.run(Knowing(knowledge).recall(RecallAsked(request=request, project_too=True)))


def test_a_persons_word_is_not_lost_among_many_newer_ones(knowledge: Knowledge) -> None:
    said(knowledge, memory("who to ask", "Ask Ada about the tariffs."))
    for night in range(4):
        pitfalls = [memory(f"pitfall: {night} {number}", f"beware of {night} {number}") for number in range(MAX_HITS)]
        taught(knowledge, f"night-{night}", *pitfalls[:20])
    told = recalled(knowledge).memories
    assert len(told) == MAX_MEMORIES
    assert (told[0].text, told[0].source) == ("Ask Ada about the tariffs.", PERSON)


def test_a_persons_word_on_a_thing_stands_before_what_a_session_says_of_it_later(knowledge: Knowledge) -> None:
    said(knowledge, memory(SETUP, "`make offline`, never `make`"))
    taught(knowledge, "night-1", memory(SETUP, "`make` prepares a fresh clone"))
    (told,) = recalled(knowledge).memories
    assert told.text == "`make offline`, never `make`"


def test_of_what_sessions_say_the_newest_counts(knowledge: Knowledge) -> None:
    taught(knowledge, "night-1", memory(SETUP, "`make` prepares a fresh clone"))
    taught(knowledge, "night-2", memory(SETUP, "`make all` prepares a fresh clone"))
    assert [one.text for one in recalled(knowledge).memories] == ["`make all` prepares a fresh clone"]


def test_what_everybody_is_told_does_not_hide_the_projects_own(knowledge: Knowledge) -> None:
    taught(knowledge, "night-1", memory(SETUP, "`make` prepares a fresh clone"))
    for number in range(MAX_HITS + 1):
        said(knowledge, Learning(kind="approach", title=f"{number}", cue=f"{number}", advice="do it"), None)
    assert [one.text for one in recalled(knowledge).memories] == ["`make` prepares a fresh clone"]


def test_a_store_that_is_away_is_told_as_such_and_known_nothing_of(tmp_path: Path) -> None:
    (tmp_path / "knowledge").write_text("a file where the folder should be")
    knowledge = Knowledge.of(Settings(home=tmp_path), Redactor())
    known = recalled(knowledge)
    assert known.problem
    assert (known.memories, known.rungs) == ([], [])
    reply = knowledge.answer(Question(do="list", project=OURS))
    assert reply.away
    assert not knowledge.answer(Question(do="show", id="ffff")).changed
    knowledge.close()


def test_doctor_says_where_it_is_kept_how_it_is_found_and_what_is_wrong(tmp_path: Path) -> None:
    home = tmp_path / "home"
    fresh = check._knowledge(Settings(home=home))
    assert (fresh.state, fresh.detail.partition("; ")[0]) == ("green", f"{home}/knowledge/knowledge.db")
    assert "semantic" in fresh.detail
    assert not home.exists(), "to look makes nothing"
    (home / "knowledge").mkdir(parents=True)
    (home / "knowledge" / "knowledge.db").write_bytes(b"this is no database\n" * 1_000)
    damaged = check._knowledge(Settings(home=home))
    assert (damaged.state, "it is damaged" in damaged.detail) == ("yellow", True)
    wrong = check._knowledge(Settings(home=home, knowledge_url="mysql://night:hunter2-hunter2@host/db"))
    assert (wrong.state, "it must begin with postgresql://" in wrong.detail) == ("red", True)
    assert "hunter2" not in wrong.model_dump_json()


@pytest.mark.parametrize("error", [False, True])
def test_a_suggestion_does_not_wait_for_the_model(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch, error: bool
) -> None:
    taught(knowledge, "night-1", Learning(kind="approach", title="Write a parser", cue="Write a parser", advice="Do."))
    slow = Event()
    finds = knowledge._retrieval._likeness.find

    def find(*asked: Any) -> Any:
        slow.wait(20)
        return finds(*asked)

    monkeypatch.setattr(knowledge._retrieval._likeness, "find", find)
    sought = Sought(text="Write a parser", project=OURS, error=error)
    answered = asyncio.run(_within(knowledge, sought, slow))
    assert answered == Answered()
    then = asyncio.run(Knowing(knowledge).suggest(sought))
    assert (then.solutions if error else then.suggestion) is not None


async def _within(knowledge: Knowledge, sought: Sought, slow: Event) -> Answered:
    try:
        return await Knowing(knowledge).suggest(sought)
    finally:
        slow.set()
