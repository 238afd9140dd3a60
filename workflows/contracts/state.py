"""All that a session remembers. It survives continue-as-new, so every text and list has a limit (108 KB in all)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.applied import Applied
from workflows.contracts.approvals import MAX_DECISIONS, Approval, Decision
from workflows.contracts.evidence import MAX_TAMPERING, ArtifactRef, HeldOutRun, Scorecard, Tampering
from workflows.contracts.outcome import MAX_UNSETTLED, Account, Usage
from workflows.contracts.plan import MAX_CRITERIA, Criterion, Plan
from workflows.contracts.requests import MAX_PASSES, Checkpoint, Phase, Try
from workflows.contracts.spec import Limits, SessionSpec
from workflows.contracts.tamper import KnownTests
from workflows.contracts.text import Contract, Key, Line, MaxBytes, Mutable, Paragraph, Seconds, Sha, Snippet

MAX_EVENTS = 50
MAX_GUIDANCE = 4
MAX_SEEN_IDS = 24
MAX_TRAIL = 4
MAX_ALIKE = 6
"""Iterations in a row without getting further that are one too many, when only what is printed differs."""
MAX_TRIES = 8
MAX_RUNGS = 10
"""Rungs of the recovery ladder whose results are remembered."""
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
    kind: Literal["phase", "checkpoint", "validation", "error", "message", "limit", "approval", "note", "end"]
    text: Annotated[str, MaxBytes(130, clipped=True)]


class GuidanceItem(Mutable):
    """Steering text and what became of it."""

    id: Key
    text: Annotated[str, MaxBytes(2_000, clipped=True)]
    iteration: int | None = None
    """Iteration whose prompt carried it; absent while it waits."""
    weighed: bool = False
    """A plan or a reflection has seen what it means for the steps."""


class ErrorEntry(Contract):
    """Something that went wrong and how it was classed."""

    iteration: Annotated[int, Field(ge=0)]
    phase: Phase
    kind: Annotated[str, MaxBytes(40, clipped=True)]
    text: Line


class Task(Contract):
    """What the next execute is to do."""

    kind: Literal["step", "fix", "finish", "recover"]
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
    """Hash of what failed, how it ended and the fingerprints of what it printed; absent when nothing did."""
    rose: bool = False
    """It got further than every iteration before it."""
    shape: Annotated[str, MaxBytes(8, clipped=True)] | None = None
    """Hash of which tests fail, or of what kind the failure is, whatever values it prints."""
    alike: Annotated[int, Field(ge=0, le=MAX_ALIKE)] = 0
    """Iterations in a row, this one included, that got no further and failed in a way seen shortly before."""


class Mark(Contract):
    """How far a commit got, as Overnight observed it."""

    met: Annotated[int, Field(ge=0, le=MAX_CRITERIA)] = 0
    rate: Annotated[float, Field(ge=0, le=MAX_CRITERIA)] = 0.0
    """Rates of the criteria, added up."""
    passed: Annotated[int, Field(ge=0)] = 0
    """Tests that passed."""


class Best(Contract):
    """The checkpoint that got furthest; the later of two that got equally far."""

    commit: Sha
    tree: Sha | None = None
    """Absent for the commit that the session started from."""
    iteration: Annotated[int, Field(ge=0)]
    mark: Mark


class RungRecord(Contract):
    """A rung of the recovery ladder that was tried, and what came of it."""

    name: Key
    title: Snippet
    iteration: Annotated[int, Field(ge=0)]
    """After which it was stepped on."""
    result: Snippet = ""
    """Absent while it is being tried."""


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
    """How long calls have run, by their own word: paused and waiting do not count."""

    base: Sha | None = None
    checkpoint: Checkpoint | None = None
    plan: Plan | None = None
    criteria: Annotated[list[Criterion], Field(max_length=MAX_CRITERIA)] = []
    """Frozen with the first plan, in iterative mode with the first that is approved."""
    plans: Annotated[int, Field(ge=0)] = 0
    """Plans that were made, the rejected ones included."""
    scores: Annotated[list[CriterionState], Field(max_length=MAX_CRITERIA)] = []
    card: Scorecard | None = None
    """Evidence on the last validated commit."""
    confirmed: Scorecard | None = None
    """Evidence from the clean clone."""
    known_tests: Annotated[list[KnownTests], Field(max_length=MAX_CRITERIA)] = []
    """Tests seen up to now: those that vanish or become skipped are found by these."""
    put_back: Annotated[list[Tampering], Field(max_length=MAX_TAMPERING)] = []
    """What the last execute changed that it may not, and Overnight put back."""
    put_backs: Annotated[int, Field(ge=0)] = 0
    """How often that was so, in all executes."""
    taken_back: ArtifactRef | None = None
    """The changes of the last execute that were put back, as a diff."""
    held_out: ArtifactRef | None = None
    """The held-out checks, as a tar."""
    held_out_run: HeldOutRun | None = None
    """What they last showed."""

    iteration: int = 0
    baselined: bool = False
    succeeded: bool = False
    """The last iteration met every criterion, confirmed in a clean clone."""
    flaky: Annotated[int, Field(ge=0, le=MAX_PASSES)] = 0
    """How often a commit held in the worktree, and not each time in the clean clone."""
    approval: Approval | None = None
    """What waits for a person's word, or for the session to take that word up."""
    decisions: Annotated[list[Decision], Field(max_length=MAX_DECISIONS)] = []
    task: Task | None = None
    """What the last execute was about, without its instructions."""
    fix: Task | None = None
    conversation: Key | None = None
    strategy: Paragraph = ""
    tries: Annotated[list[Try], Field(max_length=MAX_TRIES)] = []
    trail: Annotated[list[Trail], Field(max_length=MAX_TRAIL)] = []
    idle: int = 0
    """Executes in a row that changed nothing."""
    absent: Annotated[int, Field(ge=0)] = 0
    """Iterations in a row in which a program that the validation command names was not there."""
    reflected_at: int = 0

    best: Best | None = None
    high: Mark = Mark()
    """The furthest that any iteration got, each number for itself."""
    falls: Annotated[int, Field(ge=0)] = 0
    """Iterations in a row that fell below the best."""
    returns: Annotated[int, Field(ge=0)] = 0
    """Returns to the best checkpoint since the session last got further."""
    rung: Annotated[int, Field(ge=0)] = 0
    """Where the session stands on the recovery ladder; 0 is the ground."""
    rungs: Annotated[list[RungRecord], Field(max_length=MAX_RUNGS)] = []
    rollback: Annotated[int, Field(ge=0)] | None = None
    """Iteration that a person wants to go back to, until the next gate."""

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

    knowledge: Applied = Applied()
    """What earlier sessions learned, as far as this one was given it."""
    usage: Usage = Usage()
    unsettled: Annotated[list[Account], Field(max_length=MAX_UNSETTLED)] = []
    """Calls that never answered, charged in ``usage`` as far as Temporal heard of them."""
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


class StepResult(Contract):
    """What an approach in a worktree of its own came to, or how far when something holds it up."""

    over: bool
    """False: it goes on from ``state`` when its session does."""
    state: SessionState


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
