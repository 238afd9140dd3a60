"""One request on its way to the model's service, and the answer on its way back: both pass through, piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx2
import structlog
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from activities.claude.body import Body, BrokenError
from activities.claude.lease import Failure, Lease
from activities.claude.meter import Meter
from activities.claude.reach import reaches_out
from activities.claude.upstream import answered, failure, outgoing
from activities.claude.veil import Veil
from overnight.base.credentials import Credential
from workflows.contracts.outcome import Usage

log = structlog.get_logger(__name__)

MAX_ANSWER_BYTES = 100_000_000
"""The longest answer of any model is a fraction of this, the envelope of its events included."""
MAX_ERROR_BYTES = 1_000_000
SILENCE_SECONDS = 130.0
"""Without a byte of an answer that has begun. Claude Code itself gives up after 120 s."""
UNREAD_SECONDS = 60.0
"""For so long a piece of an answer may wait to be read."""
PATIENCE_SECONDS = 100.0
"""A client that goes away after so long a silence of the service gave it up; one that leaves sooner had no reason."""


def refusal(status: int, kind: str, message: str) -> JSONResponse:
    """An error of the API's form. 403 is the one that Claude Code does not retry."""
    return JSONResponse({"type": "error", "error": {"type": kind, "message": message}}, status_code=status)


def refused(reason: str) -> str:
    """What a client is told whose lease does not let it go on."""
    return f"Overnight refuses further requests of this call: {reason}"


class _GivenUpError(Exception):
    """The rest of an answer that has begun is not waited for; says why."""


class _UnreadError(_GivenUpError):
    """Whoever asked does not read the answer: nothing that the service did."""


class Exchange:
    """A request of a call that holds a lease, from its turn to the end of the answer."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        lease: Lease,
        credential: Credential,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._client = client
        self._lease = lease
        self._credential = credential
        self._scope, self._receive, self._send = scope, receive, send
        self._body = Body(receive)
        self._asked_at: float | None = None
        self._entry: int | None = None
        self._begun = False

    async def run(self) -> None:
        """Carry it, unless the lease is closed or the client goes away before. What it cost is on the lease then."""
        with self._lease.request():
            work = asyncio.create_task(self._in_turn())
            gone = asyncio.create_task(self._body.until_gone())
            tasks = {work, gone, asyncio.create_task(self._lease.closed.wait())}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                is_gone = gone.done()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            if is_gone:
                self._note_silence()
            if not work.cancelled():
                work.result()
            elif not self._begun and not is_gone:
                await self._refuse(403, "permission_error", "this call has ended")

    @property
    def _counts(self) -> bool:
        """Whether it asks for a message: how a call ends rests on nothing else."""
        path: str = self._scope["path"]
        return path.endswith("/messages")

    def _note(self, failed: Failure) -> None:
        self._lease.last_error = f"HTTP {failed.status}" if failed.status else failed.message
        if self._counts:
            self._lease.failure = failed

    def _note_silence(self) -> None:
        """The client has gone away: perhaps because the service was silent for too long."""
        if self._asked_at is None:
            return
        silent = time.monotonic() - max(self._asked_at, self._lease.last_byte)
        if silent >= PATIENCE_SECONDS:
            self._note(Failure(None, f"no byte of the model's service for {silent:.0f} s"))

    async def _refuse(self, status: int, kind: str, message: str) -> None:
        self._begun = True
        await refusal(status, kind, message)(self._scope, self._receive, self._send)

    async def _in_turn(self) -> None:
        # One at a time: what an answer cost must be known before the next request is let through.
        async with self._lease.turn:
            if reason := self._lease.check():
                await self._refuse(403, "permission_error", refused(reason))
                return
            if self._counts and (known := self._lease.failure) and known.limited:
                # Claude Code asks again where no time is stated: the limit is known, nobody need be asked.
                await self._refuse(429, "rate_limit_error", known.message or "a usage limit is reached")
                return
            try:
                body = await self._body.whole()
                if way_out := await asyncio.to_thread(reaches_out, body):
                    self._lease.last_error = f"refused: {way_out}"
                    await self._refuse(403, "permission_error", f"Overnight does not carry {way_out}")
                    return
                answer = await self._ask(body)
                async with aclosing(answer):
                    if answer.status_code < 300:
                        await self._hand_on(answer)
                    else:
                        await self._hand_on_failure(answer)
            except (httpx2.HTTPError, httpx2.InvalidURL, BrokenError, _GivenUpError, ValueError) as error:
                await self._failed(error)
            finally:
                # What was charged is settled already; what the service did not take costs nothing.
                self._settle(Usage())

    async def _ask(self, body: bytes) -> httpx2.Response:
        """Send the request. If its answer is not waited for, what it may cost is charged."""
        query = self._scope["query_string"].decode("latin-1")
        url = f"{self._credential.upstream}{self._scope['path']}"
        request = self._client.build_request(
            "POST",
            f"{url}?{query}" if query else url,
            headers=outgoing(Headers(scope=self._scope), self._credential, self._lease),
            content=body,
        )
        self._asked_at = time.monotonic()
        if self._counts and self._lease.ledger is not None:
            least = Meter(self._body.model(), streamed=True).usage(prompt_bytes=self._body.size)
            self._entry = self._lease.ledger.begin(least.cost_usd)
        try:
            return await self._client.send(request, stream=True)
        except (httpx2.ReadTimeout, asyncio.CancelledError):
            if self._body.is_whole.is_set():
                self._charge(Meter(streamed=True))
            raise

    async def _hand_on(self, answer: httpx2.Response) -> None:
        """Send the answer as it comes, shown to the meter as it passes."""
        meter = Meter(streamed="json" not in answer.headers.get("content-type", ""))
        veil = Veil(self._credential.secrets)
        self._lease.answered |= self._counts
        try:
            await self._begin(answer)
            async for piece in self._pieces(answer, MAX_ANSWER_BYTES):
                meter.feed(piece)
                if meter.model:
                    self._body.forget()
                if shown := veil.show(piece):
                    await self._pass(shown, more=True)
            if rest := veil.rest():
                await self._pass(rest, more=True)
        finally:
            self._charge(meter)
        if self._counts:
            self._lease.failure = None if meter.is_final else Failure(None, "an answer without its end")
        # The client sees the end when the charge is made: its next request finds it.
        await self._pass(b"", more=False)

    async def _hand_on_failure(self, answer: httpx2.Response) -> None:
        if answer.status_code < 400:
            # To follow would hand the credential to whoever is named there.
            target = answer.headers.get("location", "")[:200]
            message = f"the model's service redirects to {target!r}; ANTHROPIC_BASE_URL must name the service itself"
            self._note(Failure(403, message))
            await self._refuse(403, "permission_error", message)
            return
        said = bytearray()
        async for piece in self._pieces(answer, MAX_ERROR_BYTES):
            said += piece
        # A service may quote what it refuses.
        veil = Veil(self._credential.secrets)
        text = veil.show(bytes(said)) + veil.rest()
        self._note(failure(answer.status_code, answer.headers, text))
        await self._begin(answer)
        await self._pass(text, more=False)

    async def _pieces(self, answer: httpx2.Response, most: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises ``_GivenUpError`` for silence and for more than ``most`` bytes."""
        compressed = answer.headers.get("content-encoding", "identity") != "identity"
        pieces = answer.aiter_bytes() if compressed else answer.aiter_raw()
        size = 0
        while True:
            self._lease.last_byte = time.monotonic()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise _GivenUpError(f"no byte for {SILENCE_SECONDS:.0f} s") from None
            if piece is None:
                return
            size += len(piece)
            if size > most:
                raise _GivenUpError(f"an answer of more than {most} bytes")
            yield piece

    async def _begin(self, answer: httpx2.Response) -> None:
        self._begun = True
        headers = answered(answer.headers, self._credential.secrets)
        await self._send({"type": "http.response.start", "status": answer.status_code, "headers": headers})

    async def _pass(self, piece: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            raise _UnreadError(f"nobody read the answer for {UNREAD_SECONDS:.0f} s") from None

    def _charge(self, meter: Meter) -> None:
        if not self._counts:
            return
        if not meter.model:
            meter.model = self._body.model()
        used = meter.usage(prompt_bytes=self._body.size)
        self._lease.usage = self._lease.usage + used
        self._settle(used)

    def _settle(self, used: Usage) -> None:
        if self._entry is not None and self._lease.ledger is not None:
            self._lease.ledger.end(self._entry, used)

    async def _failed(self, error: Exception) -> None:
        """Say it to the client, if it has heard nothing yet; else only the end of the connection tells."""
        match error:
            case BrokenError():
                status, kind, message = error.status, "invalid_request_error", str(error)
            case httpx2.ReadTimeout():
                status, kind, message = 504, "api_error", "the model's service did not begin to answer in time"
            case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
                status, kind, message = 403, "permission_error", "ANTHROPIC_BASE_URL is no address of a service"
            case _:
                status, kind, message = 502, "api_error", "the model's service cannot be reached"
        # What could not be sent may be quoted in the error, headers included.
        quotes = isinstance(error, httpx2.LocalProtocolError | ValueError)
        said = type(error).__name__ if quotes else f"{type(error).__name__}: {error}"
        if isinstance(error, BrokenError | _UnreadError):  # which an agent can have as often as it likes
            self._lease.last_error = said
        else:
            self._note(Failure(None if self._begun else status, message))
            self._lease.last_error = said
            log.warning("a request to the model failed", error=said, begun=self._begun)
        if not self._begun:
            await self._refuse(status, kind, message)
