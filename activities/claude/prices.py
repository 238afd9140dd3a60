"""What a response costs, as the bundled Claude Code counts it: a contract test asks the binary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float
    long_prompt_tokens: int | None = None
    """Prompt size in tokens from which on the whole response costs ``long_prompt_factor`` times as much."""
    long_prompt_factor: float = 1.0


PRICES: dict[str, Price] = {
    "claude-opus-5-5": Price(4, 20, 0.2, 5, 8),
    "claude-opus-5": Price(5, 25, 0.5, 6.25, 10),
    "claude-opus-4-8": Price(5, 25, 0.5, 6.25, 10),
    "claude-opus-4-5": Price(5, 25, 0.5, 6.25, 10),
    "claude-sonnet-5-5": Price(2, 10, 0.1, 2.5, 4),
    "claude-sonnet-5": Price(2, 10, 0.2, 2.5, 4),
    "claude-sonnet-4-5": Price(3, 15, 0.3, 3.75, 6),
    "claude-haiku-5-5": Price(0.1, 0.5, 0.01, 0.125, 0.2, long_prompt_tokens=100_000, long_prompt_factor=5.0),
    "claude-haiku-4-5": Price(1, 5, 0.1, 1.25, 2),
}
UNKNOWN = PRICES["claude-opus-5-5"]
"""What a model that nobody knows is counted as; Claude Code does the same."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of one response."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


def price_of(model: str) -> Price:
    """The price of a model; a dated or suffixed name has the price of its family."""
    families = sorted((name for name in PRICES if model.startswith(name)), key=len, reverse=True)
    return PRICES[families[0]] if families else UNKNOWN


def cost_usd(model: str, tokens: Tokens) -> float:
    """USD that one response costs."""
    price = price_of(model)
    per_million = (
        tokens.input * price.input
        + tokens.output * price.output
        + tokens.cache_read * price.cache_read
        + tokens.cache_write_5m * price.cache_write_5m
        + tokens.cache_write_1h * price.cache_write_1h
    )
    is_long = price.long_prompt_tokens is not None and tokens.prompt > price.long_prompt_tokens
    return per_million * (price.long_prompt_factor if is_long else 1.0) / 1_000_000
