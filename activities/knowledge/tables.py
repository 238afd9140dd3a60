"""The tables of knowledge, the same in SQLite and PostgreSQL; what only one of them has is in its migration."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

REVISIONS = ("0001",)
"""All migrations, from the first to the newest. A store at another one was made by a newer Overnight."""
VERSION_TABLE = "knowledge_version"
"""Not Alembic's own name: the database may have other tenants."""

metadata = MetaData()

_SEQ = BigInteger().with_variant(Integer, "sqlite")

entries = Table(
    "knowledge_entries",
    metadata,
    Column("seq", _SEQ, Identity(), primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("project", String(64)),
    Column("tags", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("title", Text, nullable=False),
    Column("cue", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("task_type", String(64), nullable=False),
    Column("exact", String(64)),
    Column("template", String(64)),
    Column("error_kind", String(128)),
    Column("held", Boolean, nullable=False),
    Column("seconds", Double),
    Column("commit_id", String(64)),
    Column("source", String(64), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("worked", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("failed_in_a_row", Integer, nullable=False, default=0),
)
"""``tags`` says scope and kind in words that no text has, for the search; moments are microseconds since 1970."""

feedback = Table(
    "knowledge_feedback",
    metadata,
    Column("entry", _SEQ, ForeignKey(entries.c.seq, ondelete="CASCADE"), primary_key=True),
    Column("session_id", String(64), primary_key=True),
    Column("worked", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)

embeddings = Table(
    "knowledge_embeddings",
    metadata,
    Column("seq", _SEQ, Identity(), primary_key=True),
    Column("entry", _SEQ, ForeignKey(entries.c.seq, ondelete="CASCADE"), nullable=False),
    Column("model_id", String(100), nullable=False),
    Column("dim", Integer, nullable=False),
    Column("vec", LargeBinary, nullable=False),
)
"""In PostgreSQL ``vec`` is a ``halfvec`` of pgvector; here a blob of float16."""

forgotten = Table(
    "knowledge_forgotten",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created", BigInteger, nullable=False),
)
"""Nothing but hashes: what sessions may not bring back."""

vectors_removed = Table(
    "knowledge_vectors_removed",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
"""Of one row: how many vectors were ever removed, so that a matrix in memory knows when it is stale."""
