"""Entries with their record, vectors, and what was forgotten; full text by FTS5 or tsvector."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import UserDefinedType

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_SEARCHED = ("tags", "title", "cue", "advice")


class _HalfVector(UserDefinedType[bytes]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "halfvec"


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "knowledge_entries",
        sa.Column("seq", _SEQ, sa.Identity(), primary_key=True),
        # In the order of its bytes, whatever the server's language is.
        sa.Column("id", sa.String(64, collation="C" if postgres else None), nullable=False, unique=True),
        sa.Column("project", sa.String(64)),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("cue", sa.Text, nullable=False),
        sa.Column("advice", sa.Text, nullable=False),
        sa.Column("task_type", sa.String(64), nullable=False),
        sa.Column("exact", sa.String(64)),
        sa.Column("template", sa.String(64)),
        sa.Column("error_kind", sa.String(128)),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("commit_id", sa.String(64)),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("worked", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("failed_in_a_row", sa.Integer, nullable=False),
    )
    for column in ("exact", "template", "error_kind"):
        op.create_index(
            f"knowledge_entries_{column}",
            "knowledge_entries",
            [column, "seq"],
            sqlite_where=sa.text(f"{column} IS NOT NULL"),
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index("knowledge_entries_updated", "knowledge_entries", ["updated", "id"])
    op.create_index("knowledge_entries_project", "knowledge_entries", ["project", "updated", "id"])
    entry = sa.ForeignKey("knowledge_entries.seq", ondelete="CASCADE")
    op.create_table(
        "knowledge_feedback",
        sa.Column("entry", _SEQ, entry, primary_key=True),
        sa.Column("session_id", sa.String(64), primary_key=True),
        sa.Column("worked", sa.Boolean, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "knowledge_embeddings",
        sa.Column("seq", _SEQ, sa.Identity(), primary_key=True),
        sa.Column("entry", _SEQ, sa.ForeignKey("knowledge_entries.seq", ondelete="CASCADE"), nullable=False),
        sa.Column("model_id", sa.String(100), nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("vec", _HalfVector() if postgres else sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("entry", "model_id"),
        # Without it a number could be given twice, and a matrix in memory would miss a vector.
        sqlite_autoincrement=True,
    )
    op.create_index("knowledge_embeddings_model", "knowledge_embeddings", ["model_id", "seq"])
    op.create_table(
        "knowledge_forgotten",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "knowledge_vectors_removed",
        sa.Column("one", sa.Integer, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO knowledge_vectors_removed (one, count) VALUES (1, 0)")
    if postgres:
        _search_in_postgres()
    else:
        _search_in_sqlite()


def _search_in_postgres() -> None:
    op.execute(
        "ALTER TABLE knowledge_entries ADD COLUMN search tsvector GENERATED ALWAYS AS ("
        " setweight(to_tsvector('english', cue), 'A')"
        " || setweight(to_tsvector('english', title), 'B')"
        " || setweight(to_tsvector('english', advice), 'D')) STORED"
    )
    op.execute("CREATE INDEX knowledge_entries_search ON knowledge_entries USING gin (search)")


def _search_in_sqlite() -> None:
    columns = ", ".join(_SEARCHED)
    old, new = (", ".join(f"{row}.{name}" for name in _SEARCHED) for row in ("old", "new"))
    table = "knowledge_search"
    op.execute(
        f"CREATE VIRTUAL TABLE {table} USING fts5({columns}, content='knowledge_entries', content_rowid='seq',"
        " tokenize='porter unicode61')"
    )
    add = f"INSERT INTO {table} (rowid, {columns}) VALUES (new.seq, {new});"  # noqa: S608 - names of ours
    drop = f"INSERT INTO {table} ({table}, rowid, {columns}) VALUES ('delete', old.seq, {old});"  # noqa: S608
    op.execute(f"CREATE TRIGGER {table}_added AFTER INSERT ON knowledge_entries BEGIN {add} END")
    op.execute(f"CREATE TRIGGER {table}_removed AFTER DELETE ON knowledge_entries BEGIN {drop} END")
    op.execute(f"CREATE TRIGGER {table}_changed AFTER UPDATE OF {columns} ON knowledge_entries BEGIN {drop} {add} END")
    op.execute(
        "CREATE TRIGGER knowledge_vectors_gone AFTER DELETE ON knowledge_embeddings BEGIN"
        " UPDATE knowledge_vectors_removed SET count = count + 1; END"
    )
