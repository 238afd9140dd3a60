"""What changes entries: learning, noting whether one helped, a person's acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activities.knowledge.rows import now, values
from activities.knowledge.tables import embeddings, entries, feedback, forgotten
from workflows.contracts.knowledge import PERSON, Learning


def upsert(connection: Connection, id_: str, project: str | None, learning: Learning, source: str) -> None:
    """Keep a learning; of one that is there, note that it was seen again, and leave its text as it is."""
    at = now()
    row = values(project, learning) | {"id": id_, "source": source, "created": at, "updated": at}
    row |= {"worked": 0, "failed": 0, "failed_in_a_row": 0}
    made = _insert(connection)
    new = made(entries).values(row)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[entries.c.id],
            set_={
                "updated": new.excluded.updated,
                "seconds": func.coalesce(new.excluded.seconds, entries.c.seconds),
                "commit_id": func.coalesce(new.excluded.commit_id, entries.c.commit_id),
            },
        )
    )


def note_use(connection: Connection, which: ColumnElement[bool], session_id: str, *, worked: bool) -> None:
    """Note once for each session whether an entry helped it."""
    number = connection.execute(select(entries.c.seq).where(which)).scalar()
    if number is None:
        return
    made = _insert(connection)
    row = {"entry": number, "session_id": session_id, "worked": worked, "created": now()}
    noted = connection.execute(made(feedback).values(row).on_conflict_do_nothing().returning(feedback.c.entry)).scalar()
    if noted is None:
        return
    column = entries.c.worked if worked else entries.c.failed
    in_a_row = 0 if worked else entries.c.failed_in_a_row + 1
    connection.execute(
        update(entries)
        .where(entries.c.seq == number)
        .values({column: column + 1, "failed_in_a_row": in_a_row, "updated": now()})
    )


def add(connection: Connection, id_: str, project: str | None, learning: Learning) -> None:
    """Keep what a person says, even if it was forgotten before; what sessions learned of the same kind stands."""
    connection.execute(delete(forgotten).where(forgotten.c.id == id_))
    upsert(connection, id_, project, learning, PERSON)
    said = {"source": PERSON, "title": learning.title, "held": True, "failed_in_a_row": 0}
    connection.execute(update(entries).where(entries.c.id == id_).values(said))


def edit(connection: Connection, number: int, project: str | None, before: Learning, learning: Learning) -> None:
    """Make an entry say this, for this scope.

    Other words are the person's own: whatever became of those before, these get a try. What it is found by needs a new
    vector when that changes, and so does another scope: those in memory are sorted by it.
    """
    changed = values(project, learning) | {"updated": now()}
    if (before.cue, before.advice) != (learning.cue, learning.advice):
        changed |= {"source": PERSON, "held": True, "failed_in_a_row": 0, "commit_id": None}
    connection.execute(update(entries).where(entries.c.seq == number).values(changed))
    connection.execute(delete(embeddings).where(embeddings.c.entry == number))


def forget(connection: Connection, number: int, id_: str) -> None:
    """Remove an entry, with its record and vectors; nothing but its id stays, so that no session brings it back."""
    connection.execute(delete(entries).where(entries.c.seq == number))
    connection.execute(_insert(connection)(forgotten).values({"id": id_, "created": now()}).on_conflict_do_nothing())


def put_back(connection: Connection, row: dict[str, Any]) -> bool:
    """Put an exported entry in with its record, if there is none of its id; whether it was new."""
    connection.execute(delete(forgotten).where(forgotten.c.id == row["id"]))
    put = _insert(connection)(entries).values(row).on_conflict_do_nothing().returning(entries.c.seq)
    return connection.execute(put).scalar() is not None


def _insert(connection: Connection) -> Callable[..., Any]:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
