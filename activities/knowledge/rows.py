"""Between entries and rows: what an id is made of, what is searched, what comes back."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, RowMapping, or_

from activities.knowledge.interface import KnowledgeAwayError
from activities.knowledge.tables import entries
from overnight.base.redaction import Redactor
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import Entry, Kind, Learning

log = structlog.get_logger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: dict[Kind, str] = {
    "approach": "kindapproach",
    "error_solution": "kinderrorsolution",
    "template": "kindtemplate",
    "memory": "kindmemory",
    "recovery": "kindrecovery",
}
KINDS = list(_KINDS)
OF_ONE: frozenset[Kind] = frozenset({"memory", "recovery"})
"""Kinds that say something of one project, and nothing of any other."""
FIELDS = [column for column in entries.c if column.name != "tags"]
"""Of an entry, for queries."""


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def moment(microseconds: int) -> datetime:
    """The point in time of a row."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(at: datetime) -> int:
    """The other way round."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def clean(learning: Learning, redactor: Redactor) -> Learning:
    """The learning without secrets."""
    found: dict[str, Any] = {name: redactor.text(getattr(learning, name)) for name in ("title", "cue", "advice")}
    # What only programs write: a line of an import may have anything there.
    if redactor.text(learning.task_type) != learning.task_type:
        found["task_type"] = "other"
    prints = learning.fingerprint
    if prints is not None and any(redactor.text(text) != text for text in (prints.exact, prints.template, prints.kind)):
        found["fingerprint"] = None
    return learning.model_copy(update=found)


def content_id(project: str | None, learning: Learning) -> str:
    """The id of this content in this scope, whoever learned it."""
    made_of = [project or "", learning.kind, learning.cue, learning.advice]
    return hashlib.sha256(json.dumps(made_of).encode("utf-8", "replace")).hexdigest()


def scope_tag(project: str | None) -> str:
    """A word for a scope that no text has."""
    return "scopeall" if project is None else f"scope{hashlib.sha256(project.encode()).hexdigest()[:20]}"


def kind_tag(kind: Kind) -> str:
    """A word for a kind that no text has."""
    return _KINDS[kind]


def values(project: str | None, learning: Learning) -> dict[str, Any]:
    """The columns that say what an entry is, without its record."""
    fingerprint = learning.fingerprint
    return {
        "project": project,
        "tags": f"{scope_tag(project)} {kind_tag(learning.kind)}",
        "kind": learning.kind,
        "title": learning.title,
        "cue": learning.cue,
        "advice": learning.advice,
        "task_type": learning.task_type,
        "exact": fingerprint.exact if fingerprint else None,
        "template": fingerprint.template if fingerprint else None,
        "error_kind": (fingerprint.kind or None) if fingerprint else None,
        "held": learning.worked,
        "seconds": learning.seconds,
        "commit_id": learning.commit,
    }


def readable(rows: Iterable[RowMapping]) -> Iterator[tuple[RowMapping, Entry]]:
    """The rows that hold an entry, with it. One that was damaged is passed over: it must not hide the others."""
    for row in rows:
        try:
            yield row, entry(row)
        except KnowledgeAwayError as error:
            log.warning("knowledge is passed over", reason=str(error))


def entry(row: RowMapping) -> Entry:
    """The entry of a row. Raises ``KnowledgeAwayError`` for what no Overnight wrote so."""
    try:
        return _entry(row)
    except (ValueError, OverflowError):
        raise KnowledgeAwayError(f"the entry {row['id'][:12]} in the store of knowledge is damaged") from None


def _entry(row: RowMapping) -> Entry:
    fingerprint = None
    if row["exact"] is not None:
        fingerprint = Fingerprint(exact=row["exact"], template=row["template"] or "", kind=row["error_kind"] or "")
    return Entry(
        id=row["id"],
        learning=Learning(
            kind=row["kind"],
            title=row["title"],
            cue=row["cue"],
            advice=row["advice"],
            task_type=row["task_type"],
            fingerprint=fingerprint,
            worked=row["held"],
            seconds=row["seconds"],
            commit=row["commit_id"],
        ),
        project=row["project"],
        source=row["source"],
        created=moment(row["created"]),
        updated=moment(row["updated"]),
        worked=row["worked"],
        failed=row["failed"],
        failed_in_a_row=row["failed_in_a_row"],
    )


def seen_by(project: str | None, *, across: bool) -> list[ColumnElement[bool]]:
    """Conditions on entries: of this project or everywhere; all of them when looking across."""
    if across:
        return []
    everywhere = entries.c.project.is_(None)
    return [everywhere if project is None else or_(entries.c.project == project, everywhere)]


def of_kinds(kinds: Iterable[Kind]) -> list[ColumnElement[bool]]:
    """Conditions on entries: of one of these kinds; of any when there are none."""
    chosen = list(kinds)
    return [entries.c.kind.in_(chosen)] if chosen else []
