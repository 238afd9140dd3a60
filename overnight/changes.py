"""What a session changed: its branch, and the differences between commits of it, asked of a worker."""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import BaseModel

from overnight.errors import InvalidRequestError, UnreachableError
from overnight.exchange import FAR_SECONDS, Exchange
from workflows.contracts.reads import BranchAnswer, BranchQuestion, DiffAnswer, DiffQuestion
from workflows.contracts.requests import Site
from workflows.contracts.spec import SessionSpec
from workflows.contracts.status import SessionStatus

Since = Literal["start", "last_iteration"]


class Branch(BaseModel):
    """A session with its branch, as a worker sees it."""

    spec: SessionSpec
    status: SessionStatus
    branch: BranchAnswer


class Comparison(BaseModel):
    """What changed between two commits of a session's branch; no commits where there is no work yet."""

    base: str | None = None
    head: str | None = None
    answer: DiffAnswer = DiffAnswer()


class Changes:
    """Branch and differences. Every error is a ``SessionError`` in words."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def branch(self, session_id: str) -> Branch:
        """The session's branch. Raises ``UnreachableError`` where the worker that answers does not have it."""
        spec = await self._exchange.spec(session_id)
        site = Site(session_id=spec.session_id, project=spec.project, commit=spec.project.commit)
        status, branch = await asyncio.gather(
            self._exchange.status(session_id),
            self._exchange.read("read_branch", BranchQuestion(site=site), BranchAnswer, longest=FAR_SECONDS),
        )
        _here(status, branch)
        return Branch(spec=spec, status=status, branch=branch)

    async def compare(
        self,
        session_id: str,
        *,
        since: Since = "start",
        ends: tuple[str, str] | None = None,
        path: str | None = None,
        stat: bool = False,
        first_file: int = 0,
        first_line: int = 0,
    ) -> Comparison:
        """What the session changed since it began or with its last iteration, from some file and line on.

        ``ends`` are the commits of an earlier answer: more of the same, though the session went on. Raises
        ``InvalidRequestError`` when they are none of this session's, ``UnreachableError`` without a worker.
        """
        if path is not None and "\0" in path:
            raise InvalidRequestError("path: it has a zero byte in it, which no path has")
        found = await self.branch(session_id)
        spec, branch = found.spec, found.branch
        # The oldest that is listed is the first only of a short branch: for a worker of an older version.
        start = spec.project.commit or branch.base or (branch.commits[-1].commit if branch.commits else None)
        if ends is not None:
            own = {start, *(line.commit for line in branch.commits)}
            if not own.issuperset(ends):
                raise InvalidRequestError(
                    "cursor: it is none of this session's, or too old; leave it out to begin anew"
                )
            pair: tuple[str | None, str | None] = ends
        else:
            newest = found.status.commit or branch.own
            pair = (start if since == "start" else _before(branch, newest) or start), newest
        base, head = pair
        if base is None or head is None or base == head:
            return Comparison()
        site = Site(session_id=session_id, project=spec.project, commit=head)
        question = DiffQuestion(
            site=site, base=base, head=head, path=path, stat=stat, first_file=first_file, first_line=first_line
        )
        answer = await self._exchange.read("read_diff", question, DiffAnswer, longest=FAR_SECONDS)
        return Comparison(base=base, head=head, answer=answer)


def _here(status: SessionStatus, branch: BranchAnswer) -> None:
    """Raises ``UnreachableError`` for a session whose commits are not in the vault that was looked into."""
    if status.committed and not branch.commits:
        raise UnreachableError(
            f"the work of {status.session_id} is not in the vault of the worker that answered ({branch.vault}): another"
            " host holds it, in a vault of its own. Ask again while only that host's worker runs; for the next"
            " sessions, start all workers with the same OVERNIGHT_VAULT_URL (docs/operations.md, Several hosts)"
        )


def _before(branch: BranchAnswer, head: str | None) -> str | None:
    """The commit that the last iteration began with, if the branch tells."""
    lines = iter(branch.commits)
    last = next((line for line in lines if line.commit == head), None)
    if last is None or last.iteration is None:
        return None
    return next((line.commit for line in lines if line.iteration is not None and line.iteration < last.iteration), None)
