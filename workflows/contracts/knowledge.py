"""What sessions learn, what is recalled of it, and whether it helped. It crosses from workflows to activities."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from workflows.contracts.evidence import Fingerprint
from workflows.contracts.text import (
    Contract,
    Digest,
    Key,
    Line,
    MaxBytes,
    Moment,
    Seconds,
    Sentence,
    SessionId,
    Sha,
    printable,
)

MAX_LEARNINGS = 24
"""Learnings of one session."""
MAX_RECALLED = 5
"""Learnings that one prompt is given."""
MAX_HITS = 25
"""Entries of one reply; with all of them at their longest it is below Temporal's limit."""
MAX_PROBLEMS = 40
"""Lines of an import that are told one by one."""
LINES_BYTES = 100_000
"""JSON lines of one question or reply; JSON in JSON may double them."""
PERSON = "person"
"""Source of what no session taught."""

Kind = Literal["approach", "error_solution", "template", "memory", "recovery"]
"""What led to a goal; what mended an error; how a kind of goal is usually done; what is true of a project; a rung of
the recovery ladder, of which only the record counts."""
OF_GOALS: frozenset[Kind] = frozenset({"approach", "template"})
"""Kinds whose title is a session's goal, in its person's words."""
Search = Literal["semantic", "lexical"]
"""By meaning, or by words."""
Cue = Annotated[str, MaxBytes(2_000, clipped=True)]
Advice = Annotated[str, MaxBytes(1_200, clipped=True)]
Lines = Annotated[str, AfterValidator(printable), MaxBytes(LINES_BYTES)]
"""Whole JSON lines, in which no control character can stand; never clipped, since half a line is none."""
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:+-]{1,120}$")]
"""Where a page ended; means something to the store alone."""
IdPrefix = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4,64}$")]
Count = Annotated[int, Field(ge=0)]


class Learning(Contract):
    """Something observed in a session that may serve another one."""

    kind: Kind
    title: Line
    cue: Cue
    """What it is found by: a goal in its person's words, or the key lines of an error."""
    advice: Advice
    """What to do, or to keep in mind. Untrusted: an agent's words may be in it."""
    task_type: Key = "other"
    fingerprint: Fingerprint | None = None
    """The error that it is about; for error solutions."""
    worked: bool = True
    """What came of it in the session that it is from, on observed evidence."""
    seconds: Seconds | None = None
    """Measured active time of the session, for estimates; for approaches."""
    commit: Sha | None = None
    """The commit that it was true for; for memories."""


class Feedback(Contract):
    """Whether a learning that was given helped, on observed evidence; once per session: the first word holds."""

    id: Digest
    worked: bool


class LearnRequest(Contract):
    """To keep what a session taught. The same request twice keeps it once."""

    session_id: SessionId
    project: Key
    learnings: Annotated[list[Learning], Field(max_length=MAX_LEARNINGS)] = []
    feedback: Annotated[list[Feedback], Field(max_length=MAX_LEARNINGS)] = []


class LearnResult(Contract):
    """What became of it. A store that is away is told here, and never fails a session."""

    saved: Annotated[list[Digest], Field(max_length=MAX_LEARNINGS)] = []
    """Ids of what is kept now, in the order of the request; what a person made the store forget is not among them."""
    problem: Sentence = ""
    """Why nothing was kept, in words; empty when all went well."""


class RecallRequest(Contract):
    """To look for what may help with a goal, or with the error in its way."""

    session_id: SessionId
    project: Key
    query: Cue
    """The goal; with ``errors``, what their output says."""
    errors: Annotated[list[Fingerprint], Field(max_length=3)] = []
    """Absent when advice for the goal is looked for."""
    exclude: Annotated[list[Digest], Field(max_length=MAX_LEARNINGS)] = []
    """Failed in this very session: not again."""


class Recalled(Contract):
    """A learning that may help, and how far it is to be trusted."""

    id: Digest
    kind: Kind
    title: Line
    advice: Advice
    source: Key
    """Session that it is from, or ``person``."""
    confidence: Annotated[float, Field(ge=0, le=1)]
    """Calibrated: of what is given at 0.8, at least 0.8 fits."""
    level: Literal["advice", "hint"]
    """Above 0.8 it may steer; below, the planner at most hears of it."""
    commit: Sha | None = None
    worked: Count = 0
    failed: Count = 0
    """In how many sessions it helped and did not."""


class RecallResult(Contract):
    """What may help. A store that is away is told here, and is as good as an empty one."""

    recalled: Annotated[list[Recalled], Field(max_length=MAX_RECALLED)] = []
    """The most trusted first."""
    search: Search = "lexical"
    estimated_seconds: Seconds | None = None
    """Measured active time of what resembles the goal most; absent when nothing does."""
    problem: Sentence = ""
    """Why nothing could be looked for, in words."""


class Entry(Contract):
    """A learning as the store holds it."""

    id: Digest
    """Hash of project, kind, cue and advice as they first came; an edit keeps it."""
    learning: Learning
    project: Key | None = None
    """Absent: every project may use it."""
    source: Key
    """Session that it is from, or ``person``."""
    created: Moment
    updated: Moment
    """When it was last learned, edited, or its record changed."""
    worked: Count = 0
    failed: Count = 0
    """Sessions that it was given to and in which it helped, and did not. The one that it is from does not count."""
    failed_in_a_row: Count = 0
    """Of the sessions since it last helped."""


class Hit(Contract):
    """An entry that a search found."""

    entry: Entry
    score: Annotated[float, Field(ge=0, le=1)]
    """Likeness as the search measures it: for ranking, no confidence."""


class Question(Contract):
    """What a client asks of the store: one thing. Changes are a person's acts."""

    do: Literal["search", "list", "show", "add", "edit", "forget", "export", "import", "stats"]
    project: Key | None = None
    """Whose knowledge: this project's, and what is everywhere. To edit or import: where it goes, whatever it says."""
    across: bool = False
    """Look into every project, too. What is found may be private to one."""
    everywhere: bool = False
    """Let every project use what is added or edited, or lines of an import that say so. Only a person does that."""
    kind: Kind | None = None
    query: Cue = ""
    id: IdPrefix | None = None
    """Of an entry, or enough of its beginning."""
    learning: Learning | None = None
    """To add, or what an entry is to become."""
    lines: Lines = ""
    """To import: whole JSON lines."""
    first_line: Annotated[int, Field(ge=1)] = 1
    """Number of the first of them in its file, so that a bad one is told by its own."""
    restore: bool = False
    """Import also what was forgotten here."""
    after: Cursor | None = None
    """Page on from here: ``next`` of the page before."""
    limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 20


class Reply(Contract):
    """The store's answer. Always one: a store that is away is a ``problem`` in words."""

    hits: Annotated[list[Hit], Field(max_length=MAX_HITS)] = []
    lines: Lines = ""
    """Exported: whole JSON lines."""
    next: Cursor | None = None
    """Where the next page begins; absent at the end."""
    id: Digest | None = None
    """Of what was added or changed."""
    changed: Count = 0
    """Entries that were added, changed or removed."""
    skipped: Count = 0
    """Lines of an import that the store has already, or was made to forget."""
    problem: Sentence = ""
    """What was wrong with the question or with the store, and what to do; empty when it was answered."""
    away: bool = False
    """The problem is the store's, or it is not ready yet: what is wrong with it is for whoever runs it."""
    problems: Annotated[list[Sentence], Field(max_length=MAX_PROBLEMS)] = []
    """Bad lines of an import, each with its number; the others are in the store."""
    more_problems: Count = 0
    counts: Annotated[dict[Key, Count], Field(max_length=20)] = {}
    """Of all that the question sees: entries by kind, and ``total``, ``everywhere``, ``projects``, ``forgotten``."""
    where: Line = ""
    """The store as a person would name it; never with a password."""
    search: Search = "lexical"
    note: Sentence = ""
