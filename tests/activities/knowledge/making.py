"""Stores and what is put into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from activities.knowledge import Store, open_store
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import Entry, Feedback, Learning, LearnRequest, LearnResult, Question, Reply

HERE, THERE = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
"""Keys of two projects."""


@dataclass
class Place:
    """Where a store is; several may be opened on it, as by several processes."""

    home: Path
    url: str | None = None
    opened: list[Store] = field(default_factory=list)

    def settings(self, **chosen: Any) -> Settings:
        return Settings(home=self.home, knowledge_url=self.url, **chosen)

    def open(self, known: Sequence[str] = (), **chosen: Any) -> Store:
        store = open_store(self.settings(**chosen), Redactor.of(known))
        self.opened.append(store)
        return store

    def empty(self) -> None:
        if self.url is not None:
            self.open().check()
            with psycopg.connect(self.url) as connection:
                connection.execute("TRUNCATE knowledge_entries, knowledge_forgotten CASCADE")

    def close(self) -> None:
        for store in self.opened:
            store.close()


def approach(cue: str, advice: str = "Write the tests first.", **more: Any) -> Learning:
    return Learning(kind=more.pop("kind", "approach"), title=cue, cue=cue, advice=advice, **more)


def solution(number: int, advice: str, *, template: str = "t1", kind: str = "KeyError") -> Learning:
    fingerprint = Fingerprint(exact=f"v1:{number}", template=f"v1:{template}", kind=kind)
    return approach(f"KeyError: {number}", advice, kind="error_solution", fingerprint=fingerprint)


def learn(
    store: Store, *learnings: Learning, session: str = "night-1", project: str = HERE, feedback: Sequence[Feedback] = ()
) -> LearnResult:
    request = LearnRequest(session_id=session, project=project, learnings=list(learnings), feedback=list(feedback))
    return store.learn(request)


def used(store: Store, id_: str, *sessions: str, worked: bool) -> Entry:
    for session in sessions:
        learn(store, session=session, feedback=[Feedback(id=id_, worked=worked)])
    (entry,) = store.get([id_])
    return entry


def ask(store: Store, do: str, **more: Any) -> Reply:
    reply = store.ask(Question.model_validate({"do": do, "project": HERE, **more}))
    assert len(reply.model_dump_json().encode()) < 256 * 1024
    return reply


def cues(entries: Sequence[Any]) -> list[str]:
    """Of entries, hits or matches."""
    return [getattr(one, "entry", one).learning.cue for one in entries]
