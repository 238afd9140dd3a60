"""The right of one Claude Code call to talk to a model, and what it has used so far."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from activities.claude.ledger import Ledger
from workflows.contracts.outcome import Usage

MAX_REQUESTS = 32
"""Requests of one call that may wait or be under way at once; Claude Code itself makes one, seldom a few."""


@dataclass(frozen=True)
class Failure:
    """A request of a call that the model's service did not answer, as the gateway saw it."""

    status: int | None
    """Of HTTP; None for a connection that was lost, an answer that broke off, and silence."""
    message: str = ""
    """The service's own words, of an error that it answered with."""
    limited: bool = False
    """The service said that a usage limit is reached."""
    resets_at: datetime | None = None
    """When that ends, if the service said so."""


@dataclass
class Lease:
    """The right of one Claude Code call to talk to a model, and what it has used so far."""

    session_id: str
    phase: str
    iteration: int
    attempt: int
    budget_usd: float
    token: str = field(default_factory=lambda: f"overnight-{secrets.token_urlsafe(24)}")
    budget_tokens: int | None = None
    ledger: Ledger | None = None
    """Where what it uses is on record at once."""
    usage: Usage = field(default_factory=Usage)
    traceparent: str | None = None
    """The span of the call, told to the service where sessions are traced."""
    refusal: str | None = None
    """Why further requests are refused; set by whoever ends the call."""
    failure: Failure | None = None
    """Why the last request for a message was not answered; None when it was, or when there was none."""
    answered: bool = False
    """The service has answered a request for a message. Before that, nothing that the agent wrote runs in its box."""
    last_error: str = ""
    last_byte: float = field(default_factory=time.monotonic)
    """When a byte of the service came last, by the monotonic clock."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the call is over: a request that still waits for the service, or for its turn, is given up."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the request that is under way."""
    _open: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts a request while it is under way."""
        self._open += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._idle.set()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._open == 0

    @property
    def is_full(self) -> bool:
        """Whether so many requests are under way that no other is taken in."""
        return self._open >= MAX_REQUESTS

    async def settle(self, seconds: float) -> None:
        """Close the lease and wait, for at most ``seconds``, until no request is under way: usage is then complete."""
        self.refusal = self.refusal or "ended"
        self.closed.set()
        if self._open:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    def check(self) -> str | None:
        """Why the next request must not go out, or None."""
        is_spent = self.usage.cost_usd >= self.budget_usd
        if self.budget_tokens is not None:
            is_spent |= self.usage.tokens >= self.budget_tokens
        if self.refusal is None and is_spent:
            self.refusal = "budget"
        return self.refusal

    @property
    def open_usd(self) -> float:
        """What requests that have no answer yet may cost, in USD."""
        return self.ledger.open_usd if self.ledger else 0.0

    @property
    def headers(self) -> dict[str, str]:
        """What tells the service, or a gateway before it, whose request it is; names in lower case."""
        return {
            "x-overnight-session": self.session_id,
            "x-overnight-phase": self.phase,
            "x-overnight-iteration": str(self.iteration),
            "x-overnight-attempt": str(self.attempt),
            **({"traceparent": self.traceparent} if self.traceparent else {}),
        }
