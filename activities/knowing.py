"""recall, learn, knowledge, suggest: what sessions take from earlier ones and leave to the next, and what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from temporalio import activity

from activities.knowledge import Knowledge
from workflows.contracts.applied import MAX_MEMORIES, MAX_OWN_RUNGS, Known, Memory, RecallAsked, RungRate
from workflows.contracts.knowledge import PERSON, Entry, LearnRequest, LearnResult, Question, Reply
from workflows.contracts.suggestion import LOADING, Answered, Sought
from workflows.policy import ladder

T = TypeVar("T")

_FIRST = ("how to set it up", "how to run its tests", "pitfall")
"""What of a project is told before anything else that sessions found; what a person wrote comes before it."""

SEARCH_SECONDS = 1.3
"""How long a search may take, of the 2 s that a client waits: a worker's first one loads a model."""


class Knowing:
    """The four questions, answered from one store. A store that is away is told in the answer."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    @activity.defn(name="recall")
    async def recall(self, asked: RecallAsked) -> Known:
        """What may help, and before the first plan what is known of the project."""
        return await asyncio.to_thread(self._recall, asked)

    @activity.defn(name="learn")
    async def learn(self, request: LearnRequest) -> LearnResult:
        """Keep what a session taught. The same request again keeps it once."""
        return await asyncio.to_thread(self._knowledge.learn, request)

    @activity.defn(name="knowledge")
    async def ask(self, question: Question) -> Reply:
        """The store's answer to a person's question, or a change that they make, which is made whole or not at all."""
        answering = asyncio.to_thread(self._knowledge.answer, question)
        if question.do != "search":
            return await answering
        return await _soon(answering) or Reply(problem=LOADING, away=True)

    @activity.defn(name="suggest")
    async def suggest(self, sought: Sought) -> Answered:
        """What sessions teach for a goal, or against an error, for a person; nothing while the model is loaded."""
        if sought.error:
            solving = asyncio.to_thread(self._knowledge.get_error_solution, sought.text, sought.project)
            return Answered(solutions=await _soon(solving))
        suggesting = asyncio.to_thread(self._knowledge.suggest_approach, sought.text, sought.project)
        return Answered(suggestion=await _soon(suggesting))

    def _recall(self, asked: RecallAsked) -> Known:
        found, project = self._knowledge.recall(asked.request), asked.request.project
        return Known(
            recalled=found.recalled,
            search=found.search,
            expected_seconds=found.estimated_seconds,
            problem=found.problem,
            memories=_memories(self._knowledge.of_project(project, "memory")) if asked.project_too else [],
            rungs=_rungs(self._knowledge.of_project(project, "recovery")) if asked.project_too else [],
        )


async def _soon(answer: Coroutine[Any, Any, T]) -> T | None:
    """The answer, or None where it is not there in time; what is loaded for it goes on being loaded."""
    answering = asyncio.create_task(answer)
    done, _ = await asyncio.wait({answering}, timeout=SEARCH_SECONDS)
    return answering.result() if done else None


def _memories(entries: Sequence[Entry]) -> list[Memory]:
    """A person's word on each thing, else the newest."""
    newest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda one: (one.source == PERSON, one.updated)):
        newest[entry.learning.cue] = entry
    chosen = sorted(newest.values(), key=lambda one: (one.source != PERSON, _rank(one), -one.updated.timestamp()))
    return [
        Memory(id=one.id, text=one.learning.advice, source=one.source, commit=one.learning.commit)
        for one in chosen[:MAX_MEMORIES]
    ]


def _rank(entry: Entry) -> int:
    title = entry.learning.title
    return next((n for n, words in enumerate(_FIRST) if title.startswith(words)), len(_FIRST))


def _rungs(entries: Sequence[Entry]) -> list[RungRate]:
    """How the rungs did, once per session; the session that an entry is from is not in its counts."""
    own = {rung.name for rung in ladder.OWN}
    return [
        RungRate(
            name=one.learning.cue,
            helped=one.worked + one.learning.worked,
            failed=one.failed + (not one.learning.worked),
        )
        for one in entries
        if one.learning.cue in own
    ][:MAX_OWN_RUNGS]
