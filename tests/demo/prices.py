"""What the bundled Claude Code believes that a token costs."""

from __future__ import annotations

from overnight.demo.reply import Rates

_OPUS_5_5 = Rates(input=4, output=20, cache_read=0.2, cache_write_5m=5, cache_write_1h=8)

PRICES = {
    "claude-opus-5-5": _OPUS_5_5,
    "claude-sonnet-5-5": Rates(input=2, output=10, cache_read=0.1, cache_write_5m=2.5, cache_write_1h=4),
    "claude-sonnet-5": Rates(input=2, output=10, cache_read=0.2, cache_write_5m=2.5, cache_write_1h=4),
    "claude-haiku-5-5": Rates(input=0.1, output=0.5, cache_read=0.01, cache_write_5m=0.125, cache_write_1h=0.2),
    "claude-haiku-4-5": Rates(input=1, output=5, cache_read=0.1, cache_write_5m=1.25, cache_write_1h=2),
    "claude-opus-5": Rates(input=5, output=25, cache_read=0.5, cache_write_5m=6.25, cache_write_1h=10),
    "a-model-that-nobody-knows": _OPUS_5_5,
}

# Of claude-haiku-5-5 the prices above hold for prompts (input, cache reads and writes) of up to so many tokens;
# above it, all tokens of that response cost so many times as much. The others have one price.
LONG_PROMPT_TOKENS = 100_000
LONG_PROMPT_FACTOR = {"claude-haiku-5-5": 5}
