"""All that a session remembers. It survives continue-as-new, so every text and list has a limit (64 KB in all)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.evidence import Scorecard
from workflows.contracts.outcome import Usage
from workflows.contracts.plan import MAX_CRITERIA, Criterion, Plan
from workflows.contracts.requests import Checkpoint, Phase, Try
from workflows.contracts.spec import Limits, SessionSpec
from workflows.contracts.text import Contract, Key, Line, MaxBytes, Mutable, Paragraph, Seconds, Sha

MAX_EVENTS = 50
MAX_GUIDANCE = 4
MAX_SEEN_IDS = 24
MAX_TRAIL = 4
MAX_TRIES = 5
MAX_ERRORS = 5
MAX_NOTES = 5


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING_LIMIT = "waiting_limit"
    WAITING_APPROVAL = "waiting_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


class Event(Contract):
    """One line of the session's record."""

    seq: Annotated[int, Field(ge=1)]
    time: datetime
    kind: Literal["phase", "checkpoint", "validation", "error", "message", "limit", "note", "end"]
    text: Annotated[str, MaxBytes(130, clipped=True)]


class GuidanceItem(Mutable):
    """Steering text and what became of it."""

    id: Key
    text: Annotated[str, MaxBytes(2_000, clipped=True)]
    iteration: int | None = None
    """Iteration whose prompt carried it; absent while it waits."""


class ErrorEntry(Contract):
    """Something that went wrong and how it was classed."""

    iteration: Annotated[int, Field(ge=0)]
    phase: Phase
    kind: Annotated[str, MaxBytes(40, clipped=True)]
    text: Line


class Task(Contract):
    """What the next execute is to do."""

    kind: Literal["step", "fix", "finish"]
    step: Key
    title: Line
    instructions: Annotated[str, MaxBytes(1_300, clipped=True)]


class CriterionState(Mutable):
    """Where one criterion stands."""

    id: Key
    met: bool = False
    was_met: bool = False
    """Met by evidence at some iteration up to now."""
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    passed_at_baseline: bool = False


class Trail(Contract):
    """What one validated iteration looked like: stuck is judged by these."""

    iteration: Annotated[int, Field(ge=0)]
    tree: Sha
    met: Annotated[int, Field(ge=0)]
    failure: Key | None = None
    """Hash of what failed, how it ended and what it printed; absent when nothing did."""


class PhaseTimes(Mutable):
    """Measured seconds of a phase, for estimates."""

    count: int = 0
    seconds: Seconds = 0.0


class SessionState(Mutable):
    schema_version: int = 1
    status: Status = Status.QUEUED
    reason: Line = ""
    phase: Phase = "plan"
    limits: Limits = Limits()
    started_at: datetime | None = None
    updated_at: datetime | None = None
    sandbox: Annotated[str, MaxBytes(120, clipped=True)] = ""
    """What stood between untrusted code and the host at the last call."""
    host: Key | None = None
    """Where the session's worktree is: calls go there first."""
    roams: bool = False
    """That host did not answer: the next call is anybody's."""
    active_seconds: Seconds = 0.0
    """Since when active time runs; absent while paused or waiting."""

    base: Sha | None = None
    checkpoint: Checkpoint | None = None
    plan: Plan | None = None
    criteria: Annotated[list[Criterion], Field(max_length=MAX_CRITERIA)] = []
    """Frozen with the first plan."""
    scores: Annotated[list[CriterionState], Field(max_length=MAX_CRITERIA)] = []
    card: Scorecard | None = None
    """Evidence on the last validated commit."""
    confirmed: Scorecard | None = None
    """Evidence from the clean clone."""

    iteration: int = 0
    baselined: bool = False
    task: Task | None = None
    """What the last execute was about, without its instructions."""
    fix: Task | None = None
    conversation: Key | None = None
    strategy: Paragraph = ""
    tries: Annotated[list[Try], Field(max_length=MAX_TRIES)] = []
    trail: Annotated[list[Trail], Field(max_length=MAX_TRAIL)] = []
    idle: int = 0
    """Executes in a row that changed nothing."""
    reflected_at: int = 0
    reflections: Annotated[int, Field(ge=0)] = 0
    stuck_reflections: int = 0
    """Reflections in a row that being stuck called for."""

    guidance: Annotated[list[GuidanceItem], Field(max_length=MAX_GUIDANCE)] = []
    guidance_seq: int = 0
    seen_ids: Annotated[list[Key], Field(max_length=MAX_SEEN_IDS)] = []
    paused_by: Line | None = None
    """Why the session is to pause or is paused; absent when nobody asks for it."""
    cancelled_by: Line | None = None
    waits: int = 0
    """Waits in a row, without a call that got through between them."""
    wait_until: datetime | None = None
    wait_reason: Line = ""
    interruptions: int = 0
    """Interruptions in a row that nobody asked for and that brought nothing."""
    exhausted: bool = False
    """A call found that what is left of the budget does not carry another response."""

    usage: Usage = Usage()
    times: dict[Phase, PhaseTimes] = {}
    errors: Annotated[list[ErrorEntry], Field(max_length=MAX_ERRORS)] = []
    error_count: int = 0
    events: Annotated[list[Event], Field(max_length=MAX_EVENTS)] = []
    event_seq: int = 0
    summary: Paragraph = ""
    """What the agent said at the end of its last execute."""
    notes: Annotated[list[Line], Field(max_length=MAX_NOTES)] = []
    runs: int = 0
    """How often the session was continued as new."""
    messages_lost: int = 0
    """Messages that could not be understood; each is an event."""


class SessionStart(Contract):
    """Input of the workflow: the request and, after continue-as-new, all that was remembered."""

    spec: SessionSpec
    state: SessionState | None = None


class SessionResult(Contract):
    """How a session ended. Terminal outcomes are results, never exceptions."""

    session_id: Key
    status: Status
    reason: Line
    branch: Line
    commit: Sha | None = None
    iterations: int = 0
    usage: Usage = Usage()
    active_seconds: float = 0.0
    report: Annotated[str, MaxBytes(24_000, clipped=True)] = ""
