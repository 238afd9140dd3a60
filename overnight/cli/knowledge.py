"""``knowledge`` and ``learn``: what sessions learned, looked at and mended by a person."""

from __future__ import annotations

import codecs
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from overnight.cli import output
from overnight.cli.asking import confirm, open_editor
from overnight.cli.codes import Code
from overnight.cli.session import on_sessions
from overnight.cli.trouble import CliError
from overnight.errors import InvalidRequestError
from workflows.policy.record import one_line
from workflows.policy.words import counted

if TYPE_CHECKING:
    from overnight.connection import Connection
    from overnight.knowledge import Learned
    from workflows.contracts.knowledge import Entry, Hit, Kind, Learning, Reply

SHORT = 12
"""Characters of an id that lists show; any beginning that is one entry's alone will do."""
ASK = "overnight knowledge show ID tells all of one"


def search(query: str, *, project: str | None, kind: Kind | None, limit: int, json: bool) -> int:
    """``overnight knowledge search``."""

    async def work(connection: Connection) -> int:
        reply = await connection.sessions.knowledge.search(
            query, project=project, across=project is None, kind=kind, limit=limit
        )
        return _listed(reply, "nothing resembles that", told=f"{reply.search} search; ", json=json)

    return on_sessions(work, json=json)


def listing(*, project: str | None, kind: Kind | None, limit: int, json: bool) -> int:
    """``overnight knowledge list``."""

    async def work(connection: Connection) -> int:
        knowledge = connection.sessions.knowledge
        hits: list[Hit] = []
        after: str | None = None
        while True:
            reply = await knowledge.listing(
                project=project, across=project is None, kind=kind, after=after, limit=min(25, limit - len(hits))
            )
            hits += reply.hits
            after = reply.next
            if after is None or len(hits) >= limit:
                break
        whole = reply.model_copy(update={"hits": hits})
        return _listed(whole, "nothing is known yet; sessions teach it when they end", json=json)

    return on_sessions(work, json=json)


def show(name: str, *, json: bool) -> int:
    """``overnight knowledge show``."""

    async def work(connection: Connection) -> int:
        entry = await connection.sessions.knowledge.show(name)
        if json:
            output.as_json(entry)
        else:
            output.say(_in_full(entry))
        return Code.OK

    return on_sessions(work, json=json)


def add(given: dict[str, str], *, file: Path | None, project: str | None, everywhere: bool, json: bool) -> int:
    """``overnight knowledge add``: by options, from a file, or in the editor."""
    if project is not None and everywhere:
        raise CliError("--project and --everywhere contradict each other")
    if project is None and not everywhere:
        raise CliError("say whom it is for: --project PATH, or --everywhere for every project")

    async def work(connection: Connection) -> int:
        from overnight.cli.entryfile import read

        if file is not None:
            learning = read(_from(file), None)
        elif given:
            learning = _of(given)
        else:
            edited = _edited(None, "Something that sessions should know.")
            if edited is None:
                return _nothing_done()
            learning = edited
        reply = await connection.sessions.knowledge.add(learning, project=project, everywhere=everywhere)
        return _changed(reply, f"kept as {(reply.id or '')[:SHORT]}", json=json)

    return on_sessions(work, json=json)


def edit(name: str, *, file: Path | None, json: bool) -> int:
    """``overnight knowledge edit``: in the editor, or from a file."""

    async def work(connection: Connection) -> int:
        from overnight.cli.entryfile import read

        knowledge = connection.sessions.knowledge
        entry = await knowledge.show(name)
        before = entry.learning
        learning = read(_from(file), before) if file is not None else _edited(before, f"Knowledge {entry.id[:SHORT]}.")
        if learning is None or learning == before:
            return _nothing_done()
        return _changed(await knowledge.edit(entry, learning), f"{entry.id[:SHORT]} is changed", json=json)

    return on_sessions(work, json=json)


def forget(name: str, *, yes: bool, json: bool) -> int:
    """``overnight knowledge forget``."""

    async def work(connection: Connection) -> int:
        knowledge = connection.sessions.knowledge
        entry = await knowledge.show(name)
        if not _sure(f"Forget {entry.id[:SHORT]} ({entry.learning.title}) for good?", yes=yes):
            return _nothing_done()
        return _changed(await knowledge.forget(entry), f"{entry.id[:SHORT]} is forgotten", json=json)

    return on_sessions(work, json=json)


def share(name: str, *, yes: bool, json: bool) -> int:
    """``overnight knowledge share``: a person lets every project use what one project taught."""

    async def work(connection: Connection) -> int:
        knowledge = connection.sessions.knowledge
        entry = await knowledge.show(name)
        if entry.project is None:
            raise CliError(f"{entry.id[:SHORT]} is for every project already")
        if not json:
            output.note(_in_full(entry))
        if not _sure("Let sessions of every project read this?", yes=yes):
            return _nothing_done()
        reply = await knowledge.edit(entry, entry.learning, everywhere=True)
        return _changed(reply, f"{entry.id[:SHORT]} is for every project now", json=json)

    return on_sessions(work, json=json)


def export(file: Path | None, *, project: str | None, force: bool) -> int:
    """``overnight knowledge export``: JSON lines, on stdout or into a file that is whole or not there."""
    file = None if str(file) == "-" else file
    try:
        there = file is not None and file.is_file()
        # A pipe or a terminal is written to; what would take its place would be no pipe.
        special = file is not None and file.exists() and not there
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror}") from None
    if there and not force:
        raise CliError(f"{file} is there already; --force writes over it")

    async def work(connection: Connection) -> int:
        exported = connection.sessions.knowledge.export(project=project)
        if file is None:
            async for lines in exported:
                sys.stdout.write(lines)
            return Code.OK
        try:
            with file.open("w", encoding="utf-8") if special else _whole(file) as sink:
                async for lines in exported:
                    sink.write(lines)
        except OSError as error:
            raise CliError(f"{file} cannot be written: {error.strerror}") from None
        output.note(f"written: {file}")
        return Code.OK

    return on_sessions(work)


@contextmanager
def _whole(file: Path) -> Iterator[TextIO]:
    """What becomes ``file`` once all of it is there. For its owner alone, and at no place that others prepared."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=".overnight-", dir=file.parent, delete=False
    ) as sink:
        part = Path(sink.name)
        try:
            yield cast("TextIO", sink)
            sink.close()
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def take_in(file: Path, *, project: str | None, everywhere: bool, restore: bool, json: bool) -> int:
    """``overnight knowledge import``."""
    if project is not None and everywhere:
        raise CliError("--project and --everywhere contradict each other")
    lines = _lines(file)

    async def work(connection: Connection) -> int:
        changed = skipped = bad = 0
        problems: list[str] = []
        replies = connection.sessions.knowledge.take_in(lines, project=project, everywhere=everywhere, restore=restore)
        async for reply in replies:
            changed, skipped = changed + reply.changed, skipped + reply.skipped
            bad += len(reply.problems) + reply.more_problems
            problems += reply.problems
        if json:
            output.as_json({"changed": changed, "skipped": skipped, "bad": bad, "problems": problems})
        else:
            for problem in problems:
                output.note(problem)
            there = f", {skipped} there already or forgotten" if skipped else ""
            output.say(f"{counted(changed, 'entry', 'entries')} taken in{there}{f', {bad} bad' if bad else ''}")
        return Code.USAGE if bad else Code.OK

    return on_sessions(work, json=json)


def stats(*, json: bool) -> int:
    """``overnight knowledge``, without more: how much there is."""

    async def work(connection: Connection) -> int:
        reply = await connection.sessions.knowledge.stats()
        if json:
            output.as_json(reply)
        else:
            told = ", ".join(_count(name, count) for name, count in reply.counts.items())
            output.say(f"{reply.where}: {told or 'empty'}; {reply.search} search")
            if reply.note:
                output.say(reply.note)
        return Code.OK

    return on_sessions(work, json=json)


def learn(session_id: str, *, json: bool) -> int:
    """``overnight learn``."""

    async def work(connection: Connection) -> int:
        learned = await connection.sessions.knowledge.learn(session_id)
        if json:
            output.as_json({**learned.lessons.model_dump(mode="json"), "saved_ids": learned.saved_ids})
        else:
            _lessons(learned)
        return Code.OK

    return on_sessions(work, json=json)


# ---------------------------------------------------------------------- in words


def _count(name: str, count: int) -> str:
    return counted(count, "project") if name == "projects" else f"{count} {name}"


def _listed(reply: Reply, none: str, *, told: str = "", json: bool) -> int:
    if json:
        output.as_json(reply)
    elif reply.hits:
        for hit in reply.hits:
            entry = hit.entry
            record = f"+{entry.worked} -{entry.failed}"
            where = "every project" if entry.project is None else entry.project
            title = one_line(entry.learning.title)
            output.say(f"{entry.id[:SHORT]}  {entry.learning.kind:<14}  {record:<7}  {where:<16}  {title}")
        output.note(f"{told}{ASK}")
    else:
        output.note(none)
    return Code.OK


def _in_full(entry: Entry) -> str:
    learning = entry.learning
    rows: list[tuple[str, Any]] = [
        ("id", entry.id),
        ("kind", learning.kind),
        ("title", one_line(learning.title)),
        ("for", "every project" if entry.project is None else f"project {entry.project}"),
        ("from", "a person" if entry.source == "person" else f"session {entry.source}"),
        ("there", "it worked" if learning.worked else "it did not work"),
        ("since", f"helped in {entry.worked}, did not help in {entry.failed} ({entry.failed_in_a_row} in a row)"),
        ("commit", learning.commit or ""),
        ("learned", f"{entry.created:%Y-%m-%d %H:%M} UTC, changed {entry.updated:%Y-%m-%d %H:%M} UTC"),
    ]
    head = [f"{name:<8}{value}" for name, value in rows if value]
    parts = [("found by", learning.cue), ("advice", learning.advice)]
    return "\n".join([*head, *(line for name, text in parts for line in ("", f"{name}:", *_indented(text)))])


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _lessons(learned: Learned) -> None:
    lessons = learned.lessons
    for pattern in (*lessons.successful_patterns, *lessons.failed_patterns):
        how = "reached" if lessons.successful_patterns else "not reached"
        took = f"{counted(pattern.iterations, 'iteration')}, {pattern.active_seconds / 60:.1f} active minutes"
        output.say(f"goal {how} in {took}, ${pattern.cost_usd:.2f} (kind of task: {pattern.task_type})")
        for line in _indented(pattern.approach):
            output.say(line)
    for error in lessons.error_patterns:
        output.say(f"{'mended' if error.solution_worked else 'not mended'}: {error.pattern}")
        output.say(f"  {error.solution}")
    for rung in lessons.recovery_strategies:
        output.say(f"recovery: {rung.strategy}: {rung.result}")
    for fact in lessons.project_memory:
        output.say(f"project: {fact.text}")
    if not learned.saved_ids:
        output.note("its history shows nothing that could be learned")
        return
    output.say(f"{counted(len(learned.saved_ids), 'learning')} kept: {', '.join(i[:SHORT] for i in learned.saved_ids)}")


def _changed(reply: Reply, said: str, *, json: bool) -> int:
    if json:
        output.as_json(reply)
    else:
        output.say(said if reply.changed else f"nothing changed: {reply.note or 'it was so already'}")
    return Code.OK


def _nothing_done() -> int:
    output.note("nothing was changed")
    return Code.OK


def _sure(question: str, *, yes: bool) -> bool:
    """Whether the person means it; without a terminal only ``--yes`` says so."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise CliError("standard input is no terminal, so nobody can be asked; --yes says that you mean it")
    return confirm(question)


# ---------------------------------------------------------------------- an entry as a file


def _of(given: dict[str, str]) -> Learning:
    from overnight.cli.entryfile import read
    from overnight.cli.planfile import quoted

    return read("\n".join(f"{name} = {quoted(value)}" for name, value in given.items()), None)


def _from(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CliError(f"{file} cannot be read: it is no text in UTF-8") from None


def _lines(file: Path) -> list[str]:
    """The lines of a file, or of standard input; bytes that are no text stay, so that their line can be told."""
    try:
        read = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from None
    # Not by splitlines: JSON lets characters stand in a text that would end a line there.
    return read.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").split("\n")


def _edited(before: Learning | None, heading: str) -> Learning | None:
    """The entry after the person's editor; None when it was emptied. A mistake is told, and the editor opened again."""
    from overnight.cli.entryfile import read, written

    if not sys.stdin.isatty():
        raise CliError("the editor needs a terminal; without one, give --file")
    with tempfile.TemporaryDirectory(prefix="overnight-") as folder:
        file = Path(folder) / "knowledge.toml"
        file.write_text(written(before, heading), encoding="utf-8")
        while True:
            open_editor(file)
            text = _from(file)
            if not [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]:
                return None
            try:
                return read(text, before)
            except InvalidRequestError as error:
                output.note(f"error: {error}")
                if not confirm("Edit it again?", default=True):
                    return None
