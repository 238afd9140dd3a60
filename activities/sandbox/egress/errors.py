"""Why a connection did not come about, in words for whoever asked for it."""

from __future__ import annotations

import os
import socket
from http import HTTPStatus

from activities.sandbox.egress.blocked import clean
from activities.sandbox.egress.rules import Refusal
from overnight.base.destinations import Target


class EgressError(Exception):
    """No connection: an HTTP status, words, and the reply code of SOCKS (RFC 1928)."""

    def __init__(self, words: str, status: HTTPStatus, socks: int = 0x01, *, reason: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.status = status
        self.socks = socks
        self.reason = reason
        """Why it was blocked; empty for what merely failed."""


class BlockedError(EgressError):
    """The rules forbid it."""

    def __init__(self, target: Target, refusal: Refusal) -> None:
        words = f"Overnight's sandbox blocked {clean(str(target))}: {refusal.reason}. {refusal.advice}"
        super().__init__(words, HTTPStatus.FORBIDDEN, 0x02, reason=refusal.reason)


class UnknownNameError(EgressError):
    """No address is known for the name."""

    def __init__(self, target: Target) -> None:
        words = f"The name {clean(target.host)} is not known: no address was found for it. Check how it is spelled."
        super().__init__(words, HTTPStatus.BAD_GATEWAY, 0x04)


class UnreachableError(EgressError):
    """Allowed, but nobody answered."""

    def __init__(self, target: Target, error: OSError) -> None:
        words = f"No connection to {clean(str(target))}: {_said(error)}. The sandbox allows it; the fault is elsewhere."
        late = isinstance(error, TimeoutError)
        refused = isinstance(error, ConnectionRefusedError)
        super().__init__(
            words, HTTPStatus.GATEWAY_TIMEOUT if late else HTTPStatus.BAD_GATEWAY, 0x05 if refused else 0x04
        )


class MalformedError(EgressError):
    """What was asked for cannot be read, or is nothing that a proxy does."""

    def __init__(self, words: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST, socks: int = 0x01) -> None:
        super().__init__(f"Overnight's sandbox cannot do this: {words}", status, socks)


def _said(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if error.errno is not None and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return clean(str(error) or type(error).__name__)
