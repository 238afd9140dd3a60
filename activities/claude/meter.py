"""Reads what a response used from its bytes as they pass by, without holding them up."""

from __future__ import annotations

import json
from typing import Any

from activities.claude.prices import Tokens, cost_usd
from workflows.contracts.outcome import Usage

_BYTES_PER_TOKEN = 4
"""Rough size of a token, for estimating what a response that was cut off had produced."""
_LONGEST_LINE = 8_000_000


class Meter:
    """Usage of one response, streamed or whole."""

    def __init__(self, model: str, *, streamed: bool, prompt_bytes: int = 0) -> None:
        self._prompt_bytes = prompt_bytes
        self._model = model
        self._streamed = streamed
        self._pending = bytearray()
        self._tokens: dict[str, int] = {}
        self._writes_1h = 0
        self._seen_output = 0
        self._final = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the response's body."""
        self._pending += chunk
        if not self._streamed:
            return
        *lines, rest = bytes(self._pending).split(b"\n")
        self._pending = bytearray(rest[:_LONGEST_LINE])
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:])

    def usage(self) -> Usage:
        """What the response used: exact when its end was seen, else an estimate of what had come."""
        if not self._streamed and not self._final:
            self._whole()
        if not self._tokens:
            # The service had the prompt, but nobody saw what it billed.
            self._tokens = {"input_tokens": self._prompt_bytes // _BYTES_PER_TOKEN}
        output = self._tokens.get("output_tokens", 0)
        if not self._final:
            output = max(output, self._seen_output // _BYTES_PER_TOKEN)
        writes = self._tokens.get("cache_creation_input_tokens", 0)
        tokens = Tokens(
            input=self._tokens.get("input_tokens", 0),
            output=output,
            cache_read=self._tokens.get("cache_read_input_tokens", 0),
            cache_write_5m=max(0, writes - self._writes_1h),
            cache_write_1h=self._writes_1h,
        )
        cost = cost_usd(self._model, tokens)
        return Usage(
            responses=1,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write_5m + tokens.cache_write_1h,
            cost_usd=cost,
            estimated_usd=0.0 if self._final else cost,
        )

    def _whole(self) -> None:
        try:
            body = json.loads(bytes(self._pending))
        except ValueError:
            return
        if isinstance(body, dict) and body.get("type") == "message":
            self._model = str(body.get("model") or self._model)
            self._take(body.get("usage"))
            self._final = True

    def _event(self, data: bytes) -> None:
        try:
            event = json.loads(data)
        except ValueError:
            return
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start":
            message = event.get("message") or {}
            self._model = str(message.get("model") or self._model)
            self._take(message.get("usage") or {"input_tokens": 0})
        elif kind == "content_block_delta":
            delta = event.get("delta") or {}
            text = delta.get("text") or delta.get("partial_json") or delta.get("thinking") or ""
            self._seen_output += len(str(text))
        elif kind == "message_delta":
            self._take(event.get("usage"))
            self._final = True

    def _take(self, usage: Any) -> None:
        """Later figures replace earlier ones: the API's are cumulative."""
        if not isinstance(usage, dict):
            return
        self._tokens |= {k: v for k, v in usage.items() if isinstance(v, int) and k.endswith("_tokens")}
        split = usage.get("cache_creation")
        if isinstance(split, dict):
            self._writes_1h = int(split.get("ephemeral_1h_input_tokens") or 0)
