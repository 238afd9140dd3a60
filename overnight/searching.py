"""Looking through Temporal's list of sessions for words and projects, page by page."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from overnight.base.patience import left
from overnight.errors import UnreachableError
from overnight.exchange import CALL_SECONDS, Exchange
from overnight.offline import Cursor
from workflows.contracts.spec import project_key
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

PAGE = 100
"""Sessions that are looked through at once."""
PAGE_SECONDS = 0.3
"""What one such look may take."""
MAX_PAGES = 20


class Found(BaseModel):
    """Sessions that fit, newest first; ``cursor`` says where to go on, absent after the last."""

    sessions: list[SessionStatus]
    cursor: str | None = None
    total: int | None = None
    """How many fit in all; None when words were looked for, which Temporal does not count, or when it did not say."""


async def search(
    exchange: Exchange, *, status: Status | None, project: str | None, text: str, limit: int, cursor: str | None
) -> Found:
    """The newest sessions within reach that fit; see ``Sessions.search``."""
    where = project_key(project) if project else None
    looking = _look(exchange, status, where, text, limit, cursor)
    if text:
        return await looking
    found, total = await asyncio.gather(looking, _total(exchange, status, where))
    return found.model_copy(update={"total": total})


async def _total(exchange: Exchange, status: Status | None, where: str | None) -> int | None:
    """How many there are; a list is worth having without it, where Temporal is busy or does not count."""
    try:
        return await exchange.count(status, where)
    except UnreachableError:
        return None


async def _look(
    exchange: Exchange, status: Status | None, where: str | None, text: str, limit: int, cursor: str | None
) -> Found:
    at, wanted = Cursor.read(cursor), text.casefold()
    hits: list[SessionStatus] = []
    for _ in range(MAX_PAGES):
        page, following = await exchange.page(status, where, PAGE if wanted else limit, at.token)
        for n, known in enumerate(page[at.skip :], at.skip):
            if len(hits) == limit:
                return Found(sessions=hits, cursor=str(Cursor(at.token, n)))
            if not wanted or wanted in known.goal.casefold() or wanted in known.session_id:
                hits.append(known)
        at = Cursor(following)
        if not following or len(hits) == limit or left(CALL_SECONDS) < PAGE_SECONDS:
            break
    return Found(sessions=hits, cursor=str(at) if at.token else None)
