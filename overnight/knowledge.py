"""What sessions learned, for a person: search it, mend it, share it. Part of the client API; a worker answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from pydantic import BaseModel, ValidationError

from overnight.errors import InvalidRequestError, LoadingError, NotReadyError, WorkerAwayError
from overnight.exchange import Exchange
from overnight.request import in_words, refuse_secrets
from workflows.contracts.applied import Lessons
from workflows.contracts.knowledge import (
    LINES_BYTES,
    MAX_HITS,
    Entry,
    Kind,
    Learning,
    LearnResult,
    Question,
    Reply,
)
from workflows.contracts.reads import ProjectAnswer
from workflows.contracts.state import Status
from workflows.contracts.suggestion import LOADING, Answered, Solutions, Sought, Suggestion
from workflows.contracts.text import clip
from workflows.policy.advice import CUE_BYTES
from workflows.policy.learning import request
from workflows.session import AutonomousSession

_CHANGES = frozenset({"add", "edit", "forget", "import"})


class Learned(BaseModel):
    """What a session teaches, and what of it is kept now."""

    status: Status
    lessons: Lessons
    saved_ids: list[str]


class Knowledge:
    """Asks the store through a worker. Every error is a ``SessionError`` in words."""

    def __init__(self, exchange: Exchange, inspect: Callable[[str], Awaitable[ProjectAnswer]]) -> None:
        """``inspect``: how the caller may look at a project, if at all."""
        self._exchange = exchange
        self._inspect = inspect

    async def search(
        self, query: str, *, project: str | None = None, across: bool = False, kind: Kind | None = None, limit: int = 10
    ) -> Reply:
        """What resembles ``query``: of one project and of all that is shared, or ``across`` every project."""
        if not query.strip():
            raise InvalidRequestError("there is nothing to look for: give a goal in words, or the lines of an error")
        return await self._ask(
            do="search", query=query, project=await self._key(project), across=across, kind=kind, limit=limit
        )

    async def listing(
        self,
        *,
        project: str | None = None,
        across: bool = False,
        kind: Kind | None = None,
        after: str | None = None,
        limit: int = 20,
    ) -> Reply:
        """The newest entries; ``next`` of the reply pages on."""
        key = await self._key(project)
        return await self._ask(do="list", project=key, across=across, kind=kind, after=after, limit=limit)

    async def show(self, name: str) -> Entry:
        """The entry whose id is or begins with ``name``. Raises ``InvalidRequestError`` where none or several do."""
        reply = await self._ask(do="show", id=name.lower(), across=True)
        return reply.hits[0].entry

    async def add(self, learning: Learning, *, project: str | None, everywhere: bool) -> Reply:
        """Keep what a person knows, for one project or for all."""
        _check(learning)
        return await self._ask(
            do="add", learning=learning, project=await self._key(project), everywhere=everywhere, across=True
        )

    async def edit(self, entry: Entry, learning: Learning, *, everywhere: bool = False) -> Reply:
        """Change an entry; ``everywhere`` lets every project use it from now on."""
        _check(learning)
        everywhere = everywhere or entry.project is None
        return await self._ask(
            do="edit", id=entry.id, learning=learning, project=entry.project, everywhere=everywhere, across=True
        )

    async def forget(self, entry: Entry) -> Reply:
        """Remove an entry for good; no session brings the same words back."""
        return await self._ask(do="forget", id=entry.id, project=entry.project, across=True)

    async def export(self, *, project: str | None = None) -> AsyncIterator[str]:
        """All entries as JSON lines, some at a time; of every project unless one is named."""
        key, after = await self._key(project), None
        while True:
            reply = await self._ask(do="export", project=key, across=project is None, after=after, limit=MAX_HITS)
            if reply.lines:
                yield reply.lines if reply.lines.endswith("\n") else f"{reply.lines}\n"
            if reply.next is None:
                return
            after = reply.next

    async def take_in(
        self, lines: Sequence[str], *, project: str | None, everywhere: bool, restore: bool
    ) -> AsyncIterator[Reply]:
        """Import JSON lines, some at a time; bad ones are told by their number, and the others are kept."""
        key = await self._key(project)
        for first, some in _portions(lines):
            if isinstance(some, _Bad):
                yield Reply(problems=[f"line {first}: {some}"])
                continue
            yield await self._ask(
                do="import", lines=some, first_line=first, project=key, everywhere=everywhere, restore=restore
            )

    async def stats(self) -> Reply:
        """How much there is, where, and how it is searched."""
        return await self._ask(do="stats", across=True)

    async def suggest_approach(self, goal: str, *, project: str | None = None) -> Suggestion:
        """What sessions on similar goals teach for this one: of one project and of all that is shared."""
        found = (await self._sought(goal, project, error=False)).suggestion
        if found is None or found.problem:
            raise NotReadyError(found.problem) if found else LoadingError(LOADING)
        return found

    async def get_error_solution(self, error: str, *, project: str | None = None) -> Solutions:
        """What mended an error like the one that was printed so."""
        found = (await self._sought(error, project, error=True)).solutions
        if found is None or found.problem:
            raise NotReadyError(found.problem) if found else LoadingError(LOADING)
        return found

    async def learn(self, session_id: str) -> Learned:
        """What a session that is over teaches, kept once more: the same words twice change nothing.

        Raises ``InvalidRequestError`` for one that still runs.
        """
        known = await self._exchange.status(session_id)
        if not known.status.is_final:
            raise InvalidRequestError(
                f"{session_id} is {known.status.value}: it learns by itself when it ends; look at its report until then"
            )
        lessons: Lessons = await self._exchange.query(session_id, AutonomousSession.lessons)
        spec = await self._exchange.spec(session_id)
        kept = await self._exchange.read("learn", request(spec.goal, lessons), LearnResult)
        if kept.problem:
            raise NotReadyError(f"nothing was kept: {kept.problem}")
        return Learned(status=known.status, lessons=lessons, saved_ids=kept.saved)

    async def _sought(self, text: str, project: str | None, *, error: bool) -> Answered:
        if not text.strip():
            raise InvalidRequestError("there is nothing to look for: give a goal in words, or the lines of an error")
        key = await self._key(project)
        try:
            sought = Sought(text=text if error else clip(text, CUE_BYTES), project=key, error=error)
        except ValidationError as wrong:
            raise InvalidRequestError(in_words(wrong)) from None
        return await self._exchange.read("suggest", sought, Answered)

    async def _key(self, project: str | None) -> str | None:
        """How the store calls the project at a path or URL."""
        if project is None:
            return None
        answer = await self._inspect(project)
        if answer.project is None:
            raise InvalidRequestError(f"project: {answer.problem}")
        return answer.project.key

    async def _ask(self, **question: object) -> Reply:
        try:
            asked = Question.model_validate(question)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        try:
            reply = await self._exchange.read("knowledge", asked, Reply)
        except WorkerAwayError as error:
            if asked.do in _CHANGES:
                raise WorkerAwayError(f"{error}. It may still be done: look before you ask again") from None
            raise
        if reply.problem:
            away = LoadingError if reply.problem == LOADING else NotReadyError
            raise (away if reply.away else InvalidRequestError)(reply.problem)
        return reply


def _check(learning: Learning) -> None:
    for name in ("title", "cue", "advice"):
        text = getattr(learning, name)
        if not text.strip():
            raise InvalidRequestError(f"{name}: is empty")
        refuse_secrets(name, text, doubtful=True)


class _Bad(str):
    """What is wrong with a line that cannot even be asked about."""


def _portions(lines: Sequence[str]) -> Iterator[tuple[int, str | _Bad]]:
    """Whole lines, as many at once as one question takes, each with the number of the first; and bad ones, alone."""
    some: list[str] = []
    size, first = 0, 1
    for number, line in enumerate(lines, 1):
        try:
            taken = len(line.encode()) + 1
            bad = _Bad(f"it is longer than {LINES_BYTES} bytes") if taken > LINES_BYTES else None
        except UnicodeEncodeError:
            taken, bad = 0, _Bad("it is no text in UTF-8")
        if some and (bad is not None or size + taken > LINES_BYTES // 2):
            yield first, "\n".join(some)
            some, size = [], 0
        if bad is not None:
            yield number, bad
            continue
        first = first if some else number
        some.append(line)
        size += taken
    if some:
        yield first, "\n".join(some)
