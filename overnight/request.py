"""A new session as a client asks for it, and the spec that it becomes."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from overnight.base.credentials import find_credential
from overnight.base.destinations import problem_of
from overnight.base.redaction import Redactor, known_secrets
from overnight.base.settings import Settings
from overnight.errors import InvalidRequestError
from workflows.contracts.approvals import AfterTimeout
from workflows.contracts.knowledge import PERSON
from workflows.contracts.spec import (
    MAX_DESTINATIONS,
    MAX_GLOBS,
    MAX_STRATEGIES,
    MAX_WISHES,
    Egress,
    EgressMode,
    HeldOut,
    Limits,
    Models,
    Project,
    SessionSpec,
)
from workflows.contracts.text import (
    Command,
    Destination,
    Glob,
    Goal,
    Line,
    Location,
    ModelName,
    SessionId,
    Wish,
    printable,
)
from workflows.policy import view
from workflows.policy.approvals import THEN
from workflows.policy.globs import is_literal
from workflows.policy.globs import problem_of as glob_problem
from workflows.policy.words import counted

_KEPT = (
    *("goal", "project", "ref", "validation_command", "setup_command", "model", "session_id"),
    *("held_out", "held_out_command", "held_out_at"),
)
"""Fields with one text, which status, report and history show later."""
LOOKED_THROUGH = 100_000
"""Characters of something wrong that are looked through for secrets before a few of them are repeated."""
_READ = "say where it is to be read from instead, such as the name of a variable or a file"
_INSTEAD = {
    "validation_command": "let the command read it from a variable or a file instead",
    "setup_command": "let the command read it from a variable or a file instead",
    "held_out_command": "let the command read it from a variable or a file instead",
    "allow_hosts": "name the host alone",
    "ref": "name a branch, a tag or a commit",
    "model": "name a model",
    "session_id": "choose another id",
}
_NOT_YET = {
    "auto_deploy": "auto_deploy is not in this version; take the session's branch with `overnight checkout` and"
    " deploy it yourself",
}
"""Asked for, designed, not built: refused in words, never ignored."""


def _readable(text: str) -> str:
    if (problem := problem_of(text)) is not None:
        raise PydanticCustomError("destination", "{problem}", {"problem": problem})
    return text


def _pattern(text: str) -> str:
    if (problem := glob_problem(text)) is not None:
        raise PydanticCustomError("pattern", "{problem}", {"problem": problem})
    return text


def _ref_problem(source: str, project: str | None) -> str | None:
    if source.startswith(("~", ".", "-")) or "://" in source or any(c.isspace() for c in source):
        return f"held_out: {source!r} is neither the absolute path of a folder nor a ref of the project"
    if project is None:
        return "held_out: a new project has no refs; give the absolute path of a folder"
    return None


def typed(command: str) -> str:
    """``command``, if it is as it was typed: left out in silence, a control character would make another of it."""
    if printable(command) != command:
        odd = next(c for n, c in enumerate(command) if printable(command[: n + 1]) != command[: n + 1])
        raise PydanticCustomError(
            "control_character",
            "it has a control character in it ({character}); take it out, or put what needs it into a script",
            {"character": f"U+{ord(odd):04X}"},
        )
    return command


TypedCommand = Annotated[Command, AfterValidator(typed)]
Host = Annotated[Destination, AfterValidator(_readable)]
Pattern = Annotated[Glob, AfterValidator(_pattern)]


class NewSession(BaseModel):
    """What a person may choose; everything but the goal has a default."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)

    goal: Goal
    project: Location | None = None
    """Path of a git repository on the worker's host, or a git URL; absent for a new project."""
    ref: Line | None = None
    """Branch, tag or commit to start from; the project's current one when absent."""
    validation_command: TypedCommand | None = None
    setup_command: TypedCommand | None = None
    success_criteria: Annotated[list[Wish], Field(max_length=MAX_WISHES)] = []
    recovery_strategies: Annotated[list[Wish], Field(max_length=MAX_STRATEGIES)] = []
    """What to try first when something fails: in words, or ``fresh``, ``best``, ``replan``, ``parallel``."""
    success_threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_iterations: Annotated[int, Field(ge=1, le=10_000)] = 50
    max_time_minutes: Annotated[float, Field(gt=0, le=100_000)] = 60
    max_cost_usd: Annotated[float, Field(gt=0, le=100_000)] | None = None
    max_tokens: Annotated[int, Field(ge=1_000, le=1_000_000_000_000)] | None = None
    on_limit: Literal["pause", "fail"] = "pause"
    on_usage_limit: Literal["wait", "pause"] = "wait"
    egress: EgressMode | None = None
    """Network of what runs in the sandbox; absent: ``allow-list`` when hosts are given, else the installation's."""
    allow_hosts: Annotated[list[Host], Field(max_length=MAX_DESTINATIONS)] = []
    """Where ``allow-list`` lets it go: names, addresses, networks, each with ``:port`` if need be."""
    model: ModelName | None = None
    """Claude model for every role; the installation's choice when absent."""
    mode: Literal["autonomous", "iterative"] = "autonomous"
    approval_timeout_minutes: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """How long an iterative session waits for an approval; absent: for ever."""
    on_approval_timeout: AfterTimeout | None = None
    auto_deploy: bool = False
    protected_paths: Annotated[list[Pattern], Field(max_length=MAX_GLOBS)] = []
    """What the session may not change, whatever the goal or its plan says."""
    may_change: Annotated[list[Pattern], Field(max_length=MAX_GLOBS)] = []
    """Existing tests, and other files that decide the checks, which the session may change."""
    held_out: Location | None = None
    """Acceptance tests that the agent never sees: an absolute folder of the worker's host, or REF[:PATH]."""
    held_out_command: TypedCommand | None = None
    """What runs them, from the root of a clean clone."""
    held_out_at: Pattern | None = None
    """Folder of the clean clone into which they are put; ``held_out`` when absent."""
    held_out_tells: Literal["nothing", "names", "full"] | None = None
    """What the agent is told of a failure; ``names`` when absent."""
    session_id: SessionId | None = None
    """Makes starting idempotent: the same id is the same session."""

    @classmethod
    def parse(cls, **given: Any) -> NewSession:
        """The request, checked. Raises ``InvalidRequestError`` with every problem in words."""
        try:
            request = cls(**{k: v for k, v in given.items() if v is not None})
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        if request.session_id == PERSON:
            raise InvalidRequestError(
                f"session_id: {PERSON} is how people's own knowledge is signed; choose another id"
            )
        if request.ref is not None and request.project is None:
            raise InvalidRequestError("ref: it names a place in a project, and no project is given")
        if request.allow_hosts and request.egress not in (None, "allow-list"):
            raise InvalidRequestError(
                f"allow_hosts: hosts go with the egress 'allow-list', not with '{request.egress}'; leave one of the"
                " two out"
            )
        if request.egress == "allow-list" and not request.allow_hosts:
            raise InvalidRequestError("allow_hosts: the egress 'allow-list' needs at least one host, such as pkgs.dev")
        request._check_approvals()
        asked = {
            "auto_deploy": request.auto_deploy,
        }
        if refused := [_NOT_YET[name] for name, wanted in asked.items() if wanted]:
            raise InvalidRequestError("; ".join(refused))
        if (problem := request._held_out_problem()) is not None:
            raise InvalidRequestError(problem)
        for name, text in request._told():
            refuse_secrets(name, text)
        return request

    def _check_approvals(self) -> None:
        """Raises ``InvalidRequestError`` for terms of an approval that nobody is asked for."""
        if self.approval_timeout_minutes is not None and self.mode != "iterative":
            raise InvalidRequestError("approval_timeout_minutes: only sessions in mode 'iterative' wait for approvals")
        if self.on_approval_timeout is not None and self.approval_timeout_minutes is None:
            raise InvalidRequestError(
                "on_approval_timeout: it needs an approval_timeout_minutes; without one, it waits"
            )

    def _held_out_problem(self) -> str | None:
        """Why the held-out checks cannot be what was meant."""
        if self.held_out is None:
            named = [n for n in ("held_out_command", "held_out_at", "held_out_tells") if getattr(self, n) is not None]
            return f"{named[0]}: it goes with held-out checks, and none are given" if named else None
        if self.held_out_command is None:
            return "held_out_command: held-out checks need a command that runs them and exits 0 only when they pass"
        if self.held_out_at is not None and not is_literal(self.held_out_at):
            return "held_out_at: it names one folder, so it has no wildcards"
        return None if self.held_out.startswith("/") else _ref_problem(self.held_out, self.project)

    def _told(self) -> Iterator[tuple[str, str]]:
        """Every text that a person chose, under its field's name."""
        for name in _KEPT:
            yield name, getattr(self, name) or ""
        for name in ("success_criteria", "recovery_strategies", "allow_hosts", "protected_paths", "may_change"):
            yield from ((f"{name}.{n}", text) for n, text in enumerate(getattr(self, name)))

    def _held_out(self) -> HeldOut | None:
        if self.held_out is None or self.held_out_command is None:
            return None
        return HeldOut(
            kind="folder" if self.held_out.startswith("/") else "ref",
            source=self.held_out,
            command=self.held_out_command,
            target=(self.held_out_at or HeldOut.model_fields["target"].default).removeprefix("./").rstrip("/"),
            tells=self.held_out_tells or "names",
        )

    def network(self, settings: Settings) -> Egress:
        """Where what runs in the sandbox may go. Raises ``InvalidRequestError``."""
        mode = self.egress or ("allow-list" if self.allow_hosts else settings.egress)
        if mode == "allow-list" and not self.allow_hosts:
            raise InvalidRequestError(
                "allow_hosts: sessions of this installation name the hosts that they may reach"
                " (OVERNIGHT_EGRESS=allow-list); name some, or choose another egress"
            )
        return Egress(mode=mode, allow=self.allow_hosts)

    def spec(self, project: Project, settings: Settings) -> SessionSpec:
        """The immutable spec of the session. Raises ``InvalidRequestError``."""
        return SessionSpec(
            session_id=self.session_id or name_of(self.goal),
            goal=self.goal,
            mode=self.mode,
            project=project,
            validation_command=self.validation_command,
            setup_command=self.setup_command,
            success_criteria=self.success_criteria,
            recovery_strategies=self.recovery_strategies,
            success_threshold=self.success_threshold,
            limits=Limits(
                max_iterations=self.max_iterations,
                max_time_minutes=self.max_time_minutes,
                max_cost_usd=self.max_cost_usd or settings.max_cost_usd,
                max_tokens=self.max_tokens,
            ),
            on_limit=self.on_limit,
            on_usage_limit=self.on_usage_limit,
            approval_timeout_minutes=self.approval_timeout_minutes,
            on_approval_timeout=self.on_approval_timeout or "pause",
            egress=self.network(settings),
            protected_paths=self.protected_paths,
            may_change=self.may_change,
            held_out=self._held_out(),
            models=Models(**{role: self.model or settings.model_for(role) for role in Models.model_fields}),  # type: ignore[arg-type]
        )


@cache
def _redactor() -> Redactor:
    """What looks like a secret, and what is one here: the credential, and this process's secret variables."""
    try:
        credential = find_credential()
    except (OSError, ValueError):
        credential = None
    return Redactor.of([*known_secrets(os.environ), *(credential.secrets if credential else ())])


def refuse_secrets(name: str, text: str, *, doubtful: bool = False) -> None:
    """Raises ``InvalidRequestError`` for words that hold a secret: Temporal's history keeps them for ever.

    The message names the field and what to do instead, and never tells the secret. ``doubtful``: also for what may be
    made up, where the text is worth nothing once that is taken out of it.
    """
    found = next((f for f in _redactor().findings(text) if f.sure or doubtful), None)
    if found is not None:
        instead = _INSTEAD.get(name.partition(".")[0], _READ)
        raise InvalidRequestError(
            f"{name}: line {found.line} holds what looks like a secret ({found.rule}), and a session keeps what it is"
            f" told; {instead}"
        )


def details(spec: SessionSpec) -> str:
    """What was asked for, as markdown: Temporal's Web UI shows it beside the session, unchanged to its end."""
    limits = spec.limits
    iterations = counted(limits.max_iterations, "iteration")
    lines = [
        spec.goal[:4_000],
        "",
        f"- validation: `{spec.validation_command or 'chosen by the plan'}`",
        f"- limits at the start: {iterations}, {limits.max_time_minutes:g} minutes, ${limits.max_cost_usd:g}"
        + (f", {counted(limits.max_tokens, 'token')}" if limits.max_tokens else ""),
        *([_asked(spec)] if spec.mode == "iterative" else []),
        f"- network: {' '.join([spec.egress.mode, *spec.egress.allow])}",
        f"- branch: `{view.branch(spec.session_id)}`",
    ]
    return "\n".join(lines)


def _asked(spec: SessionSpec) -> str:
    minutes = spec.approval_timeout_minutes
    then = f"; without an answer within {minutes:g} minutes it {THEN[spec.on_approval_timeout]}" if minutes else ""
    return f"- approvals: the plan and each iteration wait for a person{then}"


def name_of(goal: str) -> str:
    """A readable id for a session with this goal, for example ``build-a-todo-app-7f3a2c``."""
    words = re.findall(r"[a-z0-9]+", goal.lower())[:5]
    slug = "-".join(words)[:40].strip("-") or "session"
    return f"{slug}-{secrets.token_hex(3)}"


def in_words(error: ValidationError) -> str:
    """A validation error as one line: field, what is wrong, what was given."""
    return "; ".join(problems(error))


def problems(error: ValidationError) -> list[str]:
    """A validation error in words, one short line for each field."""
    said: list[str] = []
    for problem in error.errors(include_url=False):
        field = ".".join(str(part) for part in problem["loc"]) or "request"
        words = _redactor().text(problem["msg"])
        said.append(f"{field}: {words[0].lower()}{words[1:]} (given: {_shown(problem.get('input'))})")
    return said


def _shown(given: Any) -> str:
    """What was given, briefly, and nothing of it when it holds a secret: a part of one would still tell."""
    shown = repr(given)
    if len(shown) > LOOKED_THROUGH:
        return f"{len(shown):,} characters"
    if _redactor().findings(given if isinstance(given, str) else shown):
        return "not repeated here, it looks like a secret"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
