"""What a person sends to a running session. Every model has defaults: the Web UI's form is one of the callers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from workflows.contracts.text import Contract, Guidance, Key, Line

When = Literal["turn", "now"]
SteerWhen = Literal["next_step", "now"]


class Message(Contract):
    """Base of signals; ``id`` makes a message that is sent twice count once."""

    main: ClassVar[str] = "reason"
    """The field that a bare string stands for."""

    id: Key | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {cls.main: value} if isinstance(value, str) else value


class Reasoned(Message):
    """A message that needs no word of explanation, but may have one."""

    reason: Line = ""


class Pause(Reasoned):
    """Stop at the end of the turn, or now; an execute that is stopped keeps its work."""

    when: When = "turn"


class Resume(Reasoned):
    """Go on."""


class Steer(Message):
    """Guidance for the next execute, or for the one that runs, which is interrupted and goes on with it."""

    main: ClassVar[str] = "guidance"

    guidance: Guidance
    when: SteerWhen = "next_step"


class Cancel(Reasoned):
    """End the session; its work stays on the branch."""


class Rollback(Message):
    """Go back to the tree of an iteration's checkpoint, with a new commit; 0 is where the session started."""

    main: ClassVar[str] = "iteration"

    iteration: Annotated[int, Field(ge=0, le=10_000)]


class RaiseLimits(Message):
    """New limits; absent means unchanged. A session that a limit paused goes on when it is within them."""

    max_iterations: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_time_minutes: Annotated[float, Field(gt=0, le=100_000)] | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=100_000)] | None = None
    max_tokens: Annotated[int, Field(ge=1_000, le=1_000_000_000_000)] | None = None
