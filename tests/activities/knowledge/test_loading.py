"""What finds knowledge in a worker: loaded when it is needed, in the background, told in words, done without."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from activities.knowledge.backfill import Backfill
from activities.knowledge.embedding import Semantic
from activities.knowledge.knowledge import Knowledge
from activities.knowledge.retrieval import Retrieval
from activities.knowledge.templates import TEMPLATES
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from tests.activities.knowledge.learned import OURS, THEIRS, House, approach, model
from tests.activities.knowledge.test_retrieval import FAILED, GOAL, OTHERS
from workflows.contracts.knowledge import LearnRequest, Question, RecallRequest
from workflows.policy.fingerprint import fingerprint

if TYPE_CHECKING:
    from activities.knowledge.interface import Vectors


def test_it_says_how_it_finds_and_why(tmp_path: Path) -> None:
    words, meaning = House(tmp_path / "a", lexical=True), House(tmp_path / "b")
    try:
        assert words.retrieval.how == "lexical: not installed"
        assert meaning.retrieval.how.startswith("semantic: all-MiniLM-L6-v2")
    finally:
        words.close()
        meaning.close()


def soon(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_what_others_wrote_without_vectors_is_found_by_words_first_and_by_meaning_soon(tmp_path: Path) -> None:
    words = House(tmp_path, lexical=True)
    words.keep(map(approach, [GOAL, *OTHERS]))
    words.close()
    clever = House(tmp_path)
    try:
        (found,) = clever.recall(GOAL)
        assert found.title == GOAL
        soon(lambda: bool(clever.recall("Limit how many requests per minute a client can make to our public API")))
    finally:
        clever.close()


class Renamed:
    """The same model as a newer version of itself would be."""

    model_id = "all-MiniLM-L6-v2-int9:00000000"
    dim = 384

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        return model().embed(texts)


def test_another_model_gets_vectors_of_its_own_in_bounded_batches(clever: House) -> None:
    clever.keep(approach(f"{GOAL} of service {n}") for n in range(80))
    newer = Renamed()
    backfill = Backfill(clever.store, lambda: Semantic(newer, "newer"))
    done = []
    while not backfill.complete:
        done.append(backfill.batch())
        assert done[-1] <= 32
    assert sum(done) == newer.texts == 80
    assert backfill.batch() == 0, "nothing twice"


def test_a_model_that_nobody_calibrated_gives_hints_only(clever: House) -> None:
    clever.keep(map(approach, [GOAL, *OTHERS]))
    retrieval = Retrieval(clever.store, lambda: Semantic(Renamed(), "newer"))
    try:
        assert "not calibrated" in retrieval.how
        request = RecallRequest(session_id="tonight-1", project=OURS, query=GOAL.replace("Add", "Introduce"))
        soon(lambda: bool(retrieval.recall(request).recalled))
        # Once all have vectors, words no longer add what only they can vouch for.
        soon(lambda: retrieval._backfill.complete)
        assert [one.level for one in retrieval.recall(request).recalled] == ["hint"]
    finally:
        retrieval.close()


def test_a_person_finds_by_meaning_what_they_just_added(tmp_path: Path) -> None:
    knowledge = Knowledge.of(Settings(home=tmp_path), Redactor())
    try:
        added = knowledge.answer(Question(do="add", learning=approach(GOAL), project=OURS))
        assert added.changed == 1
        query = Question(do="search", query="throttle clients", project=OURS)
        soon(lambda: bool(knowledge.answer(query).hits))
        found = knowledge.answer(query)
        assert (found.search, found.hits[0].entry.learning.title) == ("semantic", GOAL)
        assert found.note.startswith("semantic: ")
        counted = knowledge.answer(Question(do="stats", project=OURS))
        assert (counted.search, counted.note) == ("semantic", found.note)
        assert knowledge.answer(query.model_copy(update={"project": THEIRS})).hits == []
        assert knowledge.answer(query.model_copy(update={"project": THEIRS, "across": True})).hits
    finally:
        knowledge.close()


def test_without_a_model_a_person_finds_by_words_and_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "no model: " + "x" * 1_000
    for asked in ("semantic", "presumed"):
        monkeypatch.setattr(f"activities.knowledge.knowledge.{asked}", lambda _: Semantic(None, why))
    knowledge = Knowledge.of(Settings(home=tmp_path), Redactor())
    try:
        knowledge.answer(Question(do="add", learning=approach(GOAL), project=OURS))
        found = knowledge.answer(Question(do="search", query="rate limiting", project=OURS))
        assert [hit.entry.learning.title for hit in found.hits] == [GOAL]
        assert found.search == "lexical"
        assert found.note.startswith("lexical: no model: xxx")
        assert len(found.note.encode()) <= 400
    finally:
        knowledge.close()


def test_what_was_learned_is_found_at_once(tmp_path: Path) -> None:
    knowledge = Knowledge.of(Settings(home=tmp_path), Redactor())
    try:
        request = LearnRequest(session_id="earlier-1", project=OURS, learnings=[approach(GOAL)])
        assert len(knowledge.learn(request).saved) == len(knowledge.learn(request).saved) == 1
        asked = RecallRequest(session_id="tonight-1", project=OURS, query="Limit how often clients call the public API")
        assert [one.title for one in knowledge.recall(asked).recalled] == [GOAL]
    finally:
        knowledge.close()


COLD = """
import sys, threading, time
from pathlib import Path
from activities.knowledge.knowledge import Knowledge
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from tests.activities.knowledge.learned import OURS, approach
from workflows.contracts.knowledge import LearnRequest, Question, RecallRequest

home = Path(sys.argv[1])
heavy = lambda: {"numpy", "fastembed", "onnxruntime"} & {*sys.modules}
knowledge = Knowledge.of(Settings(home=home), Redactor())
knowledge.warm()
assert not (home / "knowledge").exists(), "to look whether there is something makes nothing"
asked = RecallRequest(session_id="tonight-1", project=OURS, query="Limit how often clients call the public API")
assert knowledge.recall(asked).search == "semantic"
assert knowledge.answer(Question(do="search", query="anything", across=True)).hits == []
assert knowledge.answer(Question(do="stats", across=True)).search == "semantic"
knowledge.warm()
for thread in threading.enumerate():
    if thread.name == "knowledge-warm":
        thread.join()  # it looks for what is there now, not for what is learned next
goal = "Add rate limiting to the public API endpoints"
kept = knowledge.learn(LearnRequest(session_id="earlier-1", project=OURS, learnings=[approach(goal)]))
assert len(kept.saved) == 1
time.sleep(0.2)
assert not heavy(), heavy()
if sys.argv[2] == "warm":
    knowledge.close()
    knowledge = Knowledge.of(Settings(home=home), Redactor())
    knowledge.warm()
    ends = time.monotonic() + 60
    while "all-MiniLM" not in knowledge.how:
        assert time.monotonic() < ends
        time.sleep(0.05)
else:
    assert [one.title for one in knowledge.recall(asked).recalled] == [goal]
assert heavy()
knowledge.close()
"""


@pytest.mark.parametrize("then", ["warm", "recalled at once"])
def test_no_model_is_loaded_before_there_is_something_to_find(tmp_path: Path, then: str) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(tmp_path), then],
        cwd=root,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_store_that_is_away_is_told_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "knowledge").write_text("a file where the folder should be")
    knowledge = Knowledge.of(Settings(home=tmp_path), Redactor())
    try:
        asked = RecallRequest(session_id="tonight-1", project=OURS, query=GOAL)
        assert knowledge.recall(asked).problem
        assert knowledge.recall(asked.model_copy(update={"errors": [fingerprint(FAILED)]})).problem
        assert knowledge.learn(LearnRequest(session_id="earlier-1", project=OURS, learnings=[approach(GOAL)])).problem
        suggestion = knowledge.suggest_approach(GOAL, OURS)
        assert suggestion.problem
        assert suggestion.template == TEMPLATES["feature"]
        assert knowledge.get_error_solution(FAILED, OURS).problem
        assert knowledge.answer(Question(do="search", query=GOAL, project=OURS)).problem
    finally:
        knowledge.close()


def test_closing_ends_the_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    clever = House(tmp_path)
    clever.recall(GOAL)
    clever.close()
    assert threading.active_count() == before
