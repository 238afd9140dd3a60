"""What activities are asked and what they return. One pair per activity, beside ``workflows/calls.py``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.answers import DiagnosisAnswer, ReflectionAnswer
from workflows.contracts.evidence import ArtifactRef, CommandEvidence, Verdict
from workflows.contracts.outcome import CallReport, Usage
from workflows.contracts.plan import MAX_CRITERIA, MAX_FAILURES, Criterion, Plan
from workflows.contracts.spec import MAX_WISHES, Egress, Project
from workflows.contracts.text import (
    Command,
    Contract,
    Goal,
    Guidance,
    Key,
    Line,
    MaxBytes,
    ModelName,
    Page,
    Paragraph,
    Seconds,
    Sentence,
    SessionId,
    Sha,
    Snippet,
    Wish,
)

Phase = Literal[
    "recall", "baseline", "plan", "execute", "validate", "judge", "diagnose", "reflect", "integrate", "deliver",
    "learn", "job",
]  # fmt: skip

MAX_HISTORY = 30
"""Events that a reflection is shown."""


class Site(Contract):
    """Which tree an activity works on."""

    session_id: SessionId
    project: Project
    commit: Sha | None = None
    """Checkpoint to stand on; absent before the project is imported."""
    iteration: Annotated[int, Field(ge=0)] = 0
    egress: Egress = Egress()


class Allowance(Contract):
    """What one Claude Code call may use."""

    model: ModelName
    cost_usd: Annotated[float, Field(ge=0)]
    tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens of all kinds; absent means no limit."""
    seconds: Seconds
    max_turns: Annotated[int, Field(ge=1, le=1_000)]


class Try(Contract):
    """A fix that was tried and what came of it."""

    iteration: Annotated[int, Field(ge=0)]
    root_cause: Line
    fix: Annotated[str, MaxBytes(300, clipped=True)]
    result: Snippet = ""


class FailedCheck(Contract):
    """A criterion that is not met, with the evidence to show to a model."""

    criterion: Key
    description: Sentence
    command: Command | None = None
    exit_code: int | None = None
    timed_out: bool = False
    evidence: Sentence = ""
    log: ArtifactRef | None = None
    """The whole output, for the prompt."""


class PlanRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    validation_command: Command | None = None
    setup_command: Command | None = None
    success_criteria: Annotated[list[Wish], Field(max_length=MAX_WISHES)] = []
    guidance: Annotated[list[Guidance], Field(max_length=20)] = []


class PlanResult(CallReport):
    base: Sha | None = None
    """Commit that the session branch starts from."""
    plan: Plan | None = None


class Brief(Contract):
    """The hand-off to a fresh context: everything that an execute needs to know."""

    goal: Goal
    task: Page
    unmet: Annotated[list[FailedCheck], Field(max_length=MAX_FAILURES)] = []
    steps: Annotated[list[Line], Field(max_length=20)] = []
    """The plan with its marks, one line a step."""
    strategy: Page = ""
    dead_ends: Annotated[list[Try], Field(max_length=10)] = []
    guidance: Annotated[list[Guidance], Field(max_length=20)] = []
    """Steering that no prompt has carried yet."""
    standing_guidance: Annotated[list[Guidance], Field(max_length=20)] = []
    """Steering that earlier prompts carried and that still holds."""
    notes: Annotated[list[Line], Field(max_length=10)] = []


class ExecuteRequest(Contract):
    site: Site
    allowance: Allowance
    step: Key
    subject: Line
    """What the commit is about."""
    brief: Brief
    conversation: Key | None = None
    """Claude Code session of an interrupted execute that goes on."""


class Checkpoint(Contract):
    """One commit on the session branch."""

    commit: Sha
    tree: Sha
    parent: Sha
    iteration: Annotated[int, Field(ge=0)]
    changed_files: Annotated[int, Field(ge=0)] = 0


class ExecuteResult(CallReport):
    checkpoint: Checkpoint | None = None
    conversation: Key | None = None
    summary: Paragraph = ""
    """What the agent said at its end; for people, never evidence."""


class Check(Contract):
    criterion: Key
    command: Command


class ValidateRequest(Contract):
    site: Site
    checks: Annotated[list[Check], Field(max_length=MAX_CRITERIA)]
    setup_command: Command | None = None
    base: Sha | None = None
    """Commit that the session started from: what was added since must hold no secret."""
    clean: bool = False
    """In a clean clone of the commit instead of the worktree."""
    seconds: Annotated[float, Field(gt=0)] = 1_800
    """Time limit of each command, in seconds."""


class ValidateResult(CallReport):
    evidence: Annotated[list[CommandEvidence], Field(max_length=MAX_CRITERIA)] = []
    setup: CommandEvidence | None = None


class JudgeRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    base: Sha
    criteria: Annotated[list[Criterion], Field(max_length=MAX_CRITERIA)]
    evidence: Annotated[list[CommandEvidence], Field(max_length=MAX_CRITERIA)] = []


class JudgeResult(CallReport):
    verdicts: Annotated[list[Verdict], Field(max_length=MAX_CRITERIA)] = []


class DiagnoseRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    failures: Annotated[list[FailedCheck], Field(max_length=MAX_FAILURES)]
    tries: Annotated[list[Try], Field(max_length=10)] = []
    parent: Sha
    """Commit before the last execute, to show what it changed."""


class DiagnoseResult(CallReport):
    diagnosis: DiagnosisAnswer | None = None


class ReflectRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    strategy: Page = ""
    why: Line
    scoreboard: Annotated[list[Line], Field(max_length=MAX_CRITERIA)] = []
    tries: Annotated[list[Try], Field(max_length=10)] = []
    history: Annotated[list[Line], Field(max_length=MAX_HISTORY)] = []


class ReflectResult(CallReport):
    reflection: ReflectionAnswer | None = None


class Beat(Contract):
    """What a heartbeat carries to the next attempt."""

    usage: Usage = Usage()
    open_usd: Annotated[float, Field(ge=0)] = 0.0
    """What requests to the model that have no answer yet may cost, in USD: billed when the worker dies now."""
    activity: Line = ""
    """What the call is doing, for people."""

    def owed(self) -> Usage:
        """What is to be charged when this was the last that anybody heard."""
        return self.usage + Usage(cost_usd=self.open_usd, estimated_usd=self.open_usd)
