"""The plan and the criteria. Criteria freeze with the first plan; steps may change."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.text import Command, Contract, Key, Line, Paragraph, Sentence

MAX_STEPS = 8
MAX_PLANNED_CRITERIA = 4
MAX_CRITERIA = 12
"""One validation command, six wishes, four of the planner and the standing one."""
MAX_FAILURES = MAX_CRITERIA + 1
"""Every criterion, and the setup command."""


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


class Step(Contract):
    """A piece of work of the size of one execute."""

    id: Key
    title: Line
    instructions: Paragraph
    status: StepStatus = StepStatus.PENDING


class Plan(Contract):
    """How the session goes about its goal."""

    summary: Paragraph
    steps: Annotated[list[Step], Field(max_length=MAX_STEPS)] = []
    criteria: Annotated[list[Criterion], Field(max_length=MAX_CRITERIA)] = []
    setup_command: Command | None = None
    estimated_complexity: Literal["low", "medium", "high"] = "medium"
