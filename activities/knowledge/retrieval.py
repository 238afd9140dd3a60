"""What of the store may help with a goal or an error, and how far it is to be trusted.

Every call blocks. What could not be looked for is told in the result: knowledge never fails a session.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from activities.knowledge.backfill import Backfill
from activities.knowledge.confidence import ADVICE, BELOW_ADVICE
from activities.knowledge.embedding import Semantic
from activities.knowledge.interface import KnowledgeAwayError
from activities.knowledge.likeness import Found, Likeness
from activities.knowledge.store import MAX_FAILED, Match, Store
from activities.knowledge.templates import TEMPLATES
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import (
    MAX_HITS,
    MAX_RECALLED,
    Entry,
    Kind,
    Question,
    Recalled,
    RecallRequest,
    RecallResult,
    Reply,
    Search,
)
from workflows.contracts.suggestion import MAX_ISSUES, Estimate, Solution, Solutions, Suggestion
from workflows.policy.fingerprint import fingerprint as fingerprint_of
from workflows.policy.fingerprint import key_lines
from workflows.policy.task_type import task_type

LEVELS = {"exact": 0.95, "template": 0.8, "kind": 0.4}
"""Confidence in a solution that never failed: of the same error, of one with other names, of one of the same kind."""
SEEN = 0.3
"""Cosine from which a person who searches is shown an entry; whether it fits is theirs to see."""
_WAYS: tuple[Kind, ...] = ("approach", "template")
_ERRORS: tuple[Kind, ...] = ("error_solution",)
NOT_YET = "its model is loaded when it is first needed"
_NEWEST = 50
"""Of the project's entries, for what is not searched by likeness."""
_ENOUGH = 3
"""Sessions of one kind of task, below which their durations say nothing of another goal of that kind."""


def record(entry: Entry) -> float:
    """What is left of the trust in an entry by its record, the session that it is from included: 1 when it never
    failed, 2/3 after one failure. Success makes up for failures; it never makes an entry fit better."""
    worked = entry.worked + entry.learning.worked
    return (worked + 1) / (entry.worked + entry.failed + 2)


def usable(entry: Entry) -> bool:
    """Whether it may be given at all: it helped some session, and not failed twice in a row since."""
    return entry.failed_in_a_row < MAX_FAILED and (entry.learning.worked or entry.worked > 0)


@dataclass(frozen=True)
class _Trusted:
    entry: Entry
    confidence: float
    match: str = "text"

    @property
    def advice(self) -> bool:
        return self.confidence > ADVICE


class Retrieval:
    """Recall, suggestions and solutions of errors out of one store.

    ``semantic`` is asked when there is something to compare; ``presumed``, which loads nothing, until then.
    """

    def __init__(
        self, store: Store, semantic: Callable[[], Semantic], presumed: Callable[[], Semantic | None] | None = None
    ) -> None:
        self._store = store
        self._semantic = semantic
        self._presumed = presumed or semantic
        self._backfill = Backfill(store, semantic)
        self._likeness = Likeness(store, semantic, complete=lambda: self._backfill.complete)

    @property
    def how(self) -> str:
        """How knowledge is found here, and why so, in words."""
        if (found := self._presumed()) is None:
            return f"semantic: {NOT_YET}"
        if found.embedder is None:
            return f"lexical: {found.why}"
        doubt = "" if self._likeness.calibrated else "; not calibrated for this model, so it gives hints only"
        return f"semantic: {found.why}{doubt}"

    @property
    def kind(self) -> Search:
        """By meaning or by words."""
        found = self._presumed()
        return "lexical" if found is not None and found.embedder is None else "semantic"

    def warm(self) -> None:
        """Load in the background what the first question would have to wait for, if there is anything to be found.

        Raises ``KnowledgeAwayError``.
        """
        if not self._backfill.begun and not self._store.empty():
            self._backfill.start()

    def written(self) -> None:
        """A person changed something: it gets its vectors soon."""
        self._backfill.start()
        self._backfill.wake()

    def close(self) -> None:
        """End what goes on in the background."""
        self._backfill.close()

    def recall(self, request: RecallRequest) -> RecallResult:
        """What may help: advice before hints, the project's own before the others'; nothing when nothing fits."""
        try:
            self.warm()
            if request.errors:
                trusted = self._for_errors(request.query, request.errors, request.project)
                seconds = None
            else:
                ways = self._similar(request.query, request.project)
                trusted = _trusted(ways)
                estimate = _of_similar(ways, request.project)
                seconds = estimate.seconds if estimate else None
        except KnowledgeAwayError as error:
            return RecallResult(problem=str(error))
        left = [one for one in trusted if one.entry.id not in request.exclude]
        return RecallResult(
            recalled=[_recalled(one) for one in _chosen(left, request.project)],
            search=self.kind,
            estimated_seconds=seconds,
        )

    def suggest_approach(self, goal: str, project: str | None) -> Suggestion:
        """What sessions on similar goals teach for this one, and how such tasks are done as a rule."""
        kind = task_type(goal)
        known: dict[str, object] = {"task_type": kind, "template": TEMPLATES[kind]}
        try:
            self.warm()
            ways = self._similar(goal, project)
            similar = [found.entry for found in ways]
            estimate = _of_similar(ways, project) or _of_kind(kind, self._store.newest(project, ["approach"], _NEWEST))
            issues = [
                *_dead_ends(similar),
                *_errors(similar, self._store.newest(project, _ERRORS, _NEWEST) if similar else []),
            ]
        except KnowledgeAwayError as error:
            return Suggestion.model_validate({**known, "problem": str(error)})
        chosen = _chosen(_trusted(ways), project)
        if chosen:
            known |= {
                "suggested_approach": chosen[0].entry.learning.advice,
                "confidence": round(chosen[0].confidence, 3),
                "sources": list(dict.fromkeys(one.entry.source for one in chosen)),
            }
        return Suggestion.model_validate(
            {
                **known,
                "estimated_time": estimate,
                "potential_issues": list(dict.fromkeys(issues))[:MAX_ISSUES],
                "search": self.kind,
            }
        )

    def get_error_solution(self, error: str | Sequence[Fingerprint], project: str | None) -> Solutions:
        """What mended this error, or one like it: by fingerprint first, then by its text."""
        text = error if isinstance(error, str) else ""
        prints = [fingerprint_of(error)] if isinstance(error, str) else list(error)
        if isinstance(error, str) and not error.strip():
            return Solutions()
        try:
            self.warm()
            trusted = self._for_errors(text, prints, project)
        except KnowledgeAwayError as away:
            return Solutions(problem=str(away))
        return Solutions(solutions=[_solution(one) for one in _chosen(trusted, project)], search=self.kind)

    def search(self, question: Question, by_words: Reply) -> Reply:
        """What a person looks for, by meaning where that is possible: nearest first, then what only words found."""
        self.warm()
        kinds = [question.kind] if question.kind else []
        near = self._likeness.near(question.query, question.project, kinds, question.limit, across=question.across)
        if near is None:
            return by_words
        hits = {hit.entry.id: hit for hit in sorted(near, key=lambda hit: -hit.score) if hit.score >= SEEN}
        for hit in by_words.hits:
            hits.setdefault(hit.entry.id, hit)
        shown = list(hits.values())[: question.limit]
        return by_words.model_copy(update={"hits": shown})

    def _similar(self, goal: str, project: str | None) -> list[Found]:
        """Entries whose goals may be the same, failed ones included."""
        self._backfill.catch_up()
        return self._likeness.find(goal, project, _WAYS)

    def _for_errors(self, text: str, prints: Iterable[Fingerprint], project: str | None) -> list[_Trusted]:
        found: dict[str, _Trusted] = {}
        for wanted in prints:
            for match in self._store.by_fingerprint(wanted, project, limit=MAX_HITS, usable=True):
                if usable(match.entry):
                    _keep(found, _matched(match))
        if text.strip() and not any(one.match in ("exact", "template") for one in found.values()):
            words = "\n".join(key_lines(text)[:6])
            for alike in self._likeness.find(words, project, _ERRORS):
                if usable(alike.entry):
                    # Errors read alike and are not the same: what is the same has its fingerprint.
                    _keep(found, _Trusted(alike.entry, min(alike.confidence * record(alike.entry), BELOW_ADVICE)))
        return list(found.values())


def _keep(found: dict[str, _Trusted], new: _Trusted) -> None:
    known = found.get(new.entry.id)
    if known is None or known.confidence < new.confidence:
        found[new.entry.id] = new


def _matched(match: Match) -> _Trusted:
    return _Trusted(match.entry, LEVELS[match.level] * record(match.entry), match.level)


def _trusted(ways: Iterable[Found]) -> list[_Trusted]:
    return [_Trusted(way.entry, way.confidence * record(way.entry)) for way in ways if usable(way.entry)]


def _chosen(trusted: Iterable[_Trusted], project: str | None) -> list[_Trusted]:
    """As many as a prompt is given; the same words once."""
    ranked = sorted(
        trusted,
        key=lambda one: (
            one.advice,
            project is not None and one.entry.project == project,
            one.confidence,
            one.entry.worked,
            one.entry.updated,
            one.entry.id,
        ),
        reverse=True,
    )
    once: dict[str, _Trusted] = {}
    for one in ranked:
        once.setdefault(" ".join(one.entry.learning.advice.split()), one)
    return list(once.values())[:MAX_RECALLED]


def _recalled(one: _Trusted) -> Recalled:
    learning = one.entry.learning
    return Recalled(
        id=one.entry.id,
        kind=learning.kind,
        title=learning.title,
        advice=learning.advice,
        source=one.entry.source,
        confidence=round(one.confidence, 3),
        level="advice" if one.advice else "hint",
        commit=learning.commit,
        worked=one.entry.worked,
        failed=one.entry.failed,
    )


def _solution(one: _Trusted) -> Solution:
    learning = one.entry.learning
    return Solution.model_validate(
        {
            "id": one.entry.id,
            "match": one.match,
            "error": learning.title,
            "solution": learning.advice,
            "source": one.entry.source,
            "confidence": round(one.confidence, 3),
            "applies": one.advice,
            "worked": one.entry.worked,
            "failed": one.entry.failed,
        }
    )


def _of_similar(ways: Sequence[Found], project: str | None) -> Estimate | None:
    """From sessions on similar goals: the project's own if there are any."""
    timed = [way.entry for way in ways if way.entry.learning.worked and way.entry.learning.seconds is not None]
    own = [entry for entry in timed if entry.project == project]
    return _estimate([entry.learning.seconds or 0.0 for entry in own or timed], "on similar goals")


def _of_kind(kind: str, entries: Iterable[Entry]) -> Estimate | None:
    """From sessions on goals of the same kind, if there are enough."""
    seconds = [
        entry.learning.seconds
        for entry in entries
        if entry.learning.worked and entry.learning.seconds is not None and task_type(entry.learning.cue) == kind
    ]
    return _estimate(seconds, f"of the kind {kind}") if len(seconds) >= _ENOUGH and kind != "other" else None


def _estimate(seconds: Sequence[float], of: str) -> Estimate | None:
    if not seconds:
        return None
    many = len(seconds)
    return Estimate(
        seconds=statistics.median(seconds),
        shortest=min(seconds),
        longest=max(seconds),
        sessions=many,
        basis=f"measured active time of {many} session{'s' if many > 1 else ''} {of}",
    )


def _dead_ends(similar: Iterable[Entry]) -> list[str]:
    return [
        f"an earlier session did not get there this way: {_line(entry.learning.advice)}"
        for entry in similar
        if not usable(entry)
    ]


def _errors(similar: Iterable[Entry], errors: Iterable[Entry]) -> list[str]:
    """Errors that sessions on similar goals met."""
    sessions = {entry.source for entry in similar}
    return [
        f"{_line(entry.learning.title)}{': ' + _line(entry.learning.advice) if usable(entry) else ' (no fix known)'}"
        for entry in errors
        if entry.source in sessions
    ]


def _line(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 180 else f"{shown[:179]}…"
