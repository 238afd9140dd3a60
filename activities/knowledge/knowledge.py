"""Everything that a worker does with knowledge: one store, what finds in it, and what a person asks of it."""

from __future__ import annotations

import threading

import structlog

from activities.knowledge.embedding import Semantic, presumed, semantic
from activities.knowledge.interface import KnowledgeAwayError
from activities.knowledge.retrieval import Retrieval
from activities.knowledge.store import Store, open_store
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import (
    MAX_HITS,
    Entry,
    Kind,
    LearnRequest,
    LearnResult,
    Question,
    RecallRequest,
    RecallResult,
    Reply,
)
from workflows.contracts.suggestion import Solutions, Suggestion
from workflows.contracts.text import clip

NOTE_BYTES = 400
"""What fits into the note of a reply."""

log = structlog.get_logger(__name__)


class Knowledge:
    """Every call blocks, may come from several threads, and tells in its result what kept it from its work."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._retrieval = Retrieval(store, self._semantic, lambda: presumed(settings))

    @classmethod
    def of(cls, settings: Settings, redactor: Redactor) -> Knowledge:
        """What these settings choose. Raises ``ValueError``, in words, for a URL of no store."""
        return cls(open_store(settings, redactor), settings)

    @property
    def where(self) -> str:
        """The store as a person would name it; never with a password."""
        return self._store.where

    @property
    def how(self) -> str:
        """How knowledge is found here, and why so, in words. Loads nothing."""
        return self._retrieval.how

    def problem(self) -> str:
        """What keeps the store from being used, in words; empty where nothing does, or where nobody has made it yet."""
        try:
            if not self._store.absent:
                self._store.check()
        except KnowledgeAwayError as error:
            return str(error)
        return ""

    def warm(self) -> None:
        """Load model and vectors in the background: the first question waits 3 s for them else. Returns at once.

        Where there is nothing to be found, nothing is loaded, and no store is made: it costs 2 s and 240 MB.
        """
        if not self._store.absent:
            threading.Thread(target=self._warm, name="knowledge-warm", daemon=True).start()

    def close(self) -> None:
        """End what goes on in the background, and let go of the store."""
        self._retrieval.close()
        self._store.close()

    def recall(self, request: RecallRequest) -> RecallResult:
        """What may help with a goal or an error; nothing when nothing fits."""
        return self._retrieval.recall(request)

    def suggest_approach(self, goal: str, project: str | None) -> Suggestion:
        """What sessions on similar goals teach for this one."""
        return self._retrieval.suggest_approach(goal, project)

    def get_error_solution(self, error: str | list[Fingerprint], project: str | None) -> Solutions:
        """What mended this error, as it was printed or by its fingerprints."""
        return self._retrieval.get_error_solution(error, project)

    def of_project(self, project: str, kind: Kind) -> list[Entry]:
        """The newest entries that are the project's own, a person's first; none where the store is away."""
        try:
            return self._store.newest(project, [kind], MAX_HITS, person_first=True)
        except KnowledgeAwayError as error:
            log.info("nothing is known of the project now", reason=str(error))
            return []

    def learn(self, request: LearnRequest) -> LearnResult:
        """Keep what a session taught, ready to be found. The same request again keeps it once."""
        try:
            kept = self._store.learn(request)
        except KnowledgeAwayError as error:
            return LearnResult(problem=str(error))
        # To keep something, no model is loaded; without one, whatever looks for something first makes the vectors.
        known = presumed(self._settings)
        if known is not None and known.embedder is not None and kept.saved:
            try:
                self._store.embed(known.embedder, len(kept.saved), kept.saved)
            except KnowledgeAwayError as error:
                # It is kept; its vectors are made in the background later.
                log.info("learnings have no vectors yet", reason=str(error))
        return kept

    def answer(self, question: Question) -> Reply:
        """The store's answer to a person, or a change that they make; a search is by meaning where that is possible."""
        try:
            reply = self._store.ask(question)
            if reply.changed and question.do in ("add", "edit", "import"):
                self._retrieval.written()
            if reply.problem or question.do not in ("search", "stats"):
                return reply
            found = self._retrieval.search(question, reply) if question.do == "search" else reply
            return found.model_copy(update={"search": self._retrieval.kind, "note": clip(self.how, NOTE_BYTES)})
        except KnowledgeAwayError as error:
            return Reply(problem=str(error), away=True, where=self._store.where)

    def _warm(self) -> None:
        try:
            self._retrieval.warm()
        except KnowledgeAwayError as error:
            log.info("knowledge is not loaded yet", reason=str(error))

    def _semantic(self) -> Semantic:
        return semantic(self._settings)
