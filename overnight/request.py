"""A new session as a client asks for it, and the spec that it becomes."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overnight.base.settings import Settings
from overnight.errors import InvalidRequestError
from workflows.contracts.spec import MAX_WISHES, Limits, Models, Project, SessionSpec
from workflows.contracts.text import Command, Goal, Line, Location, ModelName, SessionId, Wish

_NOT_YET = {
    "iterative": "mode 'iterative' (approval after the plan and after each iteration) is not in this version;"
    " use 'autonomous', and pause or steer the session while it runs",
    "auto_deploy": "auto_deploy is not in this version; take the session's branch with `overnight checkout` and"
    " deploy it yourself",
    "protected_paths": "protected_paths are not in this version; tests that the agent changes show in the diff",
    "held_out": "held-out checks are not in this version; run them on the session's branch",
}
"""Asked for, designed, not built: refused in words, never ignored."""


class NewSession(BaseModel):
    """What a person may choose; everything but the goal has a default."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    goal: Goal
    project: Location | None = None
    """Path of a git repository on the worker's host, or a git URL; absent for a new project."""
    ref: Line | None = None
    """Branch, tag or commit to start from; the project's current one when absent."""
    validation_command: Command | None = None
    setup_command: Command | None = None
    success_criteria: Annotated[list[Wish], Field(max_length=MAX_WISHES)] = []
    success_threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_iterations: Annotated[int, Field(ge=1, le=10_000)] = 50
    max_time_minutes: Annotated[float, Field(gt=0, le=100_000)] = 60
    max_cost_usd: Annotated[float, Field(gt=0, le=100_000)] | None = None
    on_limit: Literal["pause", "fail"] = "pause"
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
        asked = {
            "iterative": request.mode == "iterative",
            "auto_deploy": request.auto_deploy,
            "protected_paths": bool(request.protected_paths),
            "held_out": request.held_out is not None,
        }
        if refused := [_NOT_YET[name] for name, wanted in asked.items() if wanted]:
            raise InvalidRequestError("; ".join(refused))
        return request

    def spec(self, project: Project, settings: Settings) -> SessionSpec:
        """The immutable spec of the session."""
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
            ),
            on_limit=self.on_limit,
            models=Models(**{role: self.model or settings.model_for(role) for role in Models.model_fields}),  # type: ignore[arg-type]
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
        given = repr(problem.get("input"))
        shown = given if len(given) <= 60 else f"{given[:57]}..."
        said.append(f"{field}: {problem['msg'][0].lower()}{problem['msg'][1:]} (given: {shown})")
    return said
