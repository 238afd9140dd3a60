"""A request's body on its way through the gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from starlette.types import Receive

MAX_REQUEST_BYTES = 40_000_000
"""The API itself takes 32 MB."""
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_MODEL_WITHIN = 65_536
"""Claude Code names it first; to read all of what an agent sends would hold up the worker."""
BODY_SECONDS = 60.0
"""For so long, all in all, the gateway waits for the pieces of a request."""


class BrokenError(Exception):
    """The client did not bring its request to an end within the bounds."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status that tells it."""


class Body:
    """A request's body, handed on as it comes. Remembered only until it is known which model answers.

    An answer may be cut off before that is known, and then the estimate of its cost needs the model asked for.
    """

    def __init__(self, receive: Receive) -> None:
        self.size = 0
        """Bytes so far."""
        self.is_whole = asyncio.Event()
        self._receive = receive
        self._pieces: list[bytes] = []
        self._patience = BODY_SECONDS

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces. Raises ``BrokenError``."""
        loop = asyncio.get_running_loop()
        while not self.is_whole.is_set():
            began = loop.time()
            try:
                async with asyncio.timeout(self._patience):
                    message = await self._receive()
            except TimeoutError:
                raise self._broken(408, "the request did not come to an end in time") from None
            self._patience -= loop.time() - began
            if message["type"] == "http.disconnect":
                raise self._broken(400, "the client went away before its request was whole")
            piece: bytes = message.get("body", b"")
            self.size += len(piece)
            if self.size > MAX_REQUEST_BYTES:
                raise self._broken(413, "the request is larger than the API takes")
            self._pieces.append(piece)
            if not message.get("more_body", False):
                self.is_whole.set()
            if piece:
                yield piece

    async def whole(self) -> bytes:
        """All of it. Raises ``BrokenError``."""
        async for _ in self:
            continue
        return b"".join(self._pieces)

    async def until_gone(self) -> None:
        """Returns when the client has gone away after its request was whole."""
        await self.is_whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def forget(self) -> None:
        """Let go of what passed."""
        self._pieces.clear()

    def model(self) -> str:
        """The model that it asks for; empty if it names none, or is forgotten."""
        named = _MODEL.search(b"".join(self._pieces)[:_MODEL_WITHIN])
        return named[1].decode("ascii", "replace") if named else ""

    def _broken(self, status: int, message: str) -> BrokenError:
        self.forget()
        return BrokenError(status, message)
