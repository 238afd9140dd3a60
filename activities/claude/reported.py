"""What Claude Code itself says that it used: for calls that the gateway does not carry, on Bedrock and Vertex.

Its totals go on over a resumed conversation: it takes them up from its transcript. What one process used is therefore
the difference to what the transcript held when the process began.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from claude_agent_sdk import AssistantMessage, Message, ResultMessage

from activities.claude.meter import Meter
from workflows.contracts.outcome import Usage

Totals = Mapping[str, Mapping[str, Any]]
"""``model_usage`` of a result: what was used by model, since the conversation began."""

_FIGURES = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "costUSD")
_LONGEST_LINE = 1_000_000
_TAIL_BYTES = 64_000_000
"""Of a transcript; the totals are written when a process ends."""
_MOST_COST = 1e6


class Report:
    """Listens to the messages of one process of Claude Code and tells what it used.

    ``before`` is what ``totals_before`` found when the process was about to begin; nothing for a new conversation.
    """

    def __init__(self, before: Totals | None = None) -> None:
        self._before = before or {}
        self._totals: Totals | None = None
        self._seen: dict[str, Meter] = {}
        self._cut = False

    def hear(self, message: Message) -> None:
        """Take note of a message."""
        if isinstance(message, ResultMessage) and message.model_usage is not None:
            self._totals = message.model_usage
            self._cut = message.terminal_reason == "aborted_streaming"
        elif isinstance(message, AssistantMessage) and message.usage and message.model != "<synthetic>":
            # One message comes in several parts, a block each, all with the figures of its beginning.
            meter = self._seen.setdefault(message.message_id or "", Meter(message.model, streamed=True))
            for event in _events(message):
                meter.feed(b"data: " + json.dumps(event).encode() + b"\n")

    def usage(self) -> Usage:
        """What the process used so far: as its result says, without one an estimate from the messages seen."""
        seen = [meter.usage() for meter in self._seen.values()]
        if self._totals is None:
            return sum(seen, Usage())
        used = used_since(self._totals, self._before)
        # Of the message that it was interrupted in, Claude Code too can only guess.
        guessed = seen[-1].cost_usd if self._cut and seen else 0.0
        estimated = min(used.cost_usd, used.estimated_usd + guessed)
        return used.model_copy(update={"responses": len(seen), "estimated_usd": estimated})


def used_since(totals: Totals, before: Totals) -> Usage:
    """What was used between two states of a conversation's totals, as Claude Code prices it.

    A model that it has no price for counts as an estimate. Totals that went back count as they stand: nobody knows
    from where they began anew.
    """
    usage = Usage()
    for model, now in totals.items():
        then = before.get(model, {})
        spent = {name: _figure(now.get(name)) - _figure(then.get(name)) for name in _FIGURES}
        if any(value < 0 for value in spent.values()):
            spent = {name: _figure(now.get(name)) for name in _FIGURES}
        usage += Usage(
            input_tokens=int(spent["inputTokens"]),
            output_tokens=int(spent["outputTokens"]),
            cache_read_tokens=int(spent["cacheReadInputTokens"]),
            cache_write_tokens=int(spent["cacheCreationInputTokens"]),
            cost_usd=min(spent["costUSD"], _MOST_COST),
            estimated_usd=min(spent["costUSD"], _MOST_COST) if now.get("costBasis") == "unknown" else 0.0,
        )
    return usage


def totals_before(config: Path, conversation: str) -> Totals:
    """The totals with which Claude Code will take up ``conversation``, by the transcript in its folder ``config``.

    Empty if there is none, or if it holds none. The agent can write there: whatever lies there is read as data.
    """
    totals: Totals = {}
    for path in sorted(config.glob(f"projects/*/{conversation}.jsonl")):
        with suppress(OSError):
            totals = _last_totals(path) or totals
    return totals


def _last_totals(path: Path) -> Totals:
    # Not through a link, and not waiting for what never comes.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as transcript:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            return {}
        transcript.seek(max(0, about.st_size - _TAIL_BYTES))
        found: Totals = {}
        while line := transcript.readline(_LONGEST_LINE):
            if b'"cost-state"' in line:
                found = _totals_in(line) or found
    return found


def _totals_in(line: bytes) -> Totals:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(entry, dict) or entry.get("type") != "cost-state":
        return {}
    totals = entry.get("modelUsage")
    if not isinstance(totals, dict):
        return {}
    return {model: used for model, used in totals.items() if isinstance(used, dict)}


def _figure(value: object) -> float:
    """A figure, 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < 1e12 else 0.0


def _events(message: AssistantMessage) -> Iterator[Mapping[str, Any]]:
    """The message as the service would have begun to stream it."""
    yield {"type": "message_start", "message": {"model": message.model, "usage": message.usage}}
    for block in message.content:
        said = next((str(found) for name in ("text", "thinking", "input") if (found := getattr(block, name, ""))), "")
        yield {"type": "content_block_delta", "delta": {"text": said}}
