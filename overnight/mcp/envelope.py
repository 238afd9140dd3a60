"""Whether a body is a message of the protocol at all; said in words of our own, which the SDK's are not."""

from __future__ import annotations

import json
from http import HTTPStatus

PARSE_ERROR = -32700
INVALID_REQUEST = -32600


class EnvelopeError(Exception):
    """The body is none, with the code of JSON-RPC for why."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(body: bytes, what: str = "body") -> None:
    """Raises ``EnvelopeError`` for a body, or ``what`` else it is, that is not one message."""
    try:
        # Decoded first: the parser would take other encodings, and half characters, that nothing behind it takes.
        message = json.loads(body.decode("utf-8"), parse_constant=_refuse)
        json.dumps(message, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise EnvelopeError(PARSE_ERROR, f"The {what} is nested too deeply.") from None
    except ValueError:
        raise EnvelopeError(PARSE_ERROR, f"The {what} is not JSON in UTF-8.") from None
    if not isinstance(message, dict):
        held = "several messages" if isinstance(message, list) else "no message"
        raise EnvelopeError(INVALID_REQUEST, f"The {what} holds {held}; send one message of JSON-RPC, an object.")
    if message.get("jsonrpc") != "2.0":
        raise EnvelopeError(INVALID_REQUEST, 'The message is not of JSON-RPC 2.0: jsonrpc must be "2.0".')
    identity = message.get("id", "absent")
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        raise EnvelopeError(INVALID_REQUEST, "The message's id must be text or a whole number.")
    if "method" not in message and ("result" in message or "error" in message):
        return  # an answer, to something that was asked back
    if not isinstance(message.get("method"), str):
        raise EnvelopeError(INVALID_REQUEST, "The message has no method, or one that is no text.")
    if not isinstance(message.get("params", {}), dict):
        raise EnvelopeError(INVALID_REQUEST, "The message's params must be an object.")


def identity(body: bytes) -> int | str | None:
    """The id of what is not quite a message; None where there is none, or none that could be sent back."""
    try:
        message = json.loads(body.decode("utf-8", "replace"), parse_constant=str, parse_int=_whole)
        found = message.get("id") if isinstance(message, dict) else None
        if isinstance(found, str):
            found.encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= 19 else None


def _refuse(_: str) -> None:
    raise ValueError
