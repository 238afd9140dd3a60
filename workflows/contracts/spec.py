"""What a person asks for: immutable, checked before anything starts."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field, model_validator

from workflows.contracts.approvals import AfterTimeout
from workflows.contracts.text import (
    Command,
    Contract,
    Destination,
    Glob,
    Goal,
    Key,
    Location,
    ModelName,
    SessionId,
    Sha,
    Wish,
)

MAX_WISHES = 6
MAX_STRATEGIES = 4
MAX_DESTINATIONS = 20
MAX_GLOBS = 20

Role = Literal["plan", "execute", "judge", "diagnose", "reflect"]
EgressMode = Literal["public", "allow-list", "none", "host"]


class Project(Contract):
    """The code that a session works on: a local repository, a git URL, or a new one."""

    kind: Literal["path", "url", "new"] = "new"
    location: Location | None = None
    """Absolute path or git URL; absent for a new project."""
    commit: Sha | None = None
    """Base commit, resolved before the session starts; absent for a new project."""
    key: Key
    """Short hash that names the project without telling its path; also the name of its vault."""

    @model_validator(mode="after")
    def _location_fits_kind(self) -> Project:
        if (self.kind == "new") != (self.location is None):
            raise ValueError("a project has a location unless it is new")
        return self


def project_key(location: str) -> str:
    """The key of what is at an absolute path or a git URL."""
    return hashlib.sha256(location.encode()).hexdigest()[:12]


class Models(Contract):
    """Claude model per role, always explicit: Claude Code's own default depends on the credential."""

    plan: ModelName
    execute: ModelName
    judge: ModelName
    diagnose: ModelName
    reflect: ModelName


class Limits(Contract):
    """Where a session stops on its own."""

    max_iterations: Annotated[int, Field(ge=1, le=10_000)] = 50
    max_time_minutes: Annotated[float, Field(gt=0, le=100_000)] = 60
    """Minutes of active time: paused and waiting do not count."""
    max_cost_usd: Annotated[float, Field(gt=0, le=100_000)] = 20
    """USD for all model calls of the session."""
    max_tokens: Annotated[int, Field(ge=1_000, le=1_000_000_000_000)] | None = None
    """Tokens for all model calls of the session, read, written and cached ones; absent means that USD alone decide."""


class Egress(Contract):
    """Where what runs in the sandbox may go."""

    mode: EgressMode = "public"
    """``public`` addresses; the ``allow`` list; nowhere; or the host's own network, its ports included."""
    allow: Annotated[list[Destination], Field(max_length=MAX_DESTINATIONS)] = []
    """Names (``pkgs.dev``, ``*.nlibs.dev``), addresses and networks, each with ``:port`` if need be."""

    @model_validator(mode="after")
    def _list_fits_mode(self) -> Egress:
        if bool(self.allow) != (self.mode == "allow-list"):
            raise ValueError("an allow-list of hosts goes with the mode 'allow-list', and that mode needs one")
        return self


class HeldOut(Contract):
    """Acceptance tests that the agent never sees: they run in the clean clone, after everything else holds."""

    kind: Literal["folder", "ref"]
    source: Location
    """A folder on the worker's host, or ``REF`` or ``REF:PATH`` of the project's repository."""
    command: Command
    """Run from the root of the clean clone; exits 0 only when they pass."""
    target: Glob = "held_out"
    """Folder of the clean clone, from its root, into which they are put."""
    tells: Literal["nothing", "names", "full"] = "names"
    """What the agent is told of a failure: that there is one, which tests failed, or all that was printed."""


class SessionSpec(Contract):
    """One autonomous session, as asked for."""

    session_id: SessionId
    goal: Goal
    mode: Literal["autonomous", "iterative"] = "autonomous"
    """``iterative``: the plan and each iteration wait for a person's approval."""
    project: Project
    validation_command: Command | None = None
    setup_command: Command | None = None
    success_criteria: Annotated[list[Wish], Field(max_length=MAX_WISHES)] = []
    recovery_strategies: Annotated[list[Wish], Field(max_length=MAX_STRATEGIES)] = []
    """What to try first when something fails: in words, or names of the ladder's own rungs."""
    success_threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    limits: Limits = Limits()
    on_limit: Literal["pause", "fail"] = "pause"
    on_usage_limit: Literal["wait", "pause"] = "wait"
    """At a usage limit of the model's service: wait for its reset and go on, or pause for a person."""
    approval_timeout_minutes: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """How long an approval is waited for; absent: for ever."""
    on_approval_timeout: AfterTimeout = "pause"
    models: Models
    egress: Egress = Egress()
    protected_paths: Annotated[list[Glob], Field(max_length=MAX_GLOBS)] = []
    """What the session may not change, whatever the plan says."""
    may_change: Annotated[list[Glob], Field(max_length=MAX_GLOBS)] = []
    """Tests and files that decide checks which the session may change all the same."""
    held_out: HeldOut | None = None
