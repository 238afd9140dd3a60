"""Questions that a worker answers as standalone activities: no workflow, 2 s at most unless the client has more."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from workflows.contracts.requests import Site
from workflows.contracts.spec import EgressMode, Project
from workflows.contracts.text import Contract, Key, Line, Location, MaxBytes, Paragraph, Sha

PATCH_BYTES = 100_000
MAX_FILES = 500


class ProjectQuestion(Contract):
    """A project as a person named it: a path on the worker's host, or a git URL; nothing for a new one."""

    location: Location | None = None
    ref: Line | None = None


class ProjectAnswer(Contract):
    """The project as the worker found it, or what is wrong with it in words."""

    project: Project | None = None
    problem: Paragraph = ""
    wrong: Literal["project", "ref"] = "project"
    """What of the question the problem is about."""
    branch: Line | None = None
    subject: Line = ""
    dirty_files: Annotated[int, Field(ge=0)] = 0
    """Files with uncommitted changes, which are not part of the session."""


class InForce(Contract):
    """What stands between untrusted code and a worker's host, as ``doctor`` shows it."""

    state: Literal["green", "yellow", "red"]
    detail: Paragraph
    lines: Annotated[list[Paragraph], Field(max_length=30)] = []
    fix: Paragraph = ""


class HostAnswer(Contract):
    """What a worker says of itself."""

    version: Line
    host: Line
    pid: int
    credential_kind: Line | None = None
    """Of the credential in use; absent without one."""
    fingerprint: Line = ""
    """Tells that credential from others. Under a name such as ``credential``, redaction would take it for a secret."""
    credential_source: Line = ""
    isolation: Line
    isolation_problem: Paragraph = ""
    isolation_lacks: Annotated[list[Line], Field(max_length=10)] = []
    isolation_full: bool = False
    """Whether what runs in the sandbox reaches nothing outside; kernel limits are not part of it."""
    unsandboxed_allowed: bool = False
    egress_at_most: EgressMode = "public"
    """The most open network that a session may ask of this worker."""
    claude_code: Line = ""
    traced: bool = False
    """Whether this worker exports spans of what it does."""
    in_force: InForce | None = None
    """Absent from workers of an older version."""
    settings: Annotated[dict[Key, Line], Field(max_length=40)] = {}
    """Settings that it was started with, by name, none of them secret; empty from workers of an older version."""

    @property
    def credential(self) -> str | None:
        """Kind and fingerprint in one, as the credential itself says them; None without one."""
        return f"{self.credential_kind}:{self.fingerprint}" if self.credential_kind else None


class DiffQuestion(Contract):
    """What a session changed, between two commits of its branch."""

    site: Site
    base: Sha
    head: Sha
    path: Location | None = None
    stat: bool = False
    first_file: Annotated[int, Field(ge=0)] = 0
    """Files before it are left out."""
    first_line: Annotated[int, Field(ge=0)] = 0
    """Lines of the patch before it are left out."""


class FileLine(Contract):
    path: Line
    status: Annotated[str, MaxBytes(20, clipped=True)]
    added: int | None = None
    removed: int | None = None


class DiffAnswer(Contract):
    files: Annotated[list[FileLine], Field(max_length=MAX_FILES)] = []
    patch: Annotated[str, MaxBytes(PATCH_BYTES, clipped=True, verbatim=True)] = ""
    truncated: bool = False
    """Files or lines after these are left out."""
    patch_goes_on: bool = False
    total_files: Annotated[int, Field(ge=0)] = 0


class BranchQuestion(Contract):
    """Where a session's branch can be fetched from."""

    site: Site


class CommitLine(Contract):
    commit: Sha
    subject: Line
    iteration: int | None = None
    step: Line = ""
    time: datetime | None = None


class BranchAnswer(Contract):
    kind: Literal["path", "url"] = "path"
    vault: Location
    branch: Line
    base: Sha | None = None
    """Where the session began; absent before its plan."""
    commits: Annotated[list[CommitLine], Field(max_length=100)] = []
    """What is on the branch since its base, newest first; commits without a step are somebody else's."""

    @property
    def own(self) -> str | None:
        """The newest commit that the session made itself."""
        return next((line.commit for line in self.commits if line.step), None)
