"""What a person sends to a running session. Every model has defaults: the Web UI's form is one of the callers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from workflows.contracts.text import Contract, Guidance, Key, Line

When = Literal["turn", "now"]
SteerWhen = Literal["next_step", "now"]


def _from_text(field: str, value: Any) -> Any:
    """A bare string stands for the one field that matters."""
    return {field: value} if isinstance(value, str) else value


class Message(Contract):
    """Base of signals; ``id`` makes a message that is sent twice count once."""

    id: Key | None = None


class Pause(Message):
    """Stop at the end of the turn, or now; an execute that is stopped keeps its work."""

    reason: Line = ""
    when: When = "turn"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return _from_text("reason", value)


class Resume(Message):
    """Go on."""

    reason: Line = ""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return _from_text("reason", value)


class Steer(Message):
    """Guidance for the next execute, or for the one that runs, which is interrupted and goes on with it."""

    guidance: Guidance
    when: SteerWhen = "next_step"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return _from_text("guidance", value)


class Cancel(Message):
    """End the session; its work stays on the branch."""

    reason: Line = ""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return _from_text("reason", value)


class RaiseLimits(Message):
    """New limits; absent means unchanged. A session that a limit paused goes on when it is within them."""

    max_iterations: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_time_minutes: Annotated[float, Field(gt=0, le=100_000)] | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=100_000)] | None = None
