"""What a person may ask of the store and do to it. Wrong questions are answered in words, not raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, RowMapping, distinct, func, select

from activities.knowledge import moving, retention
from activities.knowledge.database import Database
from activities.knowledge.rows import FIELDS, OF_ONE, clean, content_id, entry, of_kinds, readable, seen_by
from activities.knowledge.tables import entries, forgotten
from activities.knowledge.writes import add, edit, forget
from overnight.base.redaction import Redactor
from workflows.contracts.applied import FACT_BYTES
from workflows.contracts.knowledge import Hit, Learning, Question, Reply

if TYPE_CHECKING:
    from activities.knowledge.store import Store

_DIGITS = 18
"""Of the moment in a cursor."""
_NOT_SHARED = "a {kind} is of one project, and of no use to another: say it as an approach, and share that"
_TOO_LONG = "a memory is told in {most} bytes at most, and this advice has {has}: say it shorter, or as an approach"
_EDITED = "what began with these words was edited since: `overnight knowledge edit {id}`"
_NO_SCOPE = "say for which project it is, or that it is for all of them (everywhere)"


class _WrongError(Exception):
    """The question cannot be answered as it is, in words."""


class Administration:
    """Answers one person's questions about one store."""

    def __init__(self, store: Store, database: Database, redactor: Redactor, keep: retention.Keep) -> None:
        self._store = store
        self._database = database
        self._redactor = redactor
        self._keep = keep

    def answer(self, question: Question) -> Reply:
        """Do what is asked. Raises ``KnowledgeAwayError``."""
        does: dict[str, Callable[[Question], Reply]] = {
            "search": self._search,
            "list": self._list,
            "show": self._show,
            "add": self._add,
            "edit": self._edit,
            "forget": self._forget,
            "export": self._export,
            "import": self._import,
            "stats": self._stats,
        }
        try:
            reply = does[question.do](question)
        except _WrongError as error:
            reply = Reply(problem=str(error))
        return reply.model_copy(update={"where": Reply(where=self._database.where).where})

    def _search(self, question: Question) -> Reply:
        kinds = [question.kind] if question.kind else []
        found = self._store.search_lexical(
            question.query, question.project, kinds, question.limit, across=question.across
        )
        return Reply(hits=found[: question.limit])

    def _list(self, question: Question) -> Reply:
        at, _, last = (question.after or "").partition(".")
        conditions = _seen(question)
        if question.after:
            if not at.isdecimal() or len(at) > _DIGITS:
                raise _WrongError("that page is none: go on with what the page before gave as its next")
            older = (entries.c.updated < int(at)) | ((entries.c.updated == int(at)) & (entries.c.id > last))
            conditions.append(older)
        wanted = select(*FIELDS).where(*conditions).order_by(entries.c.updated.desc(), entries.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(wanted.limit(question.limit + 1)).mappings().all()
        shown = rows[: question.limit]
        more = f"{shown[-1]['updated']}.{shown[-1]['id']}" if len(rows) > len(shown) else None
        return Reply(hits=[Hit(entry=one, score=0) for _, one in readable(shown)], next=more)

    def _show(self, question: Question) -> Reply:
        with self._database.reading() as connection:
            found = entry(_one(connection, question))
        return Reply(hits=[Hit(entry=found, score=1)], id=found.id)

    def _add(self, question: Question) -> Reply:
        learning = self._given(question)
        if question.project is None and not question.everywhere:
            raise _WrongError(_NO_SCOPE)
        scope = None if question.everywhere else question.project
        _check(learning, scope)
        id_ = content_id(scope, learning)
        with self._database.writing() as connection:
            add(connection, id_, scope, learning)
            kept = entry(connection.execute(select(*FIELDS).where(entries.c.id == id_)).mappings().one()).learning
            if (kept.cue, kept.advice) != (learning.cue, learning.advice):
                raise _WrongError(_EDITED.format(id=id_[:12]))
            retention.apply(connection, self._keep)
        return self._changed(id_)

    def _edit(self, question: Question) -> Reply:
        if question.learning is None and question.project is None and not question.everywhere:
            raise _WrongError("say what it is to become")
        with self._database.writing() as connection:
            row = _one(connection, question)
            now_ = entry(row)
            learning = self._given(question) if question.learning else now_.learning
            scope = None if question.everywhere else question.project or now_.project
            if learning != now_.learning or scope != now_.project:
                _check(learning, scope)
            edit(connection, row["seq"], scope, now_.learning, learning)
        self._database.tidy()
        return self._changed(now_.id)

    def _forget(self, question: Question) -> Reply:
        with self._database.writing() as connection:
            row = _one(connection, question)
            forget(connection, row["seq"], row["id"])
        self._database.tidy()
        return Reply(changed=1, id=row["id"])

    def _export(self, question: Question) -> Reply:
        with self._database.reading() as connection:
            return moving.export(connection, _seen(question), question.after or "")

    def _import(self, question: Question) -> Reply:
        with self._database.writing() as connection:
            reply = moving.take_in(connection, question, self._redactor)
            retention.apply(connection, self._keep)
        return reply

    def _stats(self, question: Question) -> Reply:
        with self._database.reading() as connection:
            conditions = _seen(question)
            by_kind = select(entries.c.kind, func.count()).where(*conditions).group_by(entries.c.kind)
            counts = {row[0]: row[1] for row in connection.execute(by_kind)}
            every = select(func.count()).where(*conditions, entries.c.project.is_(None))
            projects = select(func.count(distinct(entries.c.project))).where(*conditions)
            counts |= {
                "total": sum(counts.values()),
                "everywhere": connection.execute(every).scalar_one(),
                "projects": connection.execute(projects).scalar_one(),
                "forgotten": connection.execute(select(func.count()).select_from(forgotten)).scalar_one(),
            }
        return Reply(counts=counts)

    def _given(self, question: Question) -> Learning:
        if question.learning is None or not question.learning.advice.strip():
            raise _WrongError("say what is to be done or kept in mind: the advice is empty")
        if not question.learning.cue.strip():
            raise _WrongError("say what it is found by, a goal or an error: the cue is empty")
        learning = clean(question.learning, self._redactor)
        if learning.title.strip():
            return learning
        first = next(line.strip() for line in learning.cue.splitlines() if line.strip())
        return Learning.model_validate(learning.model_dump() | {"title": first})

    def _changed(self, id_: str) -> Reply:
        found = self._store.get([id_])
        return Reply(hits=[Hit(entry=one, score=1) for one in found], changed=1, id=id_)


def _check(learning: Learning, project: str | None) -> None:
    """Raises ``_WrongError`` for what no session would be told, or not all of it."""
    if project is None and learning.kind in OF_ONE:
        raise _WrongError(_NOT_SHARED.format(kind=learning.kind))
    if learning.kind == "memory" and (has := len(learning.advice.encode())) > FACT_BYTES:
        raise _WrongError(_TOO_LONG.format(most=FACT_BYTES, has=has))


def _seen(question: Question) -> list[ColumnElement[bool]]:
    kinds = [question.kind] if question.kind else []
    return [*seen_by(question.project, across=question.across), *of_kinds(kinds)]


def _one(connection: Connection, question: Question) -> RowMapping:
    """The entry that is meant, whoever's it is."""
    if question.id is None:
        raise _WrongError("say which entry: its id, or enough of its beginning")
    # A g comes behind all digits of an id.
    within = (entries.c.id >= question.id) & (entries.c.id < f"{question.id}g")
    found = connection.execute(select(*FIELDS).where(within).order_by(entries.c.id).limit(2)).mappings().all()
    if not found:
        raise _WrongError(f"no entry has an id that begins with {question.id}: `overnight knowledge list` shows them")
    if len(found) > 1:
        raise _WrongError(f"several entries have an id that begins with {question.id}: give more of it")
    return found[0]
