"""Search by meaning: exact over a matrix in memory for SQLite, by pgvector's index in PostgreSQL.

Whoever calls anything here holds a vector, and so has numpy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, insert, select, text

from activities.knowledge.database import Database
from activities.knowledge.interface import Embedder
from activities.knowledge.lexical import EVERYTHING, Scope, Scored
from activities.knowledge.rows import KINDS
from activities.knowledge.tables import embeddings, entries, vectors_removed
from workflows.contracts.knowledge import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from activities.knowledge.interface import Vector

BATCH = 64
"""Texts that are embedded at once."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}", re.ASCII)
_MAX_DIM = 4_000
_PAGE = 4_096
_ROOM = 64
_NEWEST = 2**62
"""Greater than the number of any entry."""
_OUT = -2.0
"""Less than any cosine: not in the scope."""


class Vectors:
    """The vectors of one store, of any number of models."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._matrices: dict[str, _Matrix] = {}

    def embed(self, embedder: Embedder, limit: int, ids: Sequence[str] | None) -> int:
        """Embed the cues of at most that many entries that have no vector of this model; return of how many.

        With ``ids`` only of these; to look through all of 100,000 takes a tenth of a second.
        """
        model, dim = _checked(embedder.model_id), embedder.dim
        if not 1 <= dim <= _MAX_DIM:
            raise ValueError(f"a vector has 1 to {_MAX_DIM} numbers, not {dim}")
        done, before = 0, _NEWEST
        while done < limit:
            lacking = _lacking(model).where(entries.c.seq < before).order_by(entries.c.seq.desc())
            lacking = lacking if ids is None else lacking.where(entries.c.id.in_(ids))
            with self._database.reading() as connection:
                found = connection.execute(lacking.limit(min(BATCH, limit - done))).all()
            if not found:
                break
            before = found[-1].seq
            cues = {row.seq: row.cue for row in found}
            vectors = dict(zip(cues, embedder.embed(list(cues.values())), strict=True))
            with self._database.writing() as connection:
                if self._database.is_server:
                    _index(connection, model, dim)
                # Some may have been removed, edited, or embedded by another process meanwhile.
                still = connection.execute(_lacking(model).where(entries.c.seq.in_(cues))).all()
                there = [row.seq for row in still if row.cue == cues[row.seq]]
                self._put(
                    connection,
                    [{"entry": n, "model_id": model, "dim": dim, "vec": self._packed(vectors[n])} for n in there],
                )
            done += len(found)
        return done

    def search(self, vector: Vector, model_id: str, scope: Scope, kinds: Sequence[Kind], limit: int) -> Scored:
        """The entries of this scope whose cues mean nearly the same; the score is the cosine, at least 0."""
        model = _checked(model_id)
        with self._database.reading() as connection:
            if self._database.is_server:
                return _in_postgres(connection, vector, model, scope, kinds, limit)
            with self._lock:
                matrix = self._matrices.setdefault(model, _Matrix(model))
                matrix.refresh(connection, self._database.replaced)
                return matrix.nearest(vector, scope, kinds, limit)

    def of(self, ids: Sequence[str], model_id: str) -> dict[str, Vector]:
        """The vectors of this model that these entries have."""
        import numpy as np

        model = _checked(model_id)
        with self._database.reading() as connection:
            named = select(entries.c.seq, entries.c.id).where(entries.c.id.in_(ids))
            names = {row.seq: row.id for row in connection.execute(named)}
            if self._database.is_server:
                sql = "SELECT entry, CAST(vec AS real[]) FROM knowledge_embeddings WHERE model_id = :model"
                rows = connection.execute(
                    text(f"{sql} AND entry = ANY(:numbers)"), {"model": model, "numbers": [*names]}
                )
                return {names[row[0]]: np.asarray(row[1], dtype=np.float32) for row in rows}
            # By entry alone: asked for the model too, SQLite looks through all vectors of it.
            found = select(embeddings.c.entry, embeddings.c.model_id, embeddings.c.vec)
            stored = connection.execute(found.where(embeddings.c.entry.in_(names)))
            return {
                names[row.entry]: np.frombuffer(row.vec, dtype=np.float16).astype(np.float32)
                for row in stored
                if row.model_id == model
            }

    def _packed(self, vector: Vector) -> bytes | str:
        import numpy as np

        return _literal(vector) if self._database.is_server else np.asarray(vector, dtype=np.float16).tobytes()

    def _put(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        if self._database.is_server:
            columns = "INSERT INTO knowledge_embeddings (entry, model_id, dim, vec)"
            connection.execute(text(f"{columns} VALUES (:entry, :model_id, :dim, CAST(:vec AS halfvec))"), rows)
        else:
            connection.execute(insert(embeddings), rows)


def _lacking(model: str) -> Select[tuple[int, str]]:
    """Entries without a vector of this model."""
    has = select(1).where(embeddings.c.entry == entries.c.seq, embeddings.c.model_id == model)
    return select(entries.c.seq, entries.c.cue).where(~has.exists())


def _checked(model_id: str) -> str:
    if not _MODEL.fullmatch(model_id):
        raise ValueError("the id of a model is at most 100 letters, digits and any of ._:/@+-")
    return model_id


@dataclass
class _Arrays:
    """The vectors of one scope, a row each; the last rows are room for more."""

    rows: NDArray[np.float32]
    numbers: NDArray[np.int64]
    kinds: NDArray[np.int8]
    used: int = 0

    @classmethod
    def of(cls, room: int, dim: int) -> _Arrays:
        import numpy as np

        return cls(
            rows=np.zeros((room, dim), dtype=np.float32),
            numbers=np.zeros(room, dtype=np.int64),
            kinds=np.zeros(room, dtype=np.int8),
        )

    def add(self, row: Row[Any]) -> None:
        """Take a vector in; one of another length than the first is passed over."""
        import numpy as np

        if len(row.vec) != 2 * self.rows.shape[1]:
            return
        if self.used == len(self.numbers):
            wider = _Arrays.of(2 * self.used, self.rows.shape[1])
            for name in ("rows", "numbers", "kinds"):
                getattr(wider, name)[: self.used] = getattr(self, name)
            self.rows, self.numbers, self.kinds = wider.rows, wider.numbers, wider.kinds
        self.rows[self.used] = np.frombuffer(row.vec, dtype=np.float16)
        self.numbers[self.used] = row.entry
        self.kinds[self.used] = KINDS.index(row.kind)
        self.used += 1

    def nearest(self, vector: Vector, kinds: Sequence[Kind], limit: int) -> Scored:
        """Numbers of entries with their cosines, in no order."""
        import numpy as np

        if self.rows.shape[1] != len(vector):
            return []
        # On one core: BLAS takes all of them, and waits for them when others are at work.
        likeness = np.vecdot(self.rows[: self.used], np.asarray(vector, dtype=np.float32))
        if kinds:
            likeness[~np.isin(self.kinds[: self.used], [KINDS.index(kind) for kind in kinds])] = _OUT
        best = np.argpartition(likeness, -limit)[-limit:] if limit < self.used else np.arange(self.used)
        return [(int(self.numbers[n]), _unit(float(likeness[n]))) for n in best if likeness[n] > _OUT]


@dataclass
class _Matrix:
    """All vectors of one model in memory, as the database has them, apart by scope."""

    model: str
    last: int = 0
    """Number of the newest vector that is in it."""
    removed: tuple[int, int] = (-1, -1)
    """How often the store had been replaced then, and how many vectors removed."""
    scopes: dict[str | None, _Arrays] = field(default_factory=dict)

    def refresh(self, connection: Connection, replaced: int) -> None:
        """Take in what others wrote since; all of it anew when a vector was removed, or the store replaced."""
        gone = (replaced, connection.execute(select(vectors_removed.c.count)).scalar_one())
        if gone != self.removed:
            self.last, self.removed = 0, gone
            self.scopes.clear()
        newer = (
            select(embeddings, entries.c.project, entries.c.kind)
            .join_from(embeddings, entries)
            .where(embeddings.c.model_id == self.model)
            .order_by(embeddings.c.seq)
            .limit(_PAGE)
        )
        while found := connection.execute(newer.where(embeddings.c.seq > self.last)).all():
            for row in found:
                if row.project not in self.scopes:
                    self.scopes[row.project] = _Arrays.of(_ROOM, row.dim)
                self.scopes[row.project].add(row)
            self.last = found[-1].seq

    def nearest(self, vector: Vector, scope: Scope, kinds: Sequence[Kind], limit: int) -> Scored:
        """See ``Vectors.search``."""
        seen = self.scopes.values() if scope == EVERYTHING else [self.scopes[scope]] if scope in self.scopes else []
        return _in_order(one for arrays in seen for one in arrays.nearest(vector, kinds, limit))[:limit]


def _in_order(scored: Iterable[tuple[int, float]]) -> Scored:
    """The best first; of equal ones the newer."""
    return sorted(scored, key=lambda one: (-one[1], -one[0]))


def _unit(cosine: float) -> float:
    return min(1.0, max(0.0, cosine))


def _in_postgres(
    connection: Connection, vector: Vector, model: str, scope: Scope, kinds: Sequence[Kind], limit: int
) -> Scored:
    dim = len(vector)
    likeness = f"(v.vec::halfvec({dim}) <=> CAST(:vector AS halfvec({dim})))"
    within = "" if scope == EVERYTHING else " AND e.project IS NULL" if scope is None else " AND e.project = :project"
    within += " AND e.kind = ANY(:kinds)" if kinds else ""
    given: dict[str, object] = {"vector": _literal(vector), "limit": limit}
    given |= {"project": scope} if ":project" in within else {}
    given |= {"kinds": list(kinds)} if kinds else {}
    # What the index finds first may all belong to other projects: it goes on until there are enough.
    connection.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    found = connection.execute(
        text(
            f"SELECT e.seq, 1 - {likeness} FROM knowledge_embeddings v JOIN knowledge_entries e ON e.seq = v.entry"  # noqa: S608 - ours
            f" WHERE v.model_id = '{model}' AND v.dim = {dim}{within} ORDER BY {likeness} LIMIT :limit"
        ),
        given,
    )
    return _in_order((number, _unit(float(score))) for number, score in found)


def _index(connection: Connection, model: str, dim: int) -> None:
    """An index for this model's vectors: one needs to know how long they are."""
    name = f"knowledge_nearest_{hashlib.sha256(f'{model} {dim}'.encode()).hexdigest()[:12]}"
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is None:
        connection.execute(
            text(
                f"CREATE INDEX {name} ON knowledge_embeddings USING hnsw ((vec::halfvec({dim})) halfvec_cosine_ops)"
                f" WHERE model_id = '{model}' AND dim = {dim}"
            )
        )


def _literal(vector: Vector) -> str:
    return f"[{','.join(f'{float(number):.6g}' for number in vector)}]"
