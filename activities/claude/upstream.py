"""The way to the model's service: connections, what goes with a request, what a refusal tells."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import httpx2

from activities.claude.lease import Failure, Lease
from overnight.base.credentials import Credential

CONNECT_SECONDS = 15.0
FIRST_BYTE_SECONDS = 130.0
"""From the end of the request to the head of the answer. Claude Code itself gives up after 300 s."""
WRITE_SECONDS = 60.0
"""For a piece of the request of which the service takes nothing."""
KEPT_SECONDS = 45.0
"""For so long a connection is kept for the next request. Common proxies close theirs after 60 s."""
LONG_WAIT_SECONDS = 60.0
"""A longer retry-after is a usage limit: Claude Code itself gives up on it, and the workflow waits."""

LOOPBACK = ("all://127.0.0.0/8", "all://localhost", "all://[::1]")

_MESSAGE_LENGTH = 2_000
_PASSED = {"accept", "accept-language", "content-type", "user-agent", "x-app"}
_PASSED_PREFIXES = ("anthropic-", "x-claude-", "x-stainless-")
_ANSWERED = {"content-type", "retry-after", "request-id", "x-should-retry"}
_ANSWERED_PREFIXES = ("anthropic-", "x-ratelimit")


class NoWayError(Exception):
    """The environment names a proxy or a certificate that cannot be used; says which, and what to do."""


def open_client(*, connect: float = CONNECT_SECONDS, read: float = FIRST_BYTE_SECONDS) -> httpx2.AsyncClient:
    """A client for the model's service, as Claude Code would reach it; redirects are not followed.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are obeyed, loopback never goes through a proxy;
    ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and ``NODE_EXTRA_CA_CERTS`` say whom to trust; ``CLAUDE_CODE_CLIENT_CERT`` and
    ``CLAUDE_CODE_CLIENT_KEY`` who we are. All are read here, once. Times in seconds.

    Raises ``NoWayError``.
    """
    try:
        return httpx2.AsyncClient(
            verify=_tls(),
            timeout=httpx2.Timeout(read, connect=connect, write=WRITE_SECONDS, pool=connect),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=KEPT_SECONDS),
            mounts=dict.fromkeys(LOOPBACK),
            follow_redirects=False,
        )
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise NoWayError(
            f"the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used ({type(error).__name__}):"
            " it must be an http:// or https:// address"
        ) from error


_TLS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY")


def _tls() -> ssl.SSLContext:
    try:
        context = httpx2.create_ssl_context()
        if extra := os.environ.get("NODE_EXTRA_CA_CERTS"):
            context.load_verify_locations(extra)
        if own := os.environ.get("CLAUDE_CODE_CLIENT_CERT"):
            passphrase = os.environ.get("CLAUDE_CODE_CLIENT_KEY_PASSPHRASE")
            context.load_cert_chain(own, os.environ.get("CLAUDE_CODE_CLIENT_KEY") or None, passphrase)
    except OSError as error:
        given = ", ".join(name for name in _TLS if os.environ.get(name)) or "the system's certificates"
        raise NoWayError(f"a certificate cannot be read ({error.strerror or error}); look at {given}") from error
    return context


def outgoing(headers: Mapping[str, str], credential: Credential, lease: Lease) -> dict[str, str]:
    """The headers of a request that goes up: of Claude Code's own what the API knows, the credential, whose it is."""
    kept = {k: v for k, v in headers.items() if k in _PASSED or k.startswith(_PASSED_PREFIXES)}
    return {
        **kept,
        **credential.presented(kept.get("anthropic-beta", "")),
        **lease.headers,
        # The meter reads the bytes as they pass.
        "accept-encoding": "identity",
    }


_REGAIN = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")
"""How the API says until when a limit lasts that the account's owner has set."""


def _regained(message: str) -> datetime | None:
    found = _REGAIN.search(message)
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}+00:00") if found else None
    except ValueError:
        return None


def answered(headers: Mapping[str, str], secrets: Collection[str] = ()) -> list[tuple[bytes, bytes]]:
    """Of the headers of an answer, those that Claude Code may see; none that quotes one of ``secrets``."""
    kept = ((k, v) for k, v in headers.items() if k in _ANSWERED or k.startswith(_ANSWERED_PREFIXES))
    shown = ((k, v) for k, v in kept if not any(secret in k or secret in v for secret in secrets))
    return [(k.encode("latin-1"), v.encode("latin-1")) for k, v in shown]


def failure(status: int, headers: Mapping[str, str], body: bytes = b"") -> Failure:
    """What a refusal of the service says: its words, and whether a usage limit is reached."""
    message = _message(body)
    if status == 400 and (regained := _regained(message)):
        return Failure(status, message, limited=True, resets_at=regained)
    if status != 429:
        return Failure(status, message)
    reset = moment(_seconds(headers.get("anthropic-ratelimit-unified-reset")))
    wait = _seconds(headers.get("retry-after"))
    rejected = headers.get("anthropic-ratelimit-unified-status") == "rejected"
    if not rejected and (wait is None or wait <= LONG_WAIT_SECONDS):
        return Failure(status, message)
    return Failure(status, message, limited=True, resets_at=reset or (moment(time.time() + wait) if wait else None))


def _message(body: bytes) -> str:
    """The words in an error of the API's form, else the beginning of whatever came."""
    try:
        said = json.loads(body)["error"]["message"]
    except (ValueError, RecursionError, LookupError, TypeError):
        said = body[:_MESSAGE_LENGTH].decode("utf-8", "replace")
    return str(said)[:_MESSAGE_LENGTH]


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def moment(seconds: float | None) -> datetime | None:
    """The point in time so many seconds after 1970; None for none, and for what is no date."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
