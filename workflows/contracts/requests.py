"""What activities are asked and what they return. One pair per activity, beside ``workflows/calls.py``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.answers import MAX_APPROACHES, DiagnosisAnswer, ReflectionAnswer
from workflows.contracts.applied import MAX_MEMORIES, Given, Memory
from workflows.contracts.evidence import (
    MAX_NOTICED,
    MAX_STEPS,
    MAX_TAMPERING,
    ArtifactRef,
    CommandEvidence,
    Fingerprint,
    Tally,
    Tampering,
    Verdict,
)
from workflows.contracts.outcome import MAX_UNSETTLED, Account, CallReport, Usage
from workflows.contracts.plan import MAX_CRITERIA, MAX_FAILURES, MAX_LISTED, Criterion, Plan
from workflows.contracts.spec import MAX_GLOBS, MAX_WISHES, Egress, HeldOut, Project
from workflows.contracts.tamper import Guard, KnownTests
from workflows.contracts.text import (
    Command,
    Contract,
    Glob,
    Goal,
    Guidance,
    Key,
    Line,
    Location,
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
    held_out: Location | None = None
    """Folder of the host that no box may see."""
    unsettled: Annotated[list[Account], Field(max_length=MAX_UNSETTLED)] = []
    """Calls that never answered, as they were charged: whoever has their accounts tells what they used."""


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
    failure: Key | None = None
    """What failed when it was proposed, as ``Trail`` knows it."""
    against: Fingerprint | None = None
    """The failure that it is to mend; absent where no command showed one."""
    pattern: Line = ""
    """The key lines of that failure."""
    mended: bool | None = None
    """It was gone in the next validation and has not come back since."""


class FailedCheck(Contract):
    """A criterion that is not met, with the evidence to show to a model."""

    criterion: Key
    description: Sentence
    command: Command | None = None
    exit_code: int | None = None
    timed_out: bool = False
    explained: bool = False
    """Failed tests account for the exit code."""
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    tally: Tally = Tally()
    tests: ArtifactRef | None = None
    """Each test with its outcome, for the prompt."""
    steps: Annotated[list[int | None], Field(max_length=MAX_STEPS)] = []
    evidence: Sentence = ""
    log: ArtifactRef | None = None
    """The whole output, for the prompt."""
    fingerprint: Fingerprint | None = None


class PlanRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    validation_command: Command | None = None
    setup_command: Command | None = None
    success_criteria: Annotated[list[Wish], Field(max_length=MAX_WISHES)] = []
    guidance: Annotated[list[Guidance], Field(max_length=20)] = []
    rejected: Annotated[list[Line], Field(max_length=MAX_LISTED)] = []
    """Steps of the plan that a person rejected, for reasons that are in the guidance."""
    protected_paths: Annotated[list[Glob], Field(max_length=MAX_GLOBS)] = []
    may_change: Annotated[list[Glob], Field(max_length=MAX_GLOBS)] = []
    held_out: HeldOut | None = None
    """To be imported before anything else happens."""
    why: Line = ""
    """Why there is to be a new plan for what is left; empty for the first one."""
    steps: Annotated[list[Sentence], Field(max_length=MAX_LISTED)] = []
    """The plan up to now with its marks."""
    scoreboard: Annotated[list[Line], Field(max_length=MAX_CRITERIA)] = []
    tries: Annotated[list[Try], Field(max_length=10)] = []
    given: Given = Given()
    """What earlier sessions learned that may help."""


class PlanResult(CallReport):
    base: Sha | None = None
    """Commit that the session branch starts from."""
    plan: Plan | None = None
    held_out: ArtifactRef | None = None
    """The held-out checks, as a tar."""
    memories: Annotated[list[Memory], Field(max_length=MAX_MEMORIES)] = []
    """Those that were given, each with whether it is perhaps outdated."""


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
    put_back: Annotated[list[Line], Field(max_length=MAX_TAMPERING)] = []
    """What the last execute changed and Overnight put back."""
    taken_back: ArtifactRef | None = None
    """The changes that were put back, as a diff."""
    memories: Annotated[list[Memory], Field(max_length=MAX_MEMORIES)] = []
    """What earlier sessions found to be true of the project."""


class ExecuteRequest(Contract):
    site: Site
    allowance: Allowance
    step: Key
    subject: Line
    """What the commit is about."""
    brief: Brief
    conversation: Key | None = None
    """Claude Code session of an interrupted execute that goes on."""
    guard: Guard | None = None
    """What the checkpoint must have as the base has it."""


class Checkpoint(Contract):
    """One commit on the session branch."""

    commit: Sha
    tree: Sha
    parent: Sha
    iteration: Annotated[int, Field(ge=0)]
    changed_files: Annotated[int, Field(ge=0)] = 0
    returned: bool = False
    """The session went back to its tree."""


class ExecuteResult(CallReport):
    checkpoint: Checkpoint | None = None
    conversation: Key | None = None
    summary: Paragraph = ""
    """What the agent said at its end; for people, never evidence."""
    tampering: Annotated[list[Tampering], Field(max_length=MAX_TAMPERING)] = []
    """What the agent changed and the checkpoint has as before."""
    more_tampering: Annotated[int, Field(ge=0)] = 0
    taken_back: ArtifactRef | None = None
    """The changes that were put back, as a diff."""


MAX_PASSES = 10


class Check(Contract):
    criterion: Key
    command: Command


class HeldOutCheck(Contract):
    """Held-out checks to be run, after everything else has held."""

    files: ArtifactRef
    command: Command
    target: Glob
    tells: Literal["nothing", "names", "full"]


class ValidateRequest(Contract):
    site: Site
    checks: Annotated[list[Check], Field(max_length=MAX_CRITERIA)]
    setup_command: Command | None = None
    base: Sha | None = None
    """Commit that the session started from: what was added since must hold no secret."""
    clean: bool = False
    """In a clean clone of the commit instead of the worktree."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of tests with which a step of a command counts as passed, so that the next one is run."""
    seconds: Annotated[float, Field(gt=0)] = 1_800
    """Time limit of each command, in seconds."""
    passes: Annotated[int, Field(ge=1, le=MAX_PASSES)] = 1
    """Times in a row that a command is to hold, on files that are put back before each."""
    quick_passes: Annotated[int, Field(ge=1, le=MAX_PASSES)] = 1
    """The same for as long as its runs take less than ``quick_seconds`` in all, where that is more."""
    quick_seconds: Seconds = 60
    guard: Guard | None = None
    known_tests: Annotated[list[KnownTests], Field(max_length=MAX_CRITERIA)] = []
    returned: bool = False
    """The commit has an earlier tree that the session went back to: tests that it added since are not missed."""
    held_out: HeldOutCheck | None = None
    """Run these, in a clean clone, instead of ``checks``."""


class ValidateResult(CallReport):
    evidence: Annotated[list[CommandEvidence], Field(max_length=MAX_CRITERIA)] = []
    setup: CommandEvidence | None = None
    tampering: Annotated[list[Tampering], Field(max_length=MAX_TAMPERING)] = []
    more_tampering: Annotated[int, Field(ge=0)] = 0
    noticed: Annotated[list[Line], Field(max_length=MAX_NOTICED)] = []
    known_tests: Annotated[list[KnownTests], Field(max_length=MAX_CRITERIA)] = []
    """Every test seen up to now, to be compared with the next run."""


class JudgeRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    base: Sha
    criteria: Annotated[list[Criterion], Field(max_length=MAX_CRITERIA)]
    evidence: Annotated[list[CommandEvidence], Field(max_length=MAX_CRITERIA)] = []
    noticed: Annotated[list[Line], Field(max_length=MAX_NOTICED)] = []


class JudgeResult(CallReport):
    verdicts: Annotated[list[Verdict], Field(max_length=MAX_CRITERIA)] = []


class DiagnoseRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    failures: Annotated[list[FailedCheck], Field(max_length=MAX_FAILURES)]
    tries: Annotated[list[Try], Field(max_length=10)] = []
    put_back: Annotated[list[Line], Field(max_length=MAX_TAMPERING)] = []
    """What the execute changed and Overnight put back."""
    failure: Key | None = None
    """What fails now, as the tries' own is known."""
    parent: Sha
    """Commit before the last execute, to show what it changed."""
    given: Given = Given()
    """What mended such a failure in earlier sessions."""


class DiagnoseResult(CallReport):
    diagnosis: DiagnosisAnswer | None = None


class ReflectRequest(Contract):
    site: Site
    allowance: Allowance
    goal: Goal
    strategy: Page = ""
    why: Line
    steps: Annotated[list[Sentence], Field(max_length=MAX_LISTED)] = []
    """The plan with its marks; what is to be done with its instructions."""
    guidance: Annotated[list[Guidance], Field(max_length=20)] = []
    approaches: Annotated[int, Field(ge=0, le=MAX_APPROACHES)] = 0
    """How many approaches to try at once are wanted beside the strategy; usually none."""
    scoreboard: Annotated[list[Line], Field(max_length=MAX_CRITERIA)] = []
    tries: Annotated[list[Try], Field(max_length=10)] = []
    history: Annotated[list[Line], Field(max_length=MAX_HISTORY)] = []


class ReflectResult(CallReport):
    reflection: ReflectionAnswer | None = None


class RestoreRequest(Contract):
    """Go back to the tree of a commit, or of the checkpoint of an iteration, with a new commit on the branch."""

    site: Site
    to: Sha | None = None
    iteration: Annotated[int, Field(ge=0)] | None = None
    """In place of ``to``; 0 is the commit that the session started from."""
    base: Sha
    step: Key
    subject: Line


class RestoreResult(CallReport):
    checkpoint: Checkpoint | None = None
    """The new commit; its parent here is the one that was gone back to, which has the same tree."""


class ForkRequest(Contract):
    """Give each of these sessions a branch of its own at a commit."""

    site: Site
    commit: Sha
    sessions: Annotated[list[SessionId], Field(max_length=MAX_APPROACHES)]


class ForkResult(CallReport):
    """Beside how it went there is nothing to say: the names of the branches are known."""


class Beat(Contract):
    """What a heartbeat carries to the next attempt."""

    usage: Usage = Usage()
    open_usd: Annotated[float, Field(ge=0)] = 0.0
    """What requests to the model that have no answer yet may cost, in USD: billed when the worker dies now."""
    activity: Line = ""
    """What the call is doing, for people."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """The attempt that it speaks of, and of all before it."""
    seconds: Seconds = 0.0
    """How long this attempt has worked, and all before it."""

    def owed(self) -> Usage:
        """What is to be charged when this was the last that anybody heard."""
        return self.usage + Usage(cost_usd=self.open_usd, estimated_usd=self.open_usd)
