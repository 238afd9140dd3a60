"""What clients see of a session, under the names of the seed where a client would look for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.outcome import Usage
from workflows.contracts.plan import MAX_CRITERIA
from workflows.contracts.requests import Phase
from workflows.contracts.state import MAX_EVENTS, ErrorEntry, Event, Status
from workflows.contracts.text import Contract, Key, Line, MaxBytes, Paragraph, SessionId, Sha


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
    tail: Annotated[str, MaxBytes(1_000, clipped=True, keep="tail")] = ""


class GuidanceStatus(Contract):
    """Steering text and whether a prompt has carried it."""

    id: Key
    text: Line
    state: Literal["waiting", "delivered"]
    iteration: int | None = None


class StepStatusLine(Contract):
    id: Key
    title: Line
    status: Line


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
    waiting_until: datetime | None = None
    steps: Annotated[list[StepStatusLine], Field(max_length=20)] = []
    strategy: Paragraph = ""
    guidance: Annotated[list[GuidanceStatus], Field(max_length=20)] = []
    sandbox: Line = ""
    """What stood between untrusted code and the host at the last call, and its network; empty before the first."""
    branch: Line = ""
    commit: Sha | None = None
    summary: Paragraph = ""
    started_at: datetime | None = None
    updated_at: datetime | None = None
    worker: Literal["online", "offline"] = "online"
    """``offline``: nobody answers for the session now; what is shown is its last word in Temporal."""
    monitor_url: Line = ""
    next: Line = ""


class Events(Contract):
    """The last events, oldest first."""

    events: Annotated[list[Event], Field(max_length=MAX_EVENTS)] = []
    first_seq: int = 0
    last_seq: int = 0
