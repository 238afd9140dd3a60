"""The tamper guard: what is to stay as it was, what was found, and which tests were seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workflows.contracts.evidence import ArtifactRef, Count
from workflows.contracts.plan import MAX_CHECK_FILES, MAX_CRITERIA
from workflows.contracts.spec import MAX_GLOBS
from workflows.contracts.text import Command, Contract, Glob, Key, Sha


class Guard(Contract):
    """What decides success and is no part of the work. Everything is compared with the base commit."""

    base: Sha
    protected: Annotated[list[Glob], Field(max_length=MAX_GLOBS)] = []
    """The person's: these always win."""
    may_change: Annotated[list[Glob], Field(max_length=MAX_GLOBS + MAX_CHECK_FILES)] = []
    """Tests and files that decide checks which the person lets change."""
    planned: Annotated[list[Glob], Field(max_length=MAX_CHECK_FILES)] = []
    """Tests that the plan says the goal asks to change: never what runs them."""
    check_files: Annotated[list[Glob], Field(max_length=MAX_CHECK_FILES)] = []
    """Files that decide checks, as the plan froze them."""
    commands: Annotated[list[Command], Field(max_length=MAX_CRITERIA)] = []
    """The frozen commands: what they run is part of the checks."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 1
    """Rate at which a command holds."""


class KnownTests(Contract):
    """Tests of one criterion's command that were seen so far, those of the baseline marked."""

    criterion: Key
    tests: ArtifactRef | None = None
    """One JSON object per line, sorted by id: ``id``, ``outcome``, and ``base`` for tests of the baseline.

    Absent where no run named its tests.
    """
    ran: Count = 0
    """Tests that ran in the baseline, by its own count."""
    skipped: Count = 0
    """Tests that it skipped."""
