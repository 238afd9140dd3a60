"""From settings to ``Sessions``: the person's own Temporal if one is configured, else the embedded stack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio.client import Client

from overnight.base.patience import WORDLESS_SECONDS
from overnight.base.settings import Settings
from overnight.base.temporal import connect, is_external
from overnight.base.version import VERSION
from overnight.client import Sessions
from overnight.errors import UnreachableError
from overnight.stack import WAITING, Stack, StackError, ensure_up, find

T = TypeVar("T")

ANSWER_SECONDS = 4.0
"""What a server that runs has to answer in, before whoever only looks waits once as long and is told that it hangs."""


@dataclass(frozen=True)
class Connection:
    """Sessions, and what they run on."""

    sessions: Sessions
    stack: Stack | None
    """The embedded stack; None with a Temporal of the person's own."""
    notice: str = ""
    """Something that the person should know, for example a stack of another version."""


async def open_connection(
    settings: Settings,
    *,
    wait_seconds: float = 30,
    on_progress: Callable[[str], None] | None = None,
    need_worker: bool = True,
) -> Connection:
    """Connect; starts the embedded stack when it is not up. Raises ``UnreachableError`` in words.

    Without ``need_worker`` a server that runs is enough: what Temporal itself knows can be had while a worker is down.
    """
    if is_external():
        try:
            client = await connect()
        except (RuntimeError, ValueError) as error:
            raise UnreachableError(
                f"the Temporal that is configured (TEMPORAL_ADDRESS or profile) cannot be used: {error};"
                " check it, or unset it to use the embedded one"
            ) from None
        return Connection(Sessions(client, settings, ui_url=settings.ui_url), None)
    running = _running(settings)
    told = _Told(on_progress)
    if not need_worker and running is not None:
        if (found := await _worded(_served(running, settings), told)) is not None:
            return found
        # It hangs, or is about to end: its supervisor restarts it, but whoever only looks is not to wait for that.
        wait_seconds = min(wait_seconds, ANSWER_SECONDS)
    try:
        starting = asyncio.to_thread(ensure_up, settings, wait_seconds=wait_seconds, on_progress=told)
        stack = await (starting if running is None else _worded(starting, told))
        client = await connect(stack.address, stack.namespace)
    except StackError as error:
        raise UnreachableError(str(error)) from None
    except RuntimeError as error:
        raise UnreachableError(f"the embedded Temporal at {settings.home} does not answer: {error}") from None
    return _on(stack, client, settings)


async def served(settings: Settings) -> Connection | None:
    """The embedded stack as it is, if a supervisor looks after it and its server answers."""
    stack = _running(settings)
    return await _served(stack, settings) if stack is not None else None


def _running(settings: Settings) -> Stack | None:
    """The embedded stack, if a supervisor looks after it and its server runs."""
    stack = find(settings)
    if stack is None or stack.supervisor is None or stack.server is None or stack.stopping or not stack.proven:
        return None
    return stack


class _Told:
    """Progress that a person reads: each stage once, though several steps in a row may tell the same."""

    def __init__(self, on_progress: Callable[[str], None] | None) -> None:
        self._tell = on_progress
        self.last = ""

    def __call__(self, stage: str) -> None:
        if self._tell is not None and stage != self.last:
            self._tell(stage)
        self.last = stage


async def _worded(work: Coroutine[Any, Any, T], told: _Told) -> T:
    """What ``work`` comes to. Whoever waits long for a server that runs is told so, where nothing else was told."""
    looking = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({looking}, timeout=WORDLESS_SECONDS)
        if not done and not told.last:
            told(WAITING)
        return await looking
    finally:
        looking.cancel()


async def _served(stack: Stack, settings: Settings) -> Connection | None:
    """The embedded stack as it is, if its server answers."""
    try:
        client = await asyncio.wait_for(connect(stack.address, stack.namespace), ANSWER_SECONDS)
        return _on(stack, client, settings)
    except (RuntimeError, TimeoutError):
        return None


def _on(stack: Stack, client: Client, settings: Settings) -> Connection:
    notice = ""
    if stack.version != VERSION:
        notice = (
            f"the running stack is version {stack.version}, this is {VERSION};"
            " to renew it: overnight down && overnight up"
        )
    return Connection(Sessions(client, settings, ui_url=stack.ui_url), stack, notice)
