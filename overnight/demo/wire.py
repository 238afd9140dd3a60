"""Replies in the form of the Messages API: one JSON object, or server-sent events as Claude Code demands them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from overnight.demo.reply import Answer, Block, HttpError, Say, Stage, Text, Usage, opening
from overnight.demo.script import STRUCTURED_OUTPUT, Request

_DELTA_CHARS = 500
_CUT_OFF = "Let me look at the"


def message(request: Request, say: Say) -> dict[str, Any]:
    """The reply as one object, which is what a request without ``stream`` gets."""
    return {
        "id": _identifier("msg_", request),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [_content(request, index, block) for index, block in enumerate(say.blocks)],
        "stop_reason": say.stop_reason,
        "stop_sequence": None,
        "usage": say.usage.wire(),
    }


def error(fault: HttpError, request: Request) -> str:
    """The body of a refusal."""
    if fault.body is not None:
        return fault.body
    detail = {"type": fault.error_type, "message": fault.message}
    return json.dumps({"type": "error", "error": detail, "request_id": _identifier("req_", request)})


def events(request: Request, say: Say) -> Iterator[bytes]:
    """The reply as a complete stream of events."""
    yield _start(request, say.usage)
    for index, block in enumerate(say.blocks):
        yield from _block(request, index, block)
    delta = {"stop_reason": say.stop_reason, "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage=say.usage.wire())
    yield _event("message_stop")


def broken(request: Request, after: Stage, usage: Usage) -> Iterator[bytes]:
    """The events of a reply that breaks off at the stage ``after``."""
    if after in ("start", "block"):
        yield _start(request, usage)
        parts = list(_block(request, 0, Text(_CUT_OFF)))
        # Without content_block_stop Claude Code drops the text and asks anew; with it, it asks to go on from there.
        yield from parts if after == "block" else parts[:-1]


def _start(request: Request, usage: Usage) -> bytes:
    head = message(request, Say(usage=opening(usage)))
    return _event("message_start", message={**head, "stop_reason": None})


def _block(request: Request, index: int, block: Block) -> Iterator[bytes]:
    # The content of content_block_start is ignored by Claude Code: it must come in deltas.
    if isinstance(block, Text):
        empty: dict[str, Any] = {"type": "text", "text": ""}
        kind, key, whole = "text_delta", "text", block.text
    else:
        content = _content(request, index, block)
        empty = {**content, "input": {}}
        kind, key, whole = "input_json_delta", "partial_json", _json(content["input"])
    yield _event("content_block_start", index=index, content_block=empty)
    for at in range(0, len(whole), _DELTA_CHARS):
        yield _event("content_block_delta", index=index, delta={"type": kind, key: whole[at : at + _DELTA_CHARS]})
    yield _event("content_block_stop", index=index)


def _content(request: Request, index: int, block: Block) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    name, value = (STRUCTURED_OUTPUT, block.value) if isinstance(block, Answer) else (block.name, block.input)
    return {"type": "tool_use", "id": _identifier("toolu_", request, index), "name": name, "input": dict(value)}


def _identifier(prefix: str, request: Request, index: int = 0) -> str:
    # From the request alone: an answer given twice is the same answer, and no two requests share an id.
    where = [request.session, request.phase, request.iteration, request.attempt, index, request.body]
    return prefix + hashlib.sha256(_json(where).encode()).hexdigest()[:24]


def _json(value: object) -> str:
    return json.dumps(value, default=dict)


def _event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {_json({'type': name, **data})}\n\n".encode()
