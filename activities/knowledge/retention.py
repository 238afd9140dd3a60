"""How much is kept, and for how long: what nobody learned again or used for the longest time goes first."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from activities.knowledge.rows import now
from activities.knowledge.tables import entries
from workflows.contracts.knowledge import PERSON

_DAY = 86_400 * 1_000_000
_SHARE = 100
"""Of the entries, one in so many goes at once when there are too many: what is learned next finds room."""


@dataclass(frozen=True)
class Keep:
    """Limits of a store. What a person added stays."""

    entries: int
    days: int


def apply(connection: Connection, keep: Keep) -> int:
    """Remove what is beyond the limits; return how many."""
    learned = entries.c.source != PERSON
    old = connection.execute(delete(entries).where(learned, entries.c.updated < now() - keep.days * _DAY)).rowcount
    many = connection.execute(select(func.count()).select_from(entries)).scalar_one()
    if many <= keep.entries:
        return old
    least = (
        select(entries.c.seq)
        .where(learned)
        .order_by(entries.c.updated, entries.c.id)
        .limit(many - keep.entries + keep.entries // _SHARE)
    )
    return old + connection.execute(delete(entries).where(entries.c.seq.in_(least))).rowcount
