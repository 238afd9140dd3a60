"""The store of knowledge: what sessions learned, with its record, in one database that many processes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Column, ColumnElement, Connection, Select, case, or_, select

from activities.knowledge import lexical, retention
from activities.knowledge.address import Address
from activities.knowledge.administration import Administration
from activities.knowledge.database import Database
from activities.knowledge.interface import Embedder
from activities.knowledge.lexical import EVERYTHING, Scope, Scored
from activities.knowledge.rows import FIELDS, clean, content_id, of_kinds, readable, seen_by
from activities.knowledge.tables import entries, forgotten
from activities.knowledge.vectors import Vectors
from activities.knowledge.writes import note_use, upsert
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import PERSON, Entry, Hit, Kind, LearnRequest, LearnResult, Question, Reply

if TYPE_CHECKING:
    from activities.knowledge.interface import Vector

MAX_FAILED = 2
"""What failed as often in a row is no longer given to sessions."""
Level = Literal["exact", "template", "kind"]
_COLUMNS: dict[Level, Column[str]] = {
    "exact": entries.c.exact,
    "template": entries.c.template,
    "kind": entries.c.error_kind,
}
_MAX_SAME = 500
"""Entries about one error that are weighed against each other: the newest."""


@dataclass(frozen=True)
class Match:
    """An entry about the same error, and how much is the same."""

    level: Level
    entry: Entry


class Store:
    """Every call blocks, may come from several threads, and raises ``KnowledgeAwayError`` when the database is away.

    Of what a search finds, the project's own comes first, then what is everywhere: each best first, and each at most
    ``limit``. ``across`` looks into every project instead.
    """

    def __init__(self, database: Database, redactor: Redactor, keep: retention.Keep) -> None:
        self._database = database
        self._redactor = redactor
        self._keep = keep
        self._vectors = Vectors(database)

    @property
    def where(self) -> str:
        """The store as a person would name it; never with a password."""
        return self._database.where

    def check(self) -> None:
        """Make or upgrade the store, and write to it. Raises ``KnowledgeAwayError`` when sessions could not."""
        with self._database.writing() as connection:
            retention.apply(connection, self._keep)

    def close(self) -> None:
        """Let go of all connections; a later call makes new ones."""
        self._database.close()

    def learn(self, request: LearnRequest) -> LearnResult:
        """Keep what a session taught, without secrets. The same request twice changes nothing the second time."""
        # Whoever starts sessions chooses their names, and a person's word counts for more than a session's.
        source = request.session_id if request.session_id != PERSON else f"session-{PERSON}"
        learned = [clean(learning, self._redactor) for learning in request.learnings]
        ids = [content_id(request.project, learning) for learning in learned]
        with self._database.writing() as connection:
            for given in request.feedback:
                note_use(connection, entries.c.id == given.id, source, worked=given.worked)
            gone = set(connection.execute(select(forgotten.c.id).where(forgotten.c.id.in_(ids))).scalars())
            there = select(entries.c.id, entries.c.cue, entries.c.advice).where(entries.c.id.in_(ids))
            says = {row.id: (row.cue, row.advice) for row in connection.execute(there)}
            for id_, learning in zip(ids, learned, strict=True):
                # What became of these words says nothing of those that a person has put in their place.
                words = learning.cue, learning.advice
                if id_ not in gone and says.get(id_, words) == words:
                    upsert(connection, id_, request.project, learning, source)
                    others = (entries.c.id == id_) & (entries.c.source != source)
                    note_use(connection, others, source, worked=learning.worked)
            retention.apply(connection, self._keep)
        return LearnResult(saved=[id_ for id_ in ids if id_ not in gone])

    def ask(self, question: Question) -> Reply:
        """Answer a person: look, or change. What is wrong with the question is told in the reply."""
        return Administration(self, self._database, self._redactor, self._keep).answer(question)

    def empty(self) -> bool:
        """Whether there is nothing to be found, of any project."""
        with self._database.reading() as connection:
            return connection.execute(select(entries.c.seq).limit(1)).first() is None

    @property
    def absent(self) -> bool:
        """Whether nobody has made it yet, as far as can be told without asking for it."""
        return self._database.absent

    def get(self, ids: Sequence[str]) -> list[Entry]:
        """The entries with these ids, in that order; those that are not there are left out."""
        with self._database.reading() as connection:
            found = connection.execute(select(*FIELDS).where(entries.c.id.in_(ids))).mappings()
            known = {row["id"]: one for row, one in readable(found)}
        return [known[id_] for id_ in ids if id_ in known]

    def search_lexical(
        self,
        text: str,
        project: str | None,
        kinds: Sequence[Kind] = (),
        limit: int = 10,
        *,
        across: bool = False,
    ) -> list[Hit]:
        """What has the rarest words of a text; any text is safe."""
        with self._database.reading() as connection:
            scored: Scored = []
            for scope in _scopes(project, across=across):
                scored += lexical.search(connection, text, scope, kinds, limit)
            return _hits(connection, scored)

    def search_vector(
        self,
        vector: Vector,
        model_id: str,
        project: str | None,
        kinds: Sequence[Kind] = (),
        limit: int = 10,
        *,
        across: bool = False,
    ) -> list[Hit]:
        """What means nearly the same as that vector of length 1; the score is the cosine, at least 0."""
        hits: list[Hit] = []
        for scope in _scopes(project, across=across):
            scored = self._vectors.search(vector, model_id, scope, kinds, limit)
            with self._database.reading() as connection:
                hits += _hits(connection, scored)
        return hits

    def newest(
        self, project: str | None, kinds: Sequence[Kind], limit: int, *, person_first: bool = False
    ) -> list[Entry]:
        """What this project taught, or what is everywhere, the newest first; or what a person said before all that."""
        own = entries.c.project.is_(None) if project is None else entries.c.project == project
        said = [case((entries.c.source == PERSON, 0), else_=1)] if person_first else []
        found = select(*FIELDS).where(own, *of_kinds(kinds))
        found = found.order_by(*said, entries.c.updated.desc(), entries.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [one for _, one in readable(connection.execute(found).mappings())]

    def vectors(self, ids: Sequence[str], model_id: str) -> dict[str, Vector]:
        """The vectors of these entries, as far as they have one of this model; each of length 1, nearly."""
        return self._vectors.of(ids, model_id)

    def by_fingerprint(
        self,
        fingerprint: Fingerprint,
        project: str | None,
        limit: int = 10,
        *,
        across: bool = False,
        usable: bool = False,
    ) -> list[Match]:
        """Solutions of the same error: exactly the same first, then of its template, then of its kind.

        Within a level the project's own come first, then what has the better record, then the newer. ``usable`` leaves
        out what never worked or failed twice in a row: many fixes that failed must not hide the one that did not.
        """
        found: list[Match] = []
        with self._database.reading() as connection:
            for level, column in _COLUMNS.items():
                value = getattr(fingerprint, level)
                if value and len(found) < limit:
                    seen = [match.entry.id for match in found]
                    conditions = [column == value, entries.c.id.not_in(seen), *of_kinds(["error_solution"])]
                    conditions += seen_by(project, across=across)
                    if usable:
                        conditions += [
                            entries.c.failed_in_a_row < MAX_FAILED,
                            or_(entries.c.held, entries.c.worked > 0),
                        ]
                    rows = connection.execute(_best(conditions, project, limit - len(found))).mappings()
                    found += [Match(level, one) for _, one in readable(rows)]
        return found

    def embed(self, embedder: Embedder, limit: int = 1_000, ids: Sequence[str] | None = None) -> int:
        """Embed the cues of at most that many entries that have no vector of this model; return of how many.

        With ``ids``, only of these: what was just learned. Without, what is oldest comes last.
        """
        return self._vectors.embed(embedder, limit, ids)


def open_store(settings: Settings, redactor: Redactor) -> Store:
    """The store that was chosen; nothing is asked of it yet.

    Raises ``ValueError``, in words, for a URL of no store and where the extra ``postgres`` is not installed.
    """
    if settings.knowledge_url:
        database = Database.server(Address.read(settings.knowledge_url))
    else:
        database = Database.file(settings.home / "knowledge" / "knowledge.db")
    return Store(database, redactor, retention.Keep(settings.knowledge_max_entries, settings.knowledge_max_days))


def _scopes(project: str | None, *, across: bool) -> list[Scope]:
    if across:
        return [EVERYTHING]
    return [None] if project is None else [project, None]


def _hits(connection: Connection, scored: Scored) -> list[Hit]:
    """The entries of these numbers, in that order."""
    numbers = [number for number, _ in scored]
    found = connection.execute(select(*FIELDS).where(entries.c.seq.in_(numbers))).mappings()
    known = {row["seq"]: one for row, one in readable(found)}
    return [Hit(entry=known[number], score=score) for number, score in scored if number in known]


def _best(conditions: Sequence[ColumnElement[bool]], project: str | None, limit: int) -> Select[Any]:
    newest = select(entries.c.seq).where(*conditions).order_by(entries.c.seq.desc()).limit(_MAX_SAME)
    own = case((entries.c.project == project, 0), else_=1)
    rate = (entries.c.worked + 1.0) / (entries.c.worked + entries.c.failed + 2.0)
    ranked = select(*FIELDS).where(entries.c.seq.in_(newest)).order_by(own, rate.desc(), entries.c.updated.desc())
    return ranked.limit(limit)
