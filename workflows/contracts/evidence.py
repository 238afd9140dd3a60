"""What Overnight observed itself: exit codes of commands that it ran, and verdicts with checked quotes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.plan import MAX_CRITERIA
from workflows.contracts.text import Contract, Digest, Key, MaxBytes, Seconds, Sha, Snippet, Tail


class ArtifactRef(Contract):
    """A file in the artifact store."""

    sha256: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class CommandEvidence(Contract):
    """The command of one criterion, run once, on one commit."""

    criterion: Key
    commit: Sha
    clean: bool = False
    """Run in a clean clone of the commit."""
    exit_code: int | None = None
    """Absent when the command did not end by itself."""
    timed_out: bool = False
    seconds: Seconds = 0.0
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of checks that passed. Until reports are read: 1 for exit code 0, else 0."""
    tail: Tail = ""
    log: ArtifactRef | None = None


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


class Scorecard(Contract):
    """All evidence on one commit. What speaks of another commit, or of no criterion, counts for nothing."""

    commit: Sha
    commands: Annotated[list[CommandEvidence], Field(max_length=MAX_CRITERIA)] = []
    verdicts: Annotated[list[Verdict], Field(max_length=MAX_CRITERIA)] = []
    setup: CommandEvidence | None = None
