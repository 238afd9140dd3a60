"""The gateway: Claude Code's only way to a model. Adds the credential, meters every response, refuses when told to."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from activities.claude.meter import Meter
from overnight.base.credentials import Credential
from workflows.contracts.outcome import Usage

log = structlog.get_logger(__name__)

MAX_REQUEST_BYTES = 40_000_000
"""The API itself takes 32 MB."""
PATHS = ("/v1/messages", "/v1/messages/count_tokens")
CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 600.0
SETTLE_SECONDS = 2.0
_HOP_BY_HOP = {
    "host", "content-length", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer",
    "accept-encoding", "x-api-key", "authorization", "proxy-authorization", "proxy-connection", "expect",
}  # fmt: skip
_ANSWERED = {"content-type", "retry-after", "request-id", "x-should-retry"}
OAUTH_BETA = "oauth-2025-04-20"


@dataclass
class Lease:
    """The right of one Claude Code call to talk to a model, and what it has used so far."""

    session_id: str
    phase: str
    iteration: int
    attempt: int
    budget_usd: float
    token: str = field(default_factory=lambda: f"overnight-{secrets.token_urlsafe(24)}")
    usage: Usage = field(default_factory=Usage)
    refusal: str | None = None
    """Why further requests are refused; set by whoever ends the call."""
    limited: bool = False
    """The service said that a usage limit is reached."""
    resets_at: datetime | None = None
    last_error: str = ""
    last_byte: float = field(default_factory=time.monotonic)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the call is over: a request that still waits for the service is given up."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the request that is under way."""
    _open: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts a request while it is under way."""
        self._open += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._idle.set()

    async def settle(self, seconds: float) -> None:
        """Close the lease and wait, for at most ``seconds``, until no request is under way: usage is then complete."""
        self.refusal = self.refusal or "ended"
        self.closed.set()
        if self._open:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    def check(self) -> str | None:
        """Why the next request must not go out, or None."""
        if self.refusal is None and self.usage.cost_usd >= self.budget_usd:
            self.refusal = "budget"
        return self.refusal

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Overnight-Session": self.session_id,
            "X-Overnight-Phase": self.phase,
            "X-Overnight-Iteration": str(self.iteration),
            "X-Overnight-Attempt": str(self.attempt),
        }


class Gateway:
    """A loopback endpoint inside the worker; it dies with it."""

    def __init__(self, find_credential: Callable[[], Credential | None]) -> None:
        self._find_credential = find_credential
        self._leases: dict[str, Lease] = {}
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
            follow_redirects=False,
        )
        self._app = Starlette(routes=[Route("/{path:path}", self._serve, methods=["GET", "HEAD", "POST"])])
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """Serve on a free port of 127.0.0.1 while the context lasts."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(self._app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=120)
        server = _QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield self
        finally:
            server.should_exit = server.force_exit = True
            await serving
            await self._client.aclose()

    @property
    def credential(self) -> Credential | None:
        """The credential in use now; a Claude login may be renewed by Claude Code at any time."""
        return self._find_credential()

    @asynccontextmanager
    async def lease(self, lease: Lease) -> AsyncIterator[Lease]:
        """Let one call through for as long as the context lasts."""
        self._leases[lease.token] = lease
        try:
            yield lease
        finally:
            await lease.settle(SETTLE_SECONDS)
            del self._leases[lease.token]

    async def _serve(self, request: Request) -> Response:
        lease = self._leases.get(_presented(request))
        if lease is None:
            # 403 is the one refusal that Claude Code does not retry.
            return _error(403, "permission_error", "this call has ended or never was")
        if request.method != "POST":
            return Response(status_code=200)
        if request.url.path not in PATHS:
            # Everything else that the credential opens (batches, files, ...) is none of the agent's business.
            return _error(403, "permission_error", f"Overnight carries {' and '.join(PATHS)}, nothing else")
        credential = self.credential
        if credential is None:
            lease.last_error = "the worker holds no credential"
            return _error(401, "authentication_error", "the worker holds no credential for a model")
        body = await _bounded_body(request)
        if body is None:
            return _error(413, "request_too_large", "the request is larger than the API takes")
        async with AsyncExitStack() as stack:
            stack.enter_context(lease.request())
            # One at a time: what a response cost must be known before the next one is let through.
            await stack.enter_async_context(lease.turn)
            if refusal := lease.check():
                return _error(403, "permission_error", f"Overnight refuses further requests of this call: {refusal}")
            return await self._forward(request, lease, credential, body, stack)

    async def _forward(
        self, request: Request, lease: Lease, credential: Credential, body: bytes, under_way: AsyncExitStack
    ) -> Response:
        url = f"{credential.upstream}{request.url.path}"
        outgoing = self._client.build_request(
            "POST",
            f"{url}?{request.url.query}" if request.url.query else url,
            headers={**_passed(request), **lease.headers, **_authorized(request, credential)},
            content=body,
        )
        model, streamed = _described(body)
        billed = request.url.path.endswith("/messages")
        meter = Meter(model, streamed=streamed, prompt_bytes=len(body)) if billed else None
        sending = asyncio.create_task(self._client.send(outgoing, stream=True))
        closing = asyncio.create_task(lease.closed.wait())
        await asyncio.wait({sending, closing}, return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        if not sending.done():
            sending.cancel()
            lease.usage = lease.usage + (meter.usage() if meter else Usage())
            return _error(403, "permission_error", "this call has ended")
        try:
            answer = sending.result()
        except httpx2.HTTPError as error:
            lease.last_error = f"{type(error).__name__}: {error}"
            log.warning("upstream unreachable", error=lease.last_error)
            return _error(502, "api_error", "the model's service cannot be reached")
        lease.last_byte = time.monotonic()
        if answer.status_code >= 400:
            _note_failure(lease, answer)
        headers = {
            k: v for k, v in answer.headers.items() if k in _ANSWERED or k.startswith(("anthropic-", "x-ratelimit"))
        }
        under_way.push_async_callback(answer.aclose)
        if meter is not None and answer.status_code < 400:
            under_way.callback(_charge, lease, meter)
        return _Carried(
            _copied(answer, lease, meter), under_way.pop_all(), status_code=answer.status_code, headers=headers
        )


class _Carried(StreamingResponse):
    """A response that passes through; whatever becomes of it, its request is over and charged at its end."""

    def __init__(
        self, body: AsyncIterator[bytes], under_way: AsyncExitStack, *, status_code: int, headers: dict[str, str]
    ) -> None:
        super().__init__(body, status_code=status_code, headers=headers)
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._under_way:
            await super().__call__(scope, receive, send)


def _charge(lease: Lease, meter: Meter) -> None:
    lease.usage = lease.usage + meter.usage()


class _QuietServer(uvicorn.Server):
    """Signals belong to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _copied(answer: httpx2.Response, lease: Lease, meter: Meter | None) -> AsyncIterator[bytes]:
    """The body as it comes, shown to the meter as it passes."""
    try:
        async for chunk in answer.aiter_raw():
            lease.last_byte = time.monotonic()
            if meter is not None:
                meter.feed(chunk)
            yield chunk
    except httpx2.HTTPError as error:
        lease.last_error = f"{type(error).__name__}: {error}"
        raise


def _presented(request: Request) -> str:
    bearer = request.headers.get("authorization", "")
    return request.headers.get("x-api-key") or bearer.removeprefix("Bearer ").strip()


async def _bounded_body(request: Request) -> bytes | None:
    """The body, or None as soon as it is larger than the API takes: it is never held whole."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST_BYTES:
            return None
    return bytes(body)


def _passed(request: Request) -> dict[str, str]:
    kept = {k: v for k, v in request.headers.items() if k not in _HOP_BY_HOP and not k.startswith("x-overnight-")}
    # The meter reads the bytes as they pass.
    return {**kept, "accept-encoding": "identity"}


def _authorized(request: Request, credential: Credential) -> dict[str, str]:
    secret = credential.secret.get_secret_value()
    if credential.kind == "api_key":
        return {"x-api-key": secret}
    if not credential.is_oauth:
        return {"authorization": f"Bearer {secret}"}
    betas = [b.strip() for b in request.headers.get("anthropic-beta", "").split(",") if b.strip()]
    wanted = betas if OAUTH_BETA in betas else [*betas, OAUTH_BETA]
    return {"authorization": f"Bearer {secret}", "anthropic-beta": ",".join(wanted)}


def _described(body: bytes) -> tuple[str, bool]:
    """Model and whether a stream is asked for."""
    try:
        asked = json.loads(body)
    except ValueError:
        return "", False
    return (str(asked.get("model") or ""), bool(asked.get("stream"))) if isinstance(asked, dict) else ("", False)


def _note_failure(lease: Lease, answer: httpx2.Response) -> None:
    """Remember what a refusal of the service said about limits."""
    lease.last_error = f"HTTP {answer.status_code}"
    if answer.status_code != 429:
        return
    reset = answer.headers.get("anthropic-ratelimit-unified-reset")
    wait = _seconds(answer.headers.get("retry-after"))
    rejected = answer.headers.get("anthropic-ratelimit-unified-status") == "rejected"
    if rejected or (wait is not None and wait > LONG_WAIT_SECONDS):
        lease.limited = True
        if reset and (seconds := _seconds(reset)):
            lease.resets_at = datetime.fromtimestamp(seconds, UTC)
        elif wait is not None:
            lease.resets_at = datetime.fromtimestamp(time.time() + wait, UTC)


LONG_WAIT_SECONDS = 60.0
"""A longer retry-after is a usage limit: Claude Code itself gives up on it, and the workflow waits."""


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _error(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse({"type": "error", "error": {"type": kind, "message": message}}, status_code=status)
