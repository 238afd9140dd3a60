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
from workflows.contracts.spec import (
    MAX_DESTINATIONS,
    MAX_WISHES,
    Egress,
    EgressMode,
    Limits,
    Models,
    Project,
    SessionSpec,
)
from workflows.contracts.text import (
    Command,
    Destination,
    Goal,
    Line,
    Location,
    ModelName,
    SessionId,
    Wish,
    printable,
)

_KEPT = ("goal", "project", "ref", "validation_command", "setup_command", "model", "session_id")
"""Fields with one text, which status, report and history show later."""
_READ = "say where it is to be read from instead, such as the name of a variable or a file"
_INSTEAD = {
    "validation_command": "let the command read it from a variable or a file instead",
    "setup_command": "let the command read it from a variable or a file instead",
    "allow_hosts": "name the host alone",
    "ref": "name a branch, a tag or a commit",
    "model": "name a model",
    "session_id": "choose another id",
}
_NOT_YET = {
    "iterative": "mode 'iterative' (approval after the plan and after each iteration) is not in this version;"
    " use 'autonomous', and pause or steer the session while it runs",
    "auto_deploy": "auto_deploy is not in this version; take the session's branch with `overnight checkout` and"
    " deploy it yourself",
    "protected_paths": "protected_paths are not in this version; tests that the agent changes show in the diff",
    "held_out": "held-out checks are not in this version; run them on the session's branch",
}
"""Asked for, designed, not built: refused in words, never ignored."""


def _readable(text: str) -> str:
    if (problem := problem_of(text)) is not None:
        raise PydanticCustomError("destination", "{problem}", {"problem": problem})
    return text


def _typed(command: str) -> str:
    """Left out in silence, a control character would make another command of it."""
    if printable(command) != command:
        odd = next(c for n, c in enumerate(command) if printable(command[: n + 1]) != command[: n + 1])
        raise PydanticCustomError(
            "control_character",
            "it has a control character in it ({character}); take it out, or put what needs it into a script",
            {"character": f"U+{ord(odd):04X}"},
        )
    return command


TypedCommand = Annotated[Command, AfterValidator(_typed)]
Host = Annotated[Destination, AfterValidator(_readable)]


class NewSession(BaseModel):
    """What a person may choose; everything but the goal has a default."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    goal: Goal
    project: Location | None = None
    """Path of a git repository on the worker's host, or a git URL; absent for a new project."""
    ref: Line | None = None
    """Branch, tag or commit to start from; the project's current one when absent."""
    validation_command: TypedCommand | None = None
    setup_command: TypedCommand | None = None
    success_criteria: Annotated[list[Wish], Field(max_length=MAX_WISHES)] = []
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
    auto_deploy: bool = False
    protected_paths: list[str] = []
    held_out: str | None = None
    session_id: SessionId | None = None
    """Makes starting idempotent: the same id is the same session."""

    @classmethod
    def parse(cls, **given: Any) -> NewSession:
        """The request, checked. Raises ``InvalidRequestError`` with every problem in words."""
        try:
            request = cls(**{k: v for k, v in given.items() if v is not None})
        except ValidationError as error:
            raise InvalidRequestError(in_words(error)) from None
        if request.ref is not None and request.project is None:
            raise InvalidRequestError("ref: it names a place in a project, and no project is given")
        if request.allow_hosts and request.egress not in (None, "allow-list"):
            raise InvalidRequestError(
                f"allow_hosts: hosts go with the egress 'allow-list', not with '{request.egress}'; leave one of the"
                " two out"
            )
        if request.egress == "allow-list" and not request.allow_hosts:
            raise InvalidRequestError("allow_hosts: the egress 'allow-list' needs at least one host, such as pkgs.dev")
        asked = {
            "iterative": request.mode == "iterative",
            "auto_deploy": request.auto_deploy,
            "protected_paths": bool(request.protected_paths),
            "held_out": request.held_out is not None,
        }
        if refused := [_NOT_YET[name] for name, wanted in asked.items() if wanted]:
            raise InvalidRequestError("; ".join(refused))
        for name, text in request._told():
            refuse_secrets(name, text)
        return request

    def _told(self) -> Iterator[tuple[str, str]]:
        """Every text that a person chose, under its field's name."""
        for name in _KEPT:
            yield name, getattr(self, name) or ""
        for name in ("success_criteria", "allow_hosts"):
            yield from ((f"{name}.{n}", text) for n, text in enumerate(getattr(self, name)))

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
            project=project,
            validation_command=self.validation_command,
            setup_command=self.setup_command,
            success_criteria=self.success_criteria,
            success_threshold=self.success_threshold,
            limits=Limits(
                max_iterations=self.max_iterations,
                max_time_minutes=self.max_time_minutes,
                max_cost_usd=self.max_cost_usd or settings.max_cost_usd,
                max_tokens=self.max_tokens,
            ),
            on_limit=self.on_limit,
            on_usage_limit=self.on_usage_limit,
            egress=self.network(settings),
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


def refuse_secrets(name: str, text: str) -> None:
    """Raises ``InvalidRequestError`` for words that hold a secret: Temporal's history keeps them for ever.

    The message names the field and what to do instead, and never tells the secret.
    """
    found = next((f for f in _redactor().findings(text) if f.sure), None)
    if found is not None:
        instead = _INSTEAD.get(name.partition(".")[0], _READ)
        raise InvalidRequestError(
            f"{name}: line {found.line} holds what looks like a secret ({found.rule}), and a session keeps what it is"
            f" told; {instead}"
        )


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
    if _redactor().findings(given if isinstance(given, str) else repr(given)):
        return "not repeated here, it looks like a secret"
    shown = repr(given)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
