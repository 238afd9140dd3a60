"""The plan and the criteria. Criteria freeze with the first plan; steps may change."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.text import Command, Contract, Glob, Key, Line, Paragraph, Sentence, Snippet

MAX_STEPS = 8
"""Steps that are still to be done, at most."""
MAX_LISTED = 20
"""Steps that are remembered, the past ones included."""
MAX_PLANNED_CRITERIA = 4
MAX_CRITERIA = 12
"""One validation command, six wishes, four of the planner and the standing one."""
MAX_FAILURES = MAX_CRITERIA + 4
"""Every criterion, the setup command, secrets, tampering and held-out checks."""
MAX_CHECK_FILES = 8


class Criterion(Contract):
    """Something that must hold for success: by a command's exit code, or by a judge when no command can tell."""

    id: Key
    description: Sentence
    command: Command | None = None
    weight: Annotated[float, Field(gt=0, le=100)] = 1
    """Share in progress; it has no part in success."""
    source: Literal["user", "plan", "standing"] = "plan"


class StepStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    DROPPED = "dropped"


class Step(Contract):
    """A piece of work of the size of one execute."""

    id: Key
    title: Line
    instructions: Paragraph
    status: StepStatus = StepStatus.PENDING
    iteration: Annotated[int, Field(ge=0)] = 0
    """In which it was done."""
    added_in: Annotated[int, Field(ge=0)] | None = None
    """Iteration after which the plan was changed by it; absent for a step of the plan as it was made."""
    dropped_in: Annotated[int, Field(ge=0)] | None = None
    why: Snippet = ""
    """Why it was added or dropped."""


class Plan(Contract):
    """How the session goes about its goal."""

    summary: Paragraph
    steps: Annotated[list[Step], Field(max_length=MAX_LISTED)] = []
    """Those that are done or dropped first, then what is to be done, in order."""
    numbered: Annotated[int, Field(ge=0)] = 0
    """Ids that were given so far: none is given twice."""
    done_before: Annotated[int, Field(ge=0)] = 0
    """Steps that were done and are no longer listed."""
    criteria: Annotated[list[Criterion], Field(max_length=MAX_CRITERIA)] = []
    setup_command: Command | None = None
    may_change: Annotated[list[Glob], Field(max_length=MAX_CHECK_FILES)] = []
    """Tests that are there and that the goal itself asks to change."""
    check_files: Annotated[list[Glob], Field(max_length=MAX_CHECK_FILES)] = []
    """Files beside the tests that decide the checks."""
    estimated_complexity: Literal["low", "medium", "high"] = "medium"
