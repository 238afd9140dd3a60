"""How one Claude Code call ended, what it used, and nothing else: one exhaustive type."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from workflows.contracts.text import Contract, Key, Line, MaxBytes, Moment, Paragraph, Seconds

MAX_OBSERVED = 10
MAX_UNSETTLED = 3
"""Activities without an answer whose accounts a session goes on asking for."""
NO_CREDENTIAL = "the worker holds no credential"
"""In the detail of ``AUTH``: the model's service was not asked at all."""


class Outcome(StrEnum):
    """Every way in which a call ends. ``policy/failures.py`` says what a workflow does about each."""

    COMPLETED = "completed"
    NO_ANSWER = "no_answer"
    """Exit 0 without the structured answer that was asked for."""
    DENIED = "denied"
    """Permission denials and no work."""
    REFUSED = "refused"
    """The model declined."""
    INTERRUPTED = "interrupted"
    """Stopped by a person, a limit of ours or a worker that leaves; the work so far is kept."""
    USAGE_LIMIT = "usage_limit"
    UNAVAILABLE = "unavailable"
    """Overloaded, 5xx, connection lost, silent server."""
    AUTH = "auth"
    CREDIT = "credit"
    UNKNOWN_MODEL = "unknown_model"
    MAX_TURNS = "max_turns"
    MAX_COST = "max_cost"
    TIME_LIMIT = "time_limit"
    STALLED = "stalled"
    """No event for longer than the no-progress budget."""
    PROMPT_TOO_LONG = "prompt_too_long"
    TRANSCRIPT_LOST = "transcript_lost"
    CRASHED = "crashed"
    """Claude Code ended without a result."""
    ENGINE_BROKEN = "engine_broken"
    """Claude Code or the sandbox cannot start on this host."""
    WORKSPACE = "workspace"
    """The project or the vault cannot be used as it is."""
    VAULT_AWAY = "vault_away"
    """The vault cannot be reached now."""
    HOST_LOST = "host_lost"
    """The host that has the session's worktree does not answer."""
    INTERNAL = "internal"
    """An unexpected error of Overnight itself."""


class Usage(Contract):
    """What calls cost, as the gateway metered it. Adding two gives their sum."""

    calls: Annotated[int, Field(ge=0)] = 0
    """Claude Code processes started."""
    responses: Annotated[int, Field(ge=0)] = 0
    input_tokens: Annotated[int, Field(ge=0)] = 0
    output_tokens: Annotated[int, Field(ge=0)] = 0
    cache_read_tokens: Annotated[int, Field(ge=0)] = 0
    cache_write_tokens: Annotated[int, Field(ge=0)] = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0
    estimated_usd: Annotated[float, Field(ge=0)] = 0.0
    """The part of ``cost_usd`` that is an estimate, for responses that were cut off."""

    @property
    def tokens(self) -> int:
        """All tokens, read, written and cached ones."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})

    def with_true(self, charged: Usage, used: Usage) -> Usage:
        """This sum with what was really ``used`` in the place of what was ``charged`` for it."""
        return Usage(
            **{n: max(0, getattr(self, n) - getattr(charged, n) + getattr(used, n)) for n in Usage.model_fields}
        )


class Account(Contract):
    """What an activity used that never answered: as far as Temporal heard of it, or as its host has it on disk."""

    run: Key
    """Of the workflow that started it."""
    activity: Key
    attempt: Annotated[int, Field(ge=0)] = 0
    """The last one that is in ``usage``, with all before it."""
    usage: Usage = Usage()


class CallReport(Contract):
    """What every activity that calls Claude Code or runs commands reports beside its own result."""

    outcome: Outcome
    detail: Paragraph = ""
    """In words, for the person or the next model call."""
    usage: Usage = Usage()
    seconds: Seconds = 0.0
    resets_at: Moment | None = None
    """When a usage limit ends, if anybody said so."""
    notes: Annotated[list[Line], Field(max_length=MAX_OBSERVED)] = []
    """What Overnight observed and a person should know: limits hit, connections blocked, files left out."""
    more_notes: Annotated[int, Field(ge=0)] = 0
    """How many of them are not among ``notes``."""
    host: Key | None = None
    """Where the session's worktree is now."""
    sandbox: Annotated[str, MaxBytes(120, clipped=True)] = ""
    """What stood between untrusted code and the host."""
    settled: Annotated[list[Account], Field(max_length=MAX_UNSETTLED)] = []
    """Of the accounts that were asked for, those that this host has."""
