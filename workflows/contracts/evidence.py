"""What Overnight observed itself: exit codes of commands that it ran, and verdicts with checked quotes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.plan import MAX_CRITERIA
from workflows.contracts.text import Contract, Digest, Key, Line, MaxBytes, Seconds, Sha, Snippet, Tail

MAX_TAMPERING = 6
MAX_NOTICED = 6


class ArtifactRef(Contract):
    """A file in the artifact store."""

    sha256: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class Fingerprint(Contract):
    """What failed, as ``workflows/policy/fingerprint.py`` recognises it again; each level carries its version."""

    exact: Annotated[str, MaxBytes(32, clipped=True)]
    template: Annotated[str, MaxBytes(32, clipped=True)]
    """Whatever names are quoted."""
    kind: Annotated[str, MaxBytes(64, clipped=True)] = ""
    """Error codes and types alone; empty when there are none."""


MAX_FAILING = 3
"""Failing tests that evidence names itself; the whole list is an artifact."""
MAX_STEPS = 8
"""Steps of one command that are run one by one; one with more is left whole."""

Source = Literal["junit", "ctrf", "json", "text", "exit"]
"""Where counts come from: a test report, a summary that was printed, or nothing but the exit code."""
Count = Annotated[int, Field(ge=0, le=10_000_000)]


class Tally(Contract):
    """What the tests of a command came to. Skipped is not passed."""

    source: Source = "exit"
    passed: Count = 0
    failed: Count = 0
    """Failures and errors."""
    skipped: Count = 0
    failing: Annotated[list[Snippet], Field(max_length=MAX_FAILING)] = []
    """The first that failed; of a printed summary only those that it names."""

    @property
    def ran(self) -> int:
        """Tests that passed or failed."""
        return self.passed + self.failed


TestState = Literal["passed", "failed", "skipped"]


class TestOutcome(Contract):
    """A line of the list of tests."""

    __test__ = False

    id: Annotated[str, MaxBytes(1_000, clipped=True)]
    outcome: TestState


class CommandEvidence(Contract):
    """The command of one criterion, run once, on one commit."""

    criterion: Key
    commit: Sha
    clean: bool = False
    """Run in a clean clone of the commit."""
    exit_code: int | None = None
    """Absent when the command did not end by itself. Of several steps the first that is not 0."""
    explained: bool = False
    """Failed tests account for an exit code that is not 0: nothing else failed, and nothing was left out."""
    timed_out: bool = False
    seconds: Seconds = 0.0
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of tests that passed, the lowest of all steps and summaries; without tests 1 for exit code 0, else 0."""
    tally: Tally = Tally()
    tests: ArtifactRef | None = None
    """Each test with its outcome: a ``TestOutcome`` as JSON a line, sorted by id.

    Absent where not all that were counted are known by name. Fewer lines than tests were counted
    means that the list was cut.
    """
    steps: Annotated[list[int | None], Field(max_length=MAX_STEPS)] = []
    """Exit codes of the steps that ran, of a command that was run step by step; empty when it was run whole."""
    tail: Tail = ""
    log: ArtifactRef | None = None
    fingerprint: Fingerprint | None = None
    """Of what it printed, when it failed."""

    @property
    def no_tests(self) -> bool:
        """It ended well, but no test was seen to run: for a linter that is right, for a test suite it is suspicious."""
        return self.exit_code == 0 and self.tally.ran == 0


class HeldOutRun(Contract):
    """How the held-out checks went when they were last run, for the person: nothing that they printed."""

    commit: Sha
    passed: bool
    exit_code: int | None = None
    timed_out: bool = False
    trouble: Line = ""
    """Why this run says nothing about the work, in words; empty where it does."""


class Quote(Contract):
    """Cited evidence of a judge; ``found`` says whether Overnight saw these words in that file of the commit."""

    file: Snippet
    quote: Snippet
    found: bool = False


class Verdict(Contract):
    """A judge's word on one criterion. Anything but a confident yes with evidence that exists is a no."""

    criterion: Key
    commit: Sha
    met: bool = False
    confidence: Literal["low", "medium", "high"] = "low"
    reason: Annotated[str, MaxBytes(160, clipped=True)] = ""
    quotes: Annotated[list[Quote], Field(max_length=2)] = []


class Tampering(Contract):
    """Something that decides success and was changed, or would let a check hold that should not."""

    kind: Literal["changed", "deleted", "mode", "replaced", "shadow", "settings", "vanished", "skipped", "assertions"]
    path: Snippet
    detail: Line = ""


class Scorecard(Contract):
    """All evidence on one commit. What speaks of another commit, or of no criterion, counts for nothing."""

    commit: Sha
    commands: Annotated[list[CommandEvidence], Field(max_length=MAX_CRITERIA)] = []
    verdicts: Annotated[list[Verdict], Field(max_length=MAX_CRITERIA)] = []
    setup: CommandEvidence | None = None
    tampering: Annotated[list[Tampering], Field(max_length=MAX_TAMPERING)] = []
    """What stands against the commit, however well its commands hold."""
    noticed: Annotated[list[Line], Field(max_length=MAX_NOTICED)] = []
    """What may be the work as well as a way around the checks: for a judge and a person to look at."""
