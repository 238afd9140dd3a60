"""From settings to ``Sessions``: the person's own Temporal if one is configured, else the embedded stack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.client import Client

from overnight.base.settings import Settings
from overnight.base.temporal import connect, is_external
from overnight.base.version import VERSION
from overnight.client import Sessions
from overnight.errors import UnreachableError
from overnight.stack import Stack, StackError, ensure_up, find


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
                f"the Temporal that is configured (TEMPORAL_ADDRESS or profile) does not answer: {error};"
                " check it, or unset it to use the embedded one"
            ) from None
        return Connection(Sessions(client, settings, ui_url=settings.ui_url), None)
    if not need_worker and (served := await _served(settings)) is not None:
        return served
    try:
        stack = await asyncio.to_thread(ensure_up, settings, wait_seconds=wait_seconds, on_progress=on_progress)
        client = await connect(stack.address, stack.namespace)
    except StackError as error:
        raise UnreachableError(str(error)) from None
    except RuntimeError as error:
        raise UnreachableError(f"the embedded Temporal at {settings.home} does not answer: {error}") from None
    return _on(stack, client, settings)


async def _served(settings: Settings) -> Connection | None:
    """The embedded stack as it is, if a supervisor looks after it and its server answers."""
    stack = find(settings)
    if stack is None or stack.supervisor is None or stack.server is None or stack.stopping or not stack.proven:
        return None
    try:
        return _on(stack, await connect(stack.address, stack.namespace), settings)
    except RuntimeError:
        return None


def _on(stack: Stack, client: Client, settings: Settings) -> Connection:
    notice = ""
    if stack.version != VERSION:
        notice = (
            f"the running stack is version {stack.version}, this is {VERSION};"
            " to renew it: overnight down && overnight up"
        )
    return Connection(Sessions(client, settings, ui_url=stack.ui_url), stack, notice)
