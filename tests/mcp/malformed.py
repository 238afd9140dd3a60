"""Requests as nobody should send them, made from the tools' own schemas, against a server over HTTP that is up.

The engine behind it is away: whatever comes through to it by being right after all starts nothing.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from mcp import Client, MCPError
from mcp.types import Tool

from overnight.base.settings import Settings
from overnight.connection import Connection
from overnight.errors import UnreachableError
from overnight.mcp import engine
from tests.mcp.conftest import ROOT, text_of
from tests.mcp.over_http import given, served, token_of

TOKEN = token_of("ada", "read+control+approve")
MODERN, LEGACY = "2026-07-28", "2025-11-25"
BODY_KB = 64

_TEXT = st.text(max_size=40) | st.sampled_from(
    [
        "",
        "\0",
        "../../etc/passwd",
        "$(id)",
        "' OR 1=1 --",
        "\U0001f600" * 50,
        "x" * 70_000,
        "\u202e",
        "-rf",
        "{}",
        "[1]",
    ]
)
_NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([10**400, -1, 0, 1e308])
JUNK = st.recursive(
    st.none() | st.booleans() | _NUMBER | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)


def arguments_of(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that are nearly right: as the schema says, with something amiss."""
    schema = tool.input_schema
    names = sorted(schema["properties"])
    parts = {name: from_schema(_bounded(part)) for name, part in schema["properties"].items()}
    required = {name: parts[name] for name in schema.get("required", [])}
    right = st.fixed_dictionaries(required, optional={n: p for n, p in parts.items() if n not in required})

    def spoiled(given: tuple[dict[str, Any], str, Any, str, str]) -> dict[str, Any]:
        arguments, name, junk, unknown, how = given
        if tool.name.endswith("_wait"):  # one that is right would wait for the engine; null is as good as nothing
            arguments |= {"timeout_seconds": 0.5}
            name, junk = ("until", junk) if name == "timeout_seconds" and junk is None else (name, junk)
        match how:
            case "junk":
                return {**arguments, name: junk}
            case "unknown":
                return {**arguments, unknown: junk}
            case "missing":
                return {n: value for n, value in arguments.items() if n not in required}
            case _:
                return arguments

    ways = st.sampled_from(["junk", "junk", "junk", "unknown", "missing", "right"])
    return st.tuples(right, st.sampled_from(names or ["x"]), JUNK, _TEXT, ways).map(spoiled)


def _bounded(schema: Any) -> Any:
    """With short texts and lists, which are as right as long ones and quicker made."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: _bounded(value) for key, value in schema.items() if key not in {"description", "default", "format"}}
    for most, few in (("maxLength", 30), ("maxItems", 3)):
        if most in kept:
            kept[most] = max(min(kept[most], few), kept.get(most.replace("max", "min"), 0))
    return kept


METHODS = st.sampled_from(
    [
        *("initialize", "ping", "tools/list", "tools/call", "server/discover", "resources/read", "resources/list"),
        *("prompts/get", "completion/complete", "tasks/get", "tasks/cancel", "tasks/update", "logging/setLevel"),
        *("notifications/cancelled", "notifications/initialized", "x"),
    ]
)
_META: dict[str, Any] = {
    f"io.modelcontextprotocol/{n}": v for n, v in (("protocolVersion", MODERN), ("clientCapabilities", {}))
}


class Shapes:
    """What can be sent to these tools; made once, since that takes time."""

    def __init__(self, tools: list[Tool]) -> None:
        each = [st.tuples(st.just(tool.name), arguments_of(tool)) for tool in tools]
        self.calls: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(each)
        self.messages = envelopes(self.calls)

    def __repr__(self) -> str:
        return "shapes"


def envelopes(calls: st.SearchStrategy[tuple[str, dict[str, Any]]]) -> st.SearchStrategy[Any]:
    """Messages of the protocol with something amiss in them."""
    call = calls.map(lambda made: {"name": made[0], "arguments": made[1]})
    params = call | st.dictionaries(_TEXT, JUNK, max_size=3) | JUNK
    meta: st.SearchStrategy[Any] = st.just(_META) | st.just({}) | JUNK
    params = st.tuples(params, meta).map(lambda p: {**p[0], "_meta": p[1]} if isinstance(p[0], dict) else p[0])
    fields = {
        "jsonrpc": st.just("2.0") | JUNK,
        "id": st.integers(0, 9) | JUNK,
        "method": METHODS | _TEXT,
        "params": params,
    }
    message = st.fixed_dictionaries({}, optional=fields)
    needed = {name: fields[name] for name in ("jsonrpc", "method")}
    whole = st.fixed_dictionaries(needed, optional={name: fields[name] for name in ("id", "params")})
    return whole | whole | message | st.lists(message, max_size=3) | JUNK


@st.composite
def requests(draw: st.DrawFn, shapes: Shapes) -> tuple[bytes, dict[str, str]]:
    """A body and headers."""
    content = draw(shapes.messages)
    body = json.dumps(content).encode("utf-8", "surrogatepass")
    match draw(st.sampled_from(["whole"] * 6 + ["cut", "bytes", "deep", "raw", "half"])):
        case "cut":
            body = body[: draw(st.integers(0, len(body)))]
        case "bytes":
            body = draw(st.binary(max_size=200))
        case "deep":
            body = draw(st.sampled_from([b"[", b'{"a":', b'{"params":['])) * draw(st.integers(100, 6_000))
        case "half":  # of a pair that is one character
            body = body.replace(b"x", rb"\ud800")
        case "raw":
            body = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
    version = draw(st.sampled_from([MODERN, MODERN, LEGACY, LEGACY, "2024-11-05", "1999-01-01", "x", ""]))
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if version:
        headers["MCP-Protocol-Version"] = version
    if isinstance(content, dict) and isinstance(method := content.get("method"), str) and draw(st.integers(0, 9)):
        headers["Mcp-Method"] = "".join(c for c in method if " " <= c <= "~").strip()
        named = content.get("params")
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            headers["Mcp-Name"] = "".join(c for c in named["name"] if " " <= c <= "~").strip()
    odd = draw(st.sampled_from([{}] * 8 + [{"Content-Type": "text/plain"}, {"Accept": "x/y"}, {"Mcp-Session-Id": "x"}]))
    return body, {**headers, **odd}


CUT = 0
"""No answer: a server that refuses what is no HTTP hangs up while the rest is on its way, and TCP may drop the no."""


@dataclass
class Target:
    """A server that is up, in a thread of its own, and a client."""

    home: Path
    loop: asyncio.AbstractEventLoop
    client: Client
    tools: list[Tool]
    http: httpx2.Client
    shapes: Shapes

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def call(self, tool: str, arguments: dict[str, Any]) -> None:
        """Call a tool; fails unless the answer is a clear error."""
        try:
            result = self.run(self.client.call_tool(tool, arguments))
        except MCPError as error:
            self.check(str(error), error.code in {-32600, -32602})
            return
        assert result.is_error, "the engine is away: nothing can go well"
        said = text_of(result)
        assert said.strip()
        self.check(said)

    def send(self, body: bytes, headers: dict[str, str]) -> int:
        """Send a request; fails unless the answer is a clear one. Returns its status, or ``CUT``."""
        try:
            answer = self.http.post("/mcp", content=body, headers=headers)
        except httpx2.ReadError:
            return CUT
        assert answer.status_code in {200, 202, 400, 404, 405, 406, 413, 415}, (answer.status_code, answer.text)
        assert "server" not in answer.headers
        self.check(answer.text)
        if answer.status_code == 200:
            lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
            messages = [json.loads(line) for line in lines if line] or [answer.json()]
            for message in messages:
                assert message.get("error", {}).get("code") != -32603, message
        return answer.status_code

    def check(self, said: str, clear: bool = True) -> None:
        assert clear, said
        assert len(said) < 60_000
        for leak in (
            "Traceback",
            'File "',
            "Internal error",
            str(self.home),
            str(ROOT),
            "pydantic.dev",
            TOKEN,
            "sha256",
        ):
            assert leak not in said, said[:2_000]

    def is_well(self) -> None:
        """Fails unless a request that is right is answered as ever."""
        assert self.http.get("/health").json() == {"status": "ok"}
        assert len(self.run(self.client.list_tools()).tools) == len(self.tools)


async def _away(*_: object, **__: object) -> Connection:
    raise UnreachableError("the engine is away")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server whose engine is away, and which is well at the end."""
    with _up(tmp_path_factory.mktemp("malformed") / "home") as up:
        yield up
        up.is_well()


@contextmanager
def _up(home: Path) -> Iterator[Target]:
    settings = Settings(
        home=home,
        mcp_tokens=given(("ada", "read+control+approve")),
        mcp_requests_per_minute=1_000_000,
        mcp_body_kb=BODY_KB,
    )
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int, Client, list[Tool]]] = Future()

    async def live() -> None:
        over = asyncio.Event()
        try:
            async with served(settings) as up, up.client(TOKEN) as client:
                tools = (await client.list_tools()).tools
                ready.set_result((asyncio.get_running_loop(), over, up.port, client, tools))
                await over.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        patch.setattr(engine, "open_connection", _away)  # at once: the SDK tries for a second
        patch.setenv("ANTHROPIC_API_KEY", "sk-test")
        thread = threading.Thread(target=lambda: asyncio.run(live()))
        thread.start()
        loop, over, port, client, tools = ready.result(60)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer, timeout=30, verify=tls) as http:
                yield Target(home, loop, client, tools, http, Shapes(tools))
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join(60)
