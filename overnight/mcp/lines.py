"""Standard input and output as the protocol's transport: each line is a message, or is answered with what is wrong.

The SDK logs a line that it cannot read, and answers nothing: who sent it would wait for ever.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, BinaryIO, Protocol, cast

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError

from overnight.mcp import envelope

MAX_BYTES = 8_000_000
"""Of one line."""
_PIECE = 65_536
_IDENTITY = rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\\x00-\x1f]{0,200}")'
_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _IDENTITY + rb"\s*[,}]")
_LAST = re.compile(rb",\s*" + _IDENTITY + rb'(?:\s*,\s*"jsonrpc"\s*:\s*"2\.0")?\s*\}\s*\Z')
"""An object that ends the line is the message itself, not one within it."""
_ENDS = 400


class Serves(Protocol):
    """The SDK's server beneath ours."""

    def create_initialization_options(self) -> Any:
        """What it says of itself."""

    async def run(self, read_stream: Any, write_stream: Any, initialization_options: Any) -> None:
        """Answer until the client has gone."""


async def serve(server: Serves) -> None:
    """Serve the client at standard input and output. Raises ``BrokenPipeError``, in a group, when it reads no more."""
    lines = Lines(_claimed())
    async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (incoming, outgoing):
        lines.answering(outgoing.send)
        await server.run(incoming, outgoing, server.create_initialization_options())


class Lines:
    """The lines of a stream that are messages; the others are answered here."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._send: Any = None
        self._ready = anyio.Event()

    def answering(self, send: Any) -> None:
        """Where answers go to: ``send`` takes one message. Nothing is read before."""
        self._send = send
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[str]:
        await self._ready.wait()
        while line := await self._next(MAX_BYTES + 1):
            if len(line) > MAX_BYTES:
                whole = line
                while not whole.endswith(b"\n") and (piece := await self._next(_PIECE)):
                    whole = whole[:_ENDS] + whole[-_ENDS:] + piece
                much = f"The line is longer than {MAX_BYTES // 1_000_000} MB, the most that this server takes."
                await self._answer(identity(whole, cut=True), envelope.INVALID_REQUEST, much)
            elif line.strip():
                try:
                    check(line)
                except envelope.EnvelopeError as error:
                    await self._answer(identity(line), error.code, str(error))
                else:
                    yield line.decode("utf-8")

    async def _next(self, most: int) -> bytes:
        # Abandoned when the server ends: a client may hold its end open, and send nothing more.
        return await anyio.to_thread.run_sync(self._stream.readline, most, abandon_on_cancel=True)

    async def _answer(self, known: int | str | None, code: int, message: str) -> None:
        error = JSONRPCError(jsonrpc="2.0", id=known, error=ErrorData(code=code, message=message))
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._send(SessionMessage(error))


def check(line: bytes) -> None:
    """Raises ``envelope.EnvelopeError`` for a line that is not one message, in the SDK's eyes too."""
    envelope.check(line, "line")
    try:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError:
        raise envelope.EnvelopeError(envelope.INVALID_REQUEST, "The line is no message of JSON-RPC 2.0.") from None


def identity(line: bytes, *, cut: bool = False) -> int | str | None:
    """The id of a message with something amiss, as far as it can be read; ``cut`` when the line's middle is not there.

    A wrong one would end another request of the client, so that none is better.
    """
    if not cut and (known := envelope.identity(line)) is not None:
        return known
    found = _FIRST.match(line[:_ENDS])
    if found is None and (cut or line.count(b"{") == line.count(b"}")):
        found = _LAST.search(line[-_ENDS:])
    if found is None:
        return None
    try:
        text = found[1].decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text[1:-1] if text.startswith('"') else int(text)


def _claimed() -> BinaryIO:
    """Standard input for us alone: whoever else reads it finds its end. (The SDK does so for standard output.)"""
    ours = fcntl.fcntl(sys.stdin.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing != 0:
        os.close(nothing)
    return os.fdopen(ours, "rb", closefd=False)
