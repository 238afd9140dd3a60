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
    fast_factor: float = 1.0
    """How many times as much a response at the higher speed costs."""


PRICES: dict[str, Price] = {
    "claude-fable-5": Price(10, 50, 1, 12.5, 20),
    "claude-fable-5-1": Price(10, 50, 0.25, 12.5, 20),
    "claude-fable-5-2": Price(8, 40, 0.2, 10, 16, fast_factor=2),
    "claude-mythos-5": Price(10, 50, 1, 12.5, 20),
    "claude-mythos-5-1": Price(10, 50, 0.25, 12.5, 20),
    "claude-mythos-5-2": Price(8, 40, 0.2, 10, 16, fast_factor=2),
    "claude-opus-5-5": Price(4, 20, 0.2, 5, 8, fast_factor=2),
    "claude-opus-5": Price(5, 25, 0.5, 6.25, 10, fast_factor=2),
    "claude-opus-4-8": Price(5, 25, 0.5, 6.25, 10, fast_factor=2),
    "claude-opus-4-7": Price(5, 25, 0.5, 6.25, 10, fast_factor=6),
    "claude-opus-4-6": Price(5, 25, 0.5, 6.25, 10, fast_factor=6),
    "claude-opus-4-5": Price(5, 25, 0.5, 6.25, 10),
    "claude-opus-4": Price(15, 75, 1.5, 18.75, 30),
    "claude-sonnet-5-5": Price(2, 10, 0.1, 2.5, 4),
    "claude-sonnet-5": Price(2, 10, 0.2, 2.5, 4),
    "claude-sonnet-4-6": Price(3, 15, 0.3, 3.75, 6),
    "claude-sonnet-4-5": Price(3, 15, 0.3, 3.75, 6),
    "claude-sonnet-4": Price(3, 15, 0.3, 3.75, 6),
    "claude-3-7-sonnet": Price(3, 15, 0.3, 3.75, 6),
    "claude-3-5-sonnet": Price(3, 15, 0.3, 3.75, 6),
    "claude-haiku-5-5": Price(0.1, 0.5, 0.01, 0.125, 0.2, long_prompt_tokens=100_000, long_prompt_factor=5.0),
    "claude-haiku-4-5": Price(1, 5, 0.1, 1.25, 2),
    "claude-3-5-haiku": Price(0.8, 4, 0.08, 1, 1.6),
}
UNKNOWN = PRICES["claude-opus-5-5"]
"""What a model that nobody knows is counted as; Claude Code does the same."""
SEARCH_USD = 0.01
"""A web search that the service made for the model."""
US_FACTOR = 1.1
"""How many times as much tokens cost that are bound to the United States."""


@dataclass(frozen=True)
class Tokens:
    """What one response used."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    searches: int = 0
    fast: bool = False
    us_only: bool = False

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


_FAMILIES = sorted(PRICES, key=len, reverse=True)


def price_of(model: str) -> Price:
    """The price of a model; a dated, suffixed or prefixed name (``us.anthropic.…``) has the price of its family."""
    name = model[max(0, model.find("claude-")) :]
    return next((PRICES[family] for family in _FAMILIES if name.startswith(family)), UNKNOWN)


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
    if price.long_prompt_tokens is not None and tokens.prompt > price.long_prompt_tokens:
        per_million *= price.long_prompt_factor
    if tokens.fast:
        per_million *= price.fast_factor
    if tokens.us_only:
        per_million *= US_FACTOR
    return per_million / 1_000_000 + tokens.searches * SEARCH_USD
