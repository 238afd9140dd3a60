"""What clients see of a session, under the names of the seed where a client would look for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.applied import MAX_MEMORIES, MAX_USES, Verdict
from workflows.contracts.approvals import MAX_DECISIONS, Approval, Decision
from workflows.contracts.evidence import MAX_STEPS, MAX_TAMPERING, Tally
from workflows.contracts.knowledge import Kind
from workflows.contracts.outcome import Usage
from workflows.contracts.plan import MAX_CRITERIA, MAX_LISTED
from workflows.contracts.requests import Phase
from workflows.contracts.state import MAX_EVENTS, MAX_RUNGS, ErrorEntry, Event, Status
from workflows.contracts.text import Contract, Digest, Key, Line, MaxBytes, Paragraph, SessionId, Sha, Snippet


class Glance(Contract):
    """The memo that lists and describes show without a worker: at most 2 KB."""

    goal: Annotated[str, MaxBytes(300, clipped=True)]
    progress: Annotated[int, Field(ge=0, le=100)] = 0
    criteria_met: int = 0
    criteria: int = 0
    max_iterations: int = 0
    last_error: Line = ""
    next: Line = ""
    reason: Line = ""
    approval: Approval | None = None
    recovery: Snippet = ""
    """The rung of the recovery ladder, ``3/6: best checkpoint, another approach``; empty on the ground."""


class RungStatus(Contract):
    """A rung of the recovery ladder that was tried."""

    title: Snippet
    iteration: int
    """After which it was stepped on."""
    result: Snippet = ""
    """Empty while it is being tried."""


class TestResult(Contract):
    """One command on the last validated commit."""

    __test__ = False

    criterion: Key
    command: Line
    passed: bool
    exit_code: int | None = None
    timed_out: bool = False
    seconds: float = 0.0
    rate: float = 0.0
    """Share of its tests that passed; without tests 1 for exit code 0, else 0."""
    explained: bool = False
    """Failed tests, and nothing else, account for an exit code that is not 0."""
    tally: Tally = Tally()
    no_tests: bool = False
    """It ended well, but no test was seen to run."""
    steps: Annotated[list[int | None], Field(max_length=MAX_STEPS)] = []
    """Exit codes of its steps, where it was run step by step."""
    tail: Annotated[str, MaxBytes(1_000, clipped=True, keep="tail")] = ""


class HeldOutStatus(Contract):
    """Where the held-out checks stand, for the person; the agent is told what the session's setting says."""

    command: Line
    passed: bool = False
    """On the commit that the session stands on."""
    exit_code: int | None = None
    timed_out: bool = False
    note: Line = ""
    """How the last run ended and on which commit, and why it says nothing where it did not run."""


class GuidanceStatus(Contract):
    """Steering text and whether a prompt has carried it; ``too_late``: the session ended before one could."""

    id: Key
    text: Line
    state: Literal["waiting", "delivered", "too_late"]
    iteration: int | None = None


class StepStatusLine(Contract):
    id: Key
    title: Line
    status: Line
    note: Line = ""
    """When and why the plan was changed by it; empty for a step of the plan as it was made."""


class Estimate(Contract):
    """When a session may end, and what that is based on; no moments when there is no basis yet."""

    earliest: datetime | None = None
    latest: datetime | None = None
    basis: Line = ""


class KnowledgeUsed(Contract):
    """Something of earlier sessions that this one was given, where it is from, and whether it helped."""

    id: Digest
    kind: Kind
    title: Line
    source: Key
    """The session that it is from, or ``person``."""
    confidence: Annotated[float, Field(ge=0, le=1)]
    level: Literal["advice", "hint", "memory"]
    iteration: int
    """After which a prompt was given it; 0 is the plan."""
    result: Verdict = ""
    """On observed evidence; empty while nobody knows, and for what is not counted."""
    counted: bool = True
    """Whether what came of it goes into its record."""


class SessionStatus(Contract):
    """Everything that a person or a model needs to judge where a session stands."""

    session_id: SessionId
    status: Status
    reason: Line = ""
    phase: Phase
    goal: Annotated[str, MaxBytes(300, clipped=True)]
    iteration: int = 0
    max_iterations: int = 0
    progress: Annotated[int, Field(ge=0, le=100)] = 0
    progress_basis: Line = ""
    errors: int = 0
    """How many errors there were; the last ones are in ``error_log``."""
    error_log: Annotated[list[ErrorEntry], Field(max_length=10)] = []
    last_error: Line = ""
    validation_status: Annotated[dict[Key, bool], Field(max_length=MAX_CRITERIA)] = {}
    """Criterion to whether it is met."""
    test_results: Annotated[list[TestResult], Field(max_length=MAX_CRITERIA)] = []
    held_out: HeldOutStatus | None = None
    """The checks that the agent never sees; absent where the person gave none."""
    success_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    cost_usd: float = 0.0
    max_cost_usd: float = 0.0
    tokens: int = 0
    """Used so far, of all kinds."""
    max_tokens: int | None = None
    usage: Usage = Usage()
    elapsed_minutes: float = 0.0
    """Active minutes; paused and waiting do not count."""
    max_time_minutes: float = 0.0
    estimated_completion: datetime | None = None
    """The middle of ``estimate``, where that has one."""
    estimate: Estimate = Estimate()
    waiting_until: datetime | None = None
    """When the session goes on by itself; absent when it does not, as while a person has paused it."""
    approval: Approval | None = None
    """What waits for a person's approval."""
    decisions: Annotated[list[Decision], Field(max_length=MAX_DECISIONS)] = []
    """The last answers to such requests, oldest first."""
    steps: Annotated[list[StepStatusLine], Field(max_length=MAX_LISTED)] = []
    strategy: Paragraph = ""
    recovery: Snippet = ""
    """The rung of the recovery ladder that the session is on; empty where nothing fails."""
    recovery_log: Annotated[list[RungStatus], Field(max_length=MAX_RUNGS)] = []
    """What was tried when it was stuck, and what came of it."""
    best_iteration: int | None = None
    """The iteration that got furthest."""
    guidance: Annotated[list[GuidanceStatus], Field(max_length=20)] = []
    knowledge: Annotated[list[KnowledgeUsed], Field(max_length=MAX_USES + MAX_MEMORIES)] = []
    """What of earlier sessions it was given, and whether that helped."""
    knowledge_note: Line = ""
    """How it was looked for, what was kept of this session, and what kept the store from either."""
    sandbox: Line = ""
    """What stood between untrusted code and the host at the last call, and its network; empty before the first."""
    branch: Line = ""
    commit: Sha | None = None
    tampering: Annotated[list[Line], Field(max_length=2 * MAX_TAMPERING)] = []
    """What stands against the last validated commit, and what of the last execute was put back."""
    committed: bool = False
    """Whether there is work of the session on the branch; without, ``commit`` is the one that it began from."""
    summary: Paragraph = ""
    started_at: datetime | None = None
    updated_at: datetime | None = None
    worker: Literal["online", "offline"] = "online"
    """``offline``: nobody answers for the session now; what is shown is its last word in Temporal."""
    monitor_url: Line = ""
    trace_id: Annotated[str, MaxBytes(32)] = ""
    """Of the trace in which the session's spans are; empty where nobody traces. Known to clients, not to itself."""
    next: Line = ""


class Events(Contract):
    """The last events, oldest first."""

    events: Annotated[list[Event], Field(max_length=MAX_EVENTS)] = []
    first_seq: int = 0
    last_seq: int = 0
