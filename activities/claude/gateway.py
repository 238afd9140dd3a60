"""The gateway: Claude Code's only way to a model. Adds the credential, meters every response, refuses when told to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2
import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from activities.claude.body import MAX_REQUEST_BYTES
from activities.claude.exchange import Exchange, refusal, refused
from activities.claude.lease import Failure, Lease
from activities.claude.listening import Listening
from activities.claude.upstream import NoWayError, open_client
from overnight.base.credentials import Credential
from workflows.contracts.outcome import NO_CREDENTIAL

__all__ = ["Gateway", "Lease"]

log = structlog.get_logger(__name__)

PATHS = ("/v1/messages", "/v1/messages/count_tokens")
SETTLE_SECONDS = 2.0
ONLY = "only"
"""The one token that a listener takes, where it belongs to one call."""
SHARED_CONNECTIONS = 512
"""To the port that boxes without a network of their own share."""
_RENEWAL_SECONDS = 0.1


class Gateway:
    """An endpoint inside the worker, on loopback and in every box that is open; it dies with the worker."""

    def __init__(self, find_credential: Callable[[], Credential | None]) -> None:
        self._find_credential = find_credential
        self._leases: dict[str, Lease] = {}
        self._listening = Listening(self._serve)
        self._client: httpx2.AsyncClient | None = None
        self._no_way = ""
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """Serve on a free port of 127.0.0.1 while the context lasts, for boxes that share the host's network."""
        try:
            self._client = open_client()
        except NoWayError as error:
            # A worker without a model still answers questions; each call tells what is wrong, and so does doctor.
            self._no_way = str(error)
            log.error("no way to a model", error=self._no_way)
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with self._listening.on(listener, connections=SHARED_CONNECTIONS):
                yield self
        finally:
            if self._client is not None:
                await self._client.aclose()

    def serving(self, listener: socket.socket, only: str | None = None) -> AbstractAsyncContextManager[None]:
        """Serve on a listening TCP socket too, such as one in a box's own network, while the context lasts.

        Any number at once. At the end the socket is closed, every connection to it, and every request on them.
        Meant for while the gateway is ``running``. Raises ``OSError`` if the socket does not listen.
        """
        return self._listening.on(listener, known={} if only is None else {ONLY: only})

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

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application: nothing gets past here that has no lease, or is none of the agent's business."""
        try:
            await self._answer(scope, receive, send)
        except Exception:
            log.exception("the gateway failed", path=scope.get("path"))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        token = _presented(headers)
        lease = self._leases.get(token)
        if lease is None or scope.get("state", {}).get(ONLY, token) != token:
            await refusal(403, "permission_error", "this call has ended or never was")(scope, receive, send)
            return
        if scope["method"] != "POST":
            await Response(status_code=200)(scope, receive, send)
            return
        credential = await self._current()
        if refusing := self._refusal(scope["path"], headers, lease, credential):
            await refusing(scope, receive, send)
        elif credential is not None and self._client is not None:
            await Exchange(self._client, lease, credential, scope, receive, send).run()

    def _refusal(self, path: str, headers: Headers, lease: Lease, credential: Credential | None) -> Response | None:
        """The answer to a request that goes no further; None for one that may wait for its turn."""
        if path not in PATHS:
            # Everything else that the credential opens (batches, files, ...) is none of the agent's business.
            return refusal(403, "permission_error", f"Overnight carries {' and '.join(PATHS)}, nothing else")
        if reason := lease.check():
            return refusal(403, "permission_error", refused(reason))
        if credential is None:
            lease.last_error = NO_CREDENTIAL
            lease.failure = Failure(401, lease.last_error)
            return refusal(401, "authentication_error", f"{NO_CREDENTIAL} for a model")
        if credential.direct:
            lease.last_error = f"the gateway does not carry {credential.kind}"
            lease.failure = Failure(403, lease.last_error)
            return refusal(403, "permission_error", f"with {credential.kind}, Claude Code asks the service itself")
        if self._client is None:
            lease.last_error = self._no_way
            lease.failure = Failure(403, self._no_way)
            return refusal(403, "permission_error", self._no_way)
        if lease.is_full:
            return refusal(429, "rate_limit_error", "too many requests of this call wait already")
        if int(headers.get("content-length", 0)) > MAX_REQUEST_BYTES:
            return refusal(413, "request_too_large", "the request is larger than the API takes")
        return None

    async def _current(self) -> Credential | None:
        if (found := self.credential) is not None:
            return found
        # A login may be read in the moment in which it is renewed.
        await asyncio.sleep(_RENEWAL_SECONDS)
        return self.credential


def _presented(headers: Headers) -> str:
    bearer = headers.get("authorization", "")
    return headers.get("x-api-key") or bearer.removeprefix("Bearer ").strip()
