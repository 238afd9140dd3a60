"""Export and import of entries, a page of lines at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from activities.knowledge.lines import BadLineError, Line, read, write
from activities.knowledge.rows import FIELDS, OF_ONE, clean, content_id, microseconds, now, readable, values
from activities.knowledge.tables import entries, forgotten
from activities.knowledge.writes import put_back
from overnight.base.redaction import Redactor
from workflows.contracts.knowledge import LINES_BYTES, MAX_PROBLEMS, Question, Reply

_PAGE = 100
_GLOBAL = "it is for every project: allow that (--everywhere), or name the project that it is to go to (--project)"


def export(connection: Connection, conditions: Sequence[ColumnElement[bool]], after: str) -> Reply:
    """As many entries behind that id as fit into a reply, in the order of ids."""
    written: list[str] = []
    room = LINES_BYTES
    while True:
        wanted = select(*FIELDS).where(*conditions, entries.c.id > after).order_by(entries.c.id).limit(_PAGE)
        rows = connection.execute(wanted).mappings().all()
        for row, one in readable(rows):
            line = f"{write(one)}\n"
            room -= len(line.encode())
            if room < 0:
                return Reply(lines="".join(written), next=after)
            written.append(line)
            after = row["id"]
        if len(rows) < _PAGE:
            return Reply(lines="".join(written))
        # The last ones may be damaged, and would be asked for for ever.
        after = rows[-1]["id"]


def take_in(connection: Connection, question: Question, redactor: Redactor) -> Reply:
    """Put lines in that are not there yet. A bad one is told by its number, and keeps no other out."""
    problems: list[str] = []
    changed = skipped = gone = 0
    # Not by splitlines: JSON lets characters stand in a text that would end a line there.
    for number, line in enumerate(question.lines.split("\n"), question.first_line):
        if not line.strip():
            continue
        try:
            row = _row(read(line), question, redactor)
        except BadLineError as error:
            problems.append(f"line {number}: {error}")
            continue
        if not question.restore and _was_forgotten(connection, row["id"]):
            gone += 1
        elif put_back(connection, row):
            changed += 1
        else:
            skipped += 1
    note = f"{gone} of them were forgotten here; import with restore to have them back" if gone else ""
    return Reply(
        changed=changed,
        skipped=skipped + gone,
        problems=problems[:MAX_PROBLEMS],
        more_problems=len(problems[MAX_PROBLEMS:]),
        note=note,
    )


def _row(line: Line, question: Question, redactor: Redactor) -> dict[str, Any]:
    if line.project is None and question.project is None and not question.everywhere:
        raise BadLineError(_GLOBAL)
    learning = clean(line.learning, redactor)
    project = question.project or line.project
    for name, key in (("project", project), ("source", line.source)):
        if key is not None and redactor.text(key) != key:
            raise BadLineError(f"{name}: it holds what looks like a secret")
    if project is None and learning.kind in OF_ONE:
        raise BadLineError(f"a {learning.kind} is of one project: name the project that it is to go to")
    kept = line.id if project == line.project else None
    return values(project, learning) | {
        "id": kept or content_id(project, learning),
        "source": line.source,
        # Not before 1970 nor in the future, whatever the line says.
        "created": min(max(0, microseconds(line.created)), now()) if line.created else now(),
        # A person wants it now, however long ago it was used elsewhere.
        "updated": now(),
        "worked": line.worked,
        "failed": line.failed,
        "failed_in_a_row": line.failed_in_a_row,
    }


def _was_forgotten(connection: Connection, id_: str) -> bool:
    return connection.execute(select(forgotten.c.id).where(forgotten.c.id == id_)).scalar() is not None
