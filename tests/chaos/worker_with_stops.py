"""Overnight's worker as it is, but that it stops, beats and all, at places where a test says so with a file.

``<session>.<place>`` in the folder ``CHAOS_STOPS`` holds a session at that place; ``….reached`` tells that it is there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import activities.workspace
from activities.knowledge import Knowledge
from workflows.contracts.knowledge import LearnRequest, LearnResult

STOPS = Path(os.environ.get("CHAOS_STOPS", "."))


async def stop(place: str | None, session: str) -> None:
    """Wait at ``place`` while it is held."""
    held = STOPS / f"{session}.{place}"
    if place is None or not held.exists():
        return
    (STOPS / f"{session}.{place}.reached").touch()
    while held.exists():
        await asyncio.sleep(0.02)


def session_of(subject: Any) -> str:
    """The session that a call of Overnight's git is about, told by its argument."""
    return subject if isinstance(subject, str) else getattr(subject, "worktree", subject).session_id


def stopping(
    work: Callable[..., Awaitable[Any]], *, before: str | None = None, after: str | None = None, subject: int = 0
) -> Callable[..., Awaitable[Any]]:
    """``work`` with a place to stop before it, or one after it; its argument number ``subject`` tells the session."""

    async def stopped(*args: Any, **more: Any) -> Any:
        session = session_of(args[subject])
        await stop(before, session)
        result = await work(*args, **more)
        await stop(after, session)
        return result

    return stopped


def learned(work: Callable[[Knowledge, LearnRequest], LearnResult]) -> Callable[[Knowledge, LearnRequest], LearnResult]:
    """``work``, which a thread does, with a place to stop when what a session taught is written."""

    def stopped(self: Knowledge, request: LearnRequest) -> LearnResult:
        kept = work(self, request)
        if request.learnings:
            asyncio.run(stop("learned", request.session_id))
        return kept

    return stopped


if __name__ == "__main__":
    knows: Any = Knowledge
    knows.learn = learned(knows.learn)
    # Before anybody has imported them by name.
    published: Any = activities.workspace
    published.import_base = stopping(published.import_base, after="imported", subject=1)
    published.checkpoint = stopping(published.checkpoint, before="commit")
    published.publish = stopping(published.publish, before="publish", after="published")
    published.take_snapshot = stopping(published.take_snapshot, after="kept")
    inside: Any = sys.modules["activities.workspace.checkpoint"]
    inside.set_head = stopping(inside.set_head, before="head")
    import worker

    worker.main()
