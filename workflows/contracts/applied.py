"""What a session was given of what earlier ones learned, what came of it, and what it teaches itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import MAX_RECALLED, Advice, Cue, Feedback, Kind, Recalled, RecallRequest, Search
from workflows.contracts.text import (
    Contract,
    Digest,
    Key,
    Line,
    MaxBytes,
    Mutable,
    Seconds,
    Sentence,
    SessionId,
    Sha,
    Snippet,
)

MAX_USES = 8
MAX_MEMORIES = 4
MAX_OWN_RUNGS = 5
MAX_LESSONS = 8
"""Of each sort, of one session."""

FACT_BYTES = 240
Fact = Annotated[str, MaxBytes(FACT_BYTES, clipped=True)]
Verdict = Literal["", "helped", "did not help"]
"""What came of something that was given, on observed evidence; empty while, or where, nobody knows."""


class Use(Mutable):
    """A learning that a prompt was given."""

    id: Digest
    kind: Kind
    title: Annotated[str, MaxBytes(80, clipped=True)]
    source: Key
    confidence: Annotated[float, Field(ge=0, le=1)]
    level: Literal["advice", "hint"]
    counted: bool = True
    """The first of what a prompt is given; what came with it is not."""
    iteration: Annotated[int, Field(ge=0)]
    """After which it was given; 0 is the first plan."""
    error: Annotated[str, MaxBytes(32, clipped=True)] | None = None
    """The failure that it was given against, by its exact fingerprint; absent for a plan."""
    result: Verdict = ""
    told: bool = False
    """The store knows the result."""


class Memory(Contract):
    """Something that an earlier session found to be true of the project."""

    id: Digest
    text: Fact
    source: Key
    commit: Sha | None = None
    outdated: bool = False
    """Perhaps: the commit that it was true for is on another line of history than the one that the session began from,
    or what decides such things differs between them."""


class RungRate(Contract):
    """How often a rung of the recovery ladder got sessions of this project further, once per session."""

    name: Key
    helped: Annotated[int, Field(ge=0)] = 0
    failed: Annotated[int, Field(ge=0)] = 0


class Applied(Mutable):
    """What a session carries of all that it was given."""

    search: Search | None = None
    """How it was looked for; absent before anything was."""
    uses: Annotated[list[Use], Field(max_length=MAX_USES)] = []
    memories: Annotated[list[Memory], Field(max_length=MAX_MEMORIES)] = []
    rungs: Annotated[list[RungRate], Field(max_length=MAX_OWN_RUNGS)] = []
    """As they were before the first plan: the order of the ladder does not change under a session's feet."""
    expected_seconds: Seconds | None = None
    """Measured active time of what resembles the goal most."""
    kept: Annotated[int, Field(ge=0)] | None = None
    """Learnings of this session that the store has; absent before its end."""
    away: Snippet = ""
    """Why the store could not be asked or told; empty when it could."""


class Known(Contract):
    """The answer to ``recall``. A store that is away is as good as an empty one."""

    recalled: Annotated[list[Recalled], Field(max_length=MAX_RECALLED)] = []
    memories: Annotated[list[Memory], Field(max_length=MAX_MEMORIES)] = []
    rungs: Annotated[list[RungRate], Field(max_length=MAX_OWN_RUNGS)] = []
    search: Search = "lexical"
    expected_seconds: Seconds | None = None
    problem: Sentence = ""
    """Why nothing could be looked for."""


class Given(Contract):
    """What a prompt is told of it all."""

    advice: Annotated[list[Recalled], Field(max_length=MAX_RECALLED)] = []
    memories: Annotated[list[Memory], Field(max_length=MAX_MEMORIES)] = []


# ---------------------------------------------------------------------- what a session teaches


class Pattern(Contract):
    """How a session reached its goal."""

    goal: Cue
    task_type: Key
    approach: Advice
    commands: Annotated[list[Line], Field(max_length=4)] = []
    """Those that decided the criteria."""
    active_seconds: Seconds = 0.0
    iterations: Annotated[int, Field(ge=0)] = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0


class ErrorPattern(Contract):
    """A failure that a fix was tried against."""

    pattern: Line
    """Its key lines, as they were printed."""
    solution: Annotated[str, MaxBytes(520, clipped=True)]
    solution_worked: bool
    """The failure was gone in the next validation, and never came back in the session."""
    fingerprint: Fingerprint


class RecoveryStrategy(Contract):
    """A rung of the recovery ladder that was stepped on."""

    name: Key
    strategy: Snippet
    result: Snippet
    helped: bool


class ProjectFact(Contract):
    """Something that was observed of the project."""

    title: Line
    text: Fact
    commit: Sha | None = None


class Lessons(Contract):
    """What a session teaches: nothing but what its history shows."""

    session_id: SessionId
    project: Key
    task_type: Key
    successful_patterns: Annotated[list[Pattern], Field(max_length=1)] = []
    failed_patterns: Annotated[list[Pattern], Field(max_length=1)] = []
    """How a session went that did not reach its goal."""
    error_patterns: Annotated[list[ErrorPattern], Field(max_length=MAX_LESSONS)] = []
    recovery_strategies: Annotated[list[RecoveryStrategy], Field(max_length=10)] = []
    time_per_task_type: Annotated[dict[Key, Seconds], Field(max_length=4)] = {}
    """Measured active seconds, of a session that reached its goal."""
    project_memory: Annotated[list[ProjectFact], Field(max_length=MAX_LESSONS)] = []
    feedback: Annotated[list[Feedback], Field(max_length=MAX_USES)] = []


class RecallAsked(Contract):
    """What ``recall`` is asked: what may help, and before the first plan also what is known of the project."""

    request: RecallRequest
    project_too: bool = False
