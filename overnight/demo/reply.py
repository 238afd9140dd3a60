"""What the scripted model can answer: words, tool calls, a structured answer, or a way of failing. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, TypeAlias


class Rates(NamedTuple):
    """Prices of one model in USD per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens that a reply bills. The defaults are small, so that Claude Code never sees a reason to compact."""

    input_tokens: int = 120
    output_tokens: int = 40
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)})

    def cost_usd(self, rates: Rates) -> float:
        """What these tokens cost at ``rates``, in USD."""
        spent = (
            self.input_tokens * rates.input
            + self.output_tokens * rates.output
            + self.cache_read * rates.cache_read
            + self.cache_write_5m * rates.cache_write_5m
            + self.cache_write_1h * rates.cache_write_1h
        )
        return spent / 1_000_000

    def wire(self) -> dict[str, Any]:
        """The ``usage`` object of the Messages API."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
        }


NO_USAGE = Usage(input_tokens=0, output_tokens=0)


@dataclass(frozen=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True)
class ToolUse:
    """A call of the tool ``name``; Claude Code runs it and comes back with the result in the next request."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """The structured answer. Claude Code checks it against the schema asked for and ends the turn at once."""

    value: Mapping[str, Any]


Block: TypeAlias = Text | ToolUse | Answer


@dataclass(frozen=True, init=False)
class Say:
    """One assistant message of several blocks, with all that a script may want to set on it.

    Params:
        blocks: what is said, in order.
        usage: tokens to bill.
        stop_reason: ``tool_use`` if there is a tool call, else ``end_turn``, unless given.
        delay: seconds of silence before the response headers.
        headers: response headers to add, such as limits.
    """

    blocks: tuple[Block, ...]
    usage: Usage
    stop_reason: str
    delay: float
    headers: Mapping[str, str]

    def __init__(
        self,
        *blocks: Block,
        usage: Usage | None = None,
        stop_reason: str | None = None,
        delay: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        calls = any(not isinstance(block, Text) for block in blocks)
        set_ = object.__setattr__
        set_(self, "blocks", blocks)
        set_(self, "usage", usage or Usage())
        set_(self, "stop_reason", stop_reason or ("tool_use" if calls else "end_turn"))
        set_(self, "delay", delay)
        set_(self, "headers", dict(headers or {}))


_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, kw_only=True)
class HttpError:
    """A refusal with an HTTP status and the API's error body (or ``body`` verbatim), after ``delay`` seconds."""

    status: int
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    delay: float = 0.0

    @property
    def error_type(self) -> str:
        """The API's name for this status."""
        return _ERROR_TYPES.get(self.status, "api_error")


Stage: TypeAlias = Literal["request", "headers", "start", "block"]
"""How far a broken reply gets: nothing is sent; the response headers; ``message_start`` and half a sentence;
one complete block of text."""


@dataclass(frozen=True, kw_only=True)
class Hang:
    """Silence with the connection open, until the client gives up or the model is closed."""

    after: Stage = "request"
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The connection is closed in the middle of the reply; with ``reset`` as by a host that fell over."""

    after: Stage = "request"
    usage: Usage = Usage()
    reset: bool = False


Fault: TypeAlias = HttpError | Hang | Cut
Reply: TypeAlias = Block | Say | Fault


def as_said(reply: Reply) -> Say | Fault:
    """``reply`` with a single block wrapped into a message."""
    return Say(reply) if isinstance(reply, Text | ToolUse | Answer) else reply


def billed(reply: Say | Fault) -> Usage:
    """What the wire tells about tokens when ``reply`` is played: all, the part before a break, or nothing."""
    match reply:
        case Say():
            return reply.usage
        case Hang() | Cut() if reply.after in ("start", "block"):
            return opening(reply.usage)
        case _:
            return NO_USAGE


def opening(usage: Usage) -> Usage:
    """The usage that ``message_start`` carries: the input in full, one token of output so far."""
    values = {f.name: getattr(usage, f.name) for f in fields(Usage)}
    return Usage(**{**values, "output_tokens": min(1, usage.output_tokens)})
