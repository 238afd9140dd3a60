"""Approvals: what waits for a person's word in iterative mode, and what the person may say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from workflows.contracts.messages import Message
from workflows.contracts.plan import MAX_PLANNED_CRITERIA, MAX_STEPS, Criterion, Step
from workflows.contracts.text import Command, Contract, Guidance, Key, Line, MaxBytes, Paragraph, Wish

Subject = Literal["plan", "iteration"]
AfterTimeout = Literal["continue", "pause", "end"]
"""What a request that nobody answers in time becomes: an approval, a pause, or the end of the session."""

MAX_DECISIONS = 6
ANYBODY = "a person"

Who = Annotated[str, MaxBytes(100, clipped=True)]
StepTitle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), MaxBytes(120)]
"""A step in one line, as a person writes it; 1 to 120 bytes, refused beyond."""
Instructions = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), MaxBytes(800)]
"""What a step is to do, as a person writes it; 1 to 800 bytes, refused beyond."""


class Approval(Contract):
    """Something that waits for a person's word."""

    request: Key
    """Names it in the answer, so that a late one counts for nothing else: ``plan``, ``plan-2``, ``iteration-3``."""
    subject: Subject
    what: Line
    since: datetime
    until: datetime | None = None
    """When the time-out decides; absent: never."""
    then: AfterTimeout | None = None


class Decision(Contract):
    """What was said about a request, by whom and when."""

    request: Key
    answer: Literal["approved", "rejected", "ended", "withdrawn"]
    by: Who
    at: datetime
    reason: Line = ""


class StepEdit(Contract):
    """A step as a person wants it; the ``id`` is that of a pending one, absent for a new one."""

    id: Key | None = None
    title: StepTitle
    instructions: Instructions


class CriterionEdit(Contract):
    """One of the planner's criteria as a person wants it; without an ``id`` it is a new one."""

    id: Key | None = None
    description: Wish
    command: Command | None = None
    weight: Annotated[float, Field(gt=0, le=100)] = 1


class PlanEdit(Contract):
    """What a person makes of the plan: the steps that are still to be done, in order, and the planner's criteria."""

    steps: Annotated[list[StepEdit], Field(min_length=1, max_length=MAX_STEPS)]
    criteria: Annotated[list[CriterionEdit], Field(max_length=MAX_PLANNED_CRITERIA)] | None = None
    """Only before the first approval, which freezes them; absent means unchanged."""


class Answering(Message):
    """Base of what a person says about a request."""

    request: Key | None = None
    by: Who = ""
    """Who says so, as the client knows it."""


class Approve(Answering):
    """Let the session go on, with the plan as it is or as edited."""

    main: ClassVar[str] = "request"

    plan: PlanEdit | None = None


class Reject(Answering):
    """Not so: the reason becomes guidance, of another plan or of the next iteration; or the session ends."""

    reason: Guidance
    end: bool = False


class PlanView(Contract):
    """The plan in full, for whoever is to approve it."""

    session_id: Key
    request: Key | None = None
    """What waits for approval now."""
    summary: Paragraph = ""
    steps: Annotated[list[Step], Field(max_length=20)] = []
    criteria: Annotated[list[Criterion], Field(max_length=12)] = []
    frozen: bool = True
    """Whether the planner's criteria can no longer be edited."""
    next: Line = ""
    """What is done next, where that is no step of the plan."""
