"""Stores with what sessions learned, and the model by which it is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from activities.knowledge.embedding import Semantic, semantic
from activities.knowledge.interface import Embedder
from activities.knowledge.retrieval import Retrieval
from activities.knowledge.store import Store, open_store
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import (
    MAX_LEARNINGS,
    Feedback,
    Learning,
    LearnRequest,
    Question,
    Recalled,
    RecallRequest,
)

OURS, THEIRS = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
"""Keys of two projects."""


def model() -> Embedder:
    """The real one, once per process."""
    embedder = semantic(Settings()).embedder
    assert embedder is not None
    return embedder


def by_words() -> Semantic:
    """As it is without the extra."""
    return Semantic(None, "not installed")


class House:
    """One store and what finds in it."""

    def __init__(self, home: Path, *, lexical: bool = False) -> None:
        self.store: Store = open_store(Settings(home=home), Redactor())
        self.lexical = lexical
        self.retrieval = Retrieval(self.store, by_words if lexical else lambda: semantic(Settings()))

    def close(self) -> None:
        self.retrieval.close()
        self.store.close()

    def keep(self, learnings: Iterable[Learning], *, session: str = "earlier-1", project: str = OURS) -> list[str]:
        """Learnings of one session, with their vectors; returns their ids."""
        todo, saved = list(learnings), []
        for start in range(0, len(todo), MAX_LEARNINGS):
            part = todo[start : start + MAX_LEARNINGS]
            saved += self.store.learn(LearnRequest(session_id=session, project=project, learnings=part)).saved
        if not self.lexical:
            self.store.embed(model(), len(saved) + 1, saved)
        return saved

    def share(self, learning: Learning) -> None:
        """By a person, for every project."""
        reply = self.store.ask(Question(do="add", learning=learning, everywhere=True))
        assert reply.id
        if not self.lexical:
            self.store.embed(model(), 10, [reply.id])

    def used(self, id_: str, *sessions: str, worked: bool) -> None:
        for session in sessions:
            feedback = [Feedback(id=id_, worked=worked)]
            self.store.learn(LearnRequest(session_id=session, project=OURS, feedback=feedback))

    def recall(
        self, query: str, *, errors: Sequence[Fingerprint] = (), exclude: Sequence[str] = (), project: str = OURS
    ) -> list[Recalled]:
        request = RecallRequest(
            session_id="tonight-1", project=project, query=query, errors=list(errors), exclude=list(exclude)
        )
        result = self.retrieval.recall(request)
        assert not result.problem
        assert result.search == ("lexical" if self.lexical else "semantic")
        return result.recalled


def approach(goal: str, advice: str = "", **more: Any) -> Learning:
    return Learning(kind="approach", title=goal, cue=goal, advice=advice or f"How it was done: {goal}", **more)
