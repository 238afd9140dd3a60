"""What Claude answers, as structured output: the schema of each phase. Untrusted until turned into contracts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from workflows.contracts.plan import MAX_CHECK_FILES, MAX_CRITERIA, MAX_PLANNED_CRITERIA, MAX_STEPS
from workflows.contracts.text import Key, Line, Paragraph, Sentence

MAX_APPROACHES = 3
"""Approaches that are tried at once."""

Confidence = Literal["low", "medium", "high"]


class Answer(BaseModel):
    """Base of structured answers; Claude Code enforces their JSON schema and lets the model mend a mismatch."""

    model_config = ConfigDict(extra="ignore")


class PlannedStep(Answer):
    id: Key = Field(description="short identifier, for example s1")
    title: Line = Field(description="what this step delivers, in one line")
    instructions: Paragraph = Field(description="what to do, for an engineer who has not seen this conversation")


class PlannedCriterion(Answer):
    id: Key = Field(description="short identifier, for example c1")
    description: Sentence = Field(description="what must be true, so that another person could check it")
    command: Sentence | None = Field(
        default=None, description="shell command run from the repository root that exits 0 only if it is true; or null"
    )
    weight: Annotated[float, Field(gt=0, le=100)] = 1


class PlanAnswer(Answer):
    summary: Paragraph = Field(description="the approach in two or three sentences")
    steps: Annotated[list[PlannedStep], Field(min_length=1, max_length=MAX_STEPS)]
    criteria: Annotated[list[PlannedCriterion], Field(max_length=MAX_PLANNED_CRITERIA)] = []
    setup_command: Sentence | None = Field(
        default=None, description="command that installs what the checks need in a fresh clone; or null"
    )
    tests_to_change: Annotated[list[Line], Field(max_length=MAX_CHECK_FILES)] = Field(
        default=[],
        description="existing tests that the goal itself asks to change, as paths from the repository root, or globs "
        "that match few of them; settings of test runners and check scripts cannot be named; empty if the goal asks "
        "for none",
    )
    check_files: Annotated[list[Line], Field(max_length=MAX_CHECK_FILES)] = Field(
        default=[],
        description="other existing files that decide whether the commands pass and that the work has no reason to "
        "change, such as check scripts, as paths or globs from the repository root",
    )
    estimated_complexity: Literal["low", "medium", "high"] = "medium"


class JudgeQuote(Answer):
    file: Line = Field(description="path of the file from the repository root")
    quote: Line = Field(description="words copied exactly from that file, at most one line")


class JudgeVerdict(Answer):
    criterion: Key
    met: bool
    confidence: Confidence
    reason: Sentence
    evidence: Annotated[list[JudgeQuote], Field(max_length=4)] = []


class JudgeAnswer(Answer):
    verdicts: Annotated[list[JudgeVerdict], Field(max_length=MAX_CRITERIA)]


class DiagnosisAnswer(Answer):
    root_cause: Sentence
    fix: Paragraph = Field(description="what to change, precise enough to do without further investigation")
    category: Line = Field(description="kind of failure, for example logic error, missing dependency, wrong test setup")
    confidence: Confidence


class ReflectionAnswer(Answer):
    change_approach: bool
    new_strategy: Paragraph | None = Field(
        default=None, description="the strategy to follow from now on, if it changes"
    )
    steps: Annotated[list[PlannedStep], Field(max_length=MAX_STEPS)] | None = Field(
        default=None,
        description="all steps that are still to be done, in order, if they are to change: a pending step that stays"
        " keeps its id; or null to leave them as they are",
    )
    approaches: Annotated[list[Paragraph], Field(max_length=MAX_APPROACHES)] = Field(
        default=[],
        description="only when asked for several: each in full, for an engineer who sees no other",
    )
    lessons: Annotated[list[Line], Field(max_length=10)] = []
