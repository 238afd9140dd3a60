"""Entries about the same thing as a text, by meaning where there is an embedder, else by words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from activities.knowledge.confidence import (
    BELOW_ADVICE,
    NEARLY_THE_SAME,
    Weights,
    calibration,
    confidences,
    letters,
    spelled_alike,
)
from activities.knowledge.contrast import Gist
from activities.knowledge.embedding import Semantic
from activities.knowledge.interface import Embedder
from activities.knowledge.store import Store
from workflows.contracts.knowledge import Entry, Hit, Kind

if TYPE_CHECKING:
    from activities.knowledge.interface import Vector

CANDIDATES = 32
"""Entries of each scope that are weighed: those nearest."""
_MORE = 16
"""Times as many, where all of those are of one goal: what else there is tells how far to trust them."""
_REMEMBERED = 256
"""Texts whose vectors are remembered: the goals of sessions that run, and what they were found with."""


@dataclass(frozen=True)
class Found:
    """An entry that may be about the same, and how far that is to be trusted."""

    entry: Entry
    confidence: float


class _Alike:
    """How much alike two of some hits are, by the vectors that the store has of them: asked for when first needed."""

    def __init__(self, hits: Sequence[Hit], vectors: Callable[[list[str]], dict[str, Vector]]) -> None:
        self._ids = [hit.entry.id for hit in hits]
        self._ask = vectors
        self._vectors: dict[str, Vector] | None = None

    def __call__(self, one: int, other: int) -> float:
        if self._vectors is None:
            self._vectors = self._ask(self._ids)
        first, second = (self._vectors.get(self._ids[n]) for n in (one, other))
        # Removed since it was found: of another goal, for all that is known.
        return 0.0 if first is None or second is None else float(first @ second)


class Likeness:
    """Finds by likeness in one store. Where that is empty, nothing is loaded.

    ``complete``: whether all entries have vectors of the present model.
    """

    def __init__(self, store: Store, semantic: Callable[[], Semantic], *, complete: Callable[[], bool]) -> None:
        self._store, self._semantic, self._complete = store, semantic, complete
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._lock = Lock()

    @property
    def calibrated(self) -> bool:
        """Whether confidence of this model's cosines is known; without that nothing becomes advice by likeness."""
        embedder = self._semantic().embedder
        return embedder is None or calibration().known(embedder.model_id)

    def find(self, text: str, project: str | None, kinds: Sequence[Kind]) -> list[Found]:
        """Entries above the hints' floor, the most trusted first. Raises ``KnowledgeAwayError``."""
        if not text.strip() or self._store.empty():
            return []
        embedder = self._semantic().embedder
        found = (
            {} if embedder is None else {one.entry.id: one for one in self._by_meaning(embedder, text, project, kinds)}
        )
        if embedder is None or not self._complete():
            for one in self._by_words(text, project, kinds):
                found.setdefault(one.entry.id, one)
        return sorted(found.values(), key=lambda one: -one.confidence)

    def near(
        self, text: str, project: str | None, kinds: Sequence[Kind], limit: int, *, across: bool = False
    ) -> list[Hit] | None:
        """The nearest by meaning, whatever they are worth; nothing where there is no embedder."""
        if not text.strip() or self._store.empty() or (embedder := self._semantic().embedder) is None:
            return None
        vector = self._vector(embedder, text)
        return self._store.search_vector(vector, embedder.model_id, project, kinds, limit, across=across)

    def _by_meaning(self, embedder: Embedder, text: str, project: str | None, kinds: Sequence[Kind]) -> list[Found]:
        vector, model = self._vector(embedder, text), embedder.model_id
        weights = calibration().semantic
        for many in (CANDIDATES, CANDIDATES * _MORE):
            hits = self._store.search_vector(vector, model, project, kinds, many)
            if not hits:
                return []
            alike = _Alike(hits, lambda ids: self._store.vectors(ids, model))
            scores = [hit.score for hit in hits]
            best = scores.index(max(scores))
            # What is not much like the text tells enough of the rest; only a crowd of one goal hides it.
            if (
                len(hits) < many
                or min(scores) < weights.floor
                or any(alike(best, n) < weights.same for n in range(len(hits)))
            ):
                break
        found = self._weighed(text, hits, scores, alike, weights, cut_off=len(hits) >= many)
        if calibration().known(embedder.model_id):
            return found
        return [Found(one.entry, min(one.confidence, BELOW_ADVICE)) for one in found]

    def _by_words(self, text: str, project: str | None, kinds: Sequence[Kind]) -> list[Found]:
        hits = self._store.search_lexical(text, project, kinds, CANDIDATES)
        spelled = [letters(hit.entry.learning.cue) for hit in hits]
        query = letters(text)
        likeness = [spelled_alike(query, own) for own in spelled]

        def alike(one: int, other: int) -> float:
            return spelled_alike(spelled[one], spelled[other])

        found = self._weighed(text, hits, likeness, alike, calibration().lexical, cut_off=len(hits) >= CANDIDATES)
        near = {hit.entry.id for hit, own in zip(hits, likeness, strict=True) if own >= NEARLY_THE_SAME}
        return [one if one.entry.id in near else Found(one.entry, min(one.confidence, BELOW_ADVICE)) for one in found]

    def _weighed(
        self,
        text: str,
        hits: Sequence[Hit],
        likeness: Sequence[float],
        alike: Callable[[int, int], float],
        weights: Weights,
        *,
        cut_off: bool,
    ) -> list[Found]:
        texts = [Gist(hit.entry.learning.cue) for hit in hits]
        trusted = confidences(Gist(text), texts, likeness, alike, weights, cut_off=cut_off)
        return [
            Found(hit.entry, confidence)
            for hit, confidence in zip(hits, trusted, strict=True)
            if confidence >= weights.hint
        ]

    def _vector(self, embedder: Embedder, text: str) -> Vector:
        with self._lock:
            if (known := self._vectors.get(text)) is not None:
                self._vectors.move_to_end(text)
                return known
        made: Vector = embedder.embed([text])[0]
        with self._lock:
            self._vectors[text] = made
            while len(self._vectors) > _REMEMBERED:
                self._vectors.popitem(last=False)
        return made
