"""Reads what a response used from its bytes as they pass by, without holding them up."""

from __future__ import annotations

import json
from typing import Any

from activities.claude.prices import Tokens, cost_usd
from workflows.contracts.outcome import Usage

_BYTES_PER_TOKEN = 4
"""Rough size of a token, for estimating what a response that was cut off had produced."""
_LONGEST_LINE = 8_000_000
_LONGEST_WHOLE = 32_000_000
_MOST_TOKENS = 1_000_000_000
"""More than any response has: a figure above it is none."""
_OF_PROMPT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Meter:
    """Usage of one response, streamed or whole."""

    def __init__(self, model: str = "", *, streamed: bool) -> None:
        self.model = model
        """The model whose prices count: the one that the response names, once it has."""
        self._streamed = streamed
        self._pending = bytearray()
        self._skipping = False
        self._tokens: dict[str, int] = {}
        self._writes_1h = 0
        self._searches = 0
        self._fast = self._us_only = False
        self._seen_output = 0
        self._begun = self._final = self._output_told = False
        self._refused = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the response's body."""
        if not self._streamed:
            self._keep(chunk, _LONGEST_WHOLE)
            return
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            if self._pending or self._skipping:
                self._keep(line, _LONGEST_LINE)
                self._line(bytes(self._pending))
                self._pending.clear()
                self._skipping = False
            else:
                self._line(line)
        self._keep(rest, _LONGEST_LINE)

    def usage(self, *, prompt_bytes: int = 0) -> Usage:
        """What the response used: exact when its end was seen with its figures, else an estimate of what had come.

        ``prompt_bytes`` is the size of the request, for a response that did not even say what the prompt was.
        """
        if not self._streamed and not self._final:
            self._whole()
        if self._refused and not self._tokens:
            return Usage()
        # The service had the prompt and may have answered: what it gives no figure for is guessed by its size.
        prompt_told = any(name in self._tokens for name in _OF_PROMPT)
        output = self._tokens.get("output_tokens", 0)
        if not self._output_told:
            output = max(output, self._seen_output // _BYTES_PER_TOKEN)
        is_exact = prompt_told and self._output_told
        writes = self._tokens.get("cache_creation_input_tokens", 0)
        tokens = Tokens(
            input=self._tokens.get("input_tokens", 0) if prompt_told else prompt_bytes // _BYTES_PER_TOKEN,
            output=output,
            cache_read=self._tokens.get("cache_read_input_tokens", 0),
            cache_write_5m=max(0, writes - self._writes_1h),
            cache_write_1h=self._writes_1h,
            searches=self._searches,
            fast=self._fast,
            us_only=self._us_only,
        )
        cost = cost_usd(self.model, tokens)
        return Usage(
            responses=1,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write_5m + tokens.cache_write_1h,
            cost_usd=cost,
            estimated_usd=0.0 if is_exact else cost,
        )

    @property
    def is_final(self) -> bool:
        """Whether the response's end was seen; of a whole one, once its usage was asked for."""
        return self._final

    def _keep(self, part: bytes, most: int) -> None:
        """Remember the beginning of a line until its end comes; one that is too long is none of ours."""
        if self._skipping or len(self._pending) + len(part) > most:
            self._pending.clear()
            self._skipping = True
        else:
            self._pending += part

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._event(line[5:])

    def _whole(self) -> None:
        body = _object(bytes(self._pending))
        if body.get("type") == "message":
            self._named(body)
            self._seen_output = len(self._pending)
            self._end(body)

    def _event(self, data: bytes) -> None:
        event = _object(data)
        kind = event.get("type")
        if kind == "message_start":
            message = event.get("message")
            self._named(message if isinstance(message, dict) else {})
            self._begun = True
        elif kind == "content_block_delta":
            delta = event.get("delta")
            if isinstance(delta, dict):
                text = delta.get("text") or delta.get("partial_json") or delta.get("thinking") or ""
                self._seen_output += len(str(text))
        elif kind == "error":
            # Said before an answer began: nothing was generated, and nothing is billed.
            self._refused = not (self._begun or self._seen_output)
        elif kind == "message_delta":
            self._take(event.get("usage"))
            self._end(event)

    def _end(self, said: dict[str, Any]) -> None:
        """The response is over. What its beginning said of the output was no more than a place for the figure."""
        usage = said.get("usage")
        self._output_told |= isinstance(usage, dict) and type(usage.get("output_tokens")) is int
        self._final = True

    def _named(self, message: dict[str, Any]) -> None:
        self.model = str(message.get("model") or self.model)
        self._take(message.get("usage"))

    def _take(self, usage: Any) -> None:
        """Later figures replace earlier ones: the API's are cumulative."""
        if not isinstance(usage, dict):
            return
        self._tokens |= {k: _count(v) for k, v in usage.items() if k.endswith("_tokens") and type(v) is int}
        split = usage.get("cache_creation")
        if isinstance(split, dict):
            self._writes_1h = _count(split.get("ephemeral_1h_input_tokens"))
        searched = usage.get("server_tool_use")
        if isinstance(searched, dict):
            self._searches = _count(searched.get("web_search_requests"))
        self._fast = usage.get("speed", "fast" if self._fast else "") == "fast"
        self._us_only = usage.get("inference_geo", "us" if self._us_only else "") == "us"


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _count(value: Any) -> int:
    """A number of tokens, or 0 for what is none: what a service answers must not break the meter."""
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0
