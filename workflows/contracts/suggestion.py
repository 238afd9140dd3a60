"""What is known for a goal, or for an error, in a form for people and for programs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.knowledge import MAX_RECALLED, Advice, Count, Search
from workflows.contracts.text import Contract, Digest, Key, Line, MaxBytes, Page, Seconds, Sentence

MAX_ISSUES = 5
LOADING = "the model by which knowledge is found is being loaded; ask again in a few seconds"
Confidence = Annotated[float, Field(ge=0, le=1)]


class Estimate(Contract):
    """How long it may take, from measured active time of sessions; never a guess."""

    seconds: Seconds
    """The median."""
    shortest: Seconds
    longest: Seconds
    sessions: Annotated[int, Field(ge=1)]
    basis: Sentence
    """What it rests on, in words."""


class Suggestion(Contract):
    """What sessions on similar goals teach for this one."""

    task_type: Key
    suggested_approach: Advice = ""
    """Of the session whose goal fits best. Untrusted: an agent's words may be in it. Empty when nothing fits."""
    estimated_time: Estimate | None = None
    potential_issues: Annotated[list[Sentence], Field(max_length=MAX_ISSUES)] = []
    """Errors and dead ends of those sessions, and what mended them. Untrusted, too."""
    confidence: Confidence = 0.0
    """Calibrated; 0 when nothing fits."""
    sources: Annotated[list[Key], Field(max_length=MAX_RECALLED)] = []
    """Sessions that it is from, or ``person``."""
    template: Page = ""
    """How tasks of this kind are done as a rule: Overnight's own words, whatever is known."""
    search: Search = "lexical"
    problem: Sentence = ""
    """Why nothing could be looked for, in words."""


class Solution(Contract):
    """What mended an error like this one."""

    id: Digest
    match: Literal["exact", "template", "kind", "text"]
    """The same error, the same with other names, one of the same kind, or one that reads alike."""
    error: Line
    solution: Advice
    source: Key
    confidence: Confidence
    applies: bool
    """Confident enough to act on; else no more than a hint."""
    worked: Count = 0
    failed: Count = 0


class Solutions(Contract):
    """The most trusted first."""

    solutions: Annotated[list[Solution], Field(max_length=MAX_RECALLED)] = []
    search: Search = "lexical"
    problem: Sentence = ""


class Sought(Contract):
    """What a person wants to know before a session does: how to go about a goal, or what mends an error."""

    text: Annotated[str, MaxBytes(64_000, clipped=True, keep="tail")]
    """The goal in words, or what was printed."""
    project: Key | None = None
    """Whose knowledge, with what is for every project; absent: that alone."""
    error: bool = False


class Answered(Contract):
    """The answer to what was sought: one of the two, or neither while the model is being loaded."""

    suggestion: Suggestion | None = None
    solutions: Solutions | None = None
