"""Work in progress of an execute: taken up where an earlier attempt left it, and kept while it goes on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from activities.attempt import Attempt
from activities.claude import Transcript
from activities.ended import Ended
from activities.gathering import gathered
from activities.host import Host
from activities.workspace import (
    Claim,
    Conflict,
    GitError,
    Snapshot,
    Vault,
    VaultAwayError,
    Worktree,
    claim,
    ensure_worktree,
    follow_up,
    made_for,
    restore_transcript,
    restore_work,
    take_snapshot,
    tidy,
)
from overnight.base.redaction import Redactor
from workflows.contracts.requests import ExecuteRequest, Site

log = structlog.get_logger(__name__)

LOST = "AttemptLost"
"""Type of the failure of an attempt whose place a later one has taken."""


@dataclass
class Work:
    """An execute's worktree with what was done in it, the right to publish it, and its conversation."""

    vault: Vault
    worktree: Worktree
    held: Claim
    said: Transcript
    resumed: bool
    """Whether the conversation goes on."""
    as_left: bool = False
    """The workspace is as an earlier attempt on this host left it."""

    async def keep(self, pack: Path, redactor: Redactor) -> None:
        """Keep what was gathered. Raises ``Conflict``, ``GitError``, ``OSError``, ``ValueError``."""
        async with _copy_of(self.said) as transcript:
            self.held = await take_snapshot(self.held, pack, transcript=transcript, redactor=redactor)

    async def to_follow(self, commit: str, redactor: Redactor) -> str:
        """What is to be kept when ``commit`` is published and the same step goes on from it."""
        async with _copy_of(self.said) as transcript:
            return await follow_up(self.held, commit, transcript=transcript, redactor=redactor)


def partial(step: str) -> str:
    """The step's name in the trailer of a checkpoint that it did not finish: whoever adopts it must go on."""
    return f"{step}.partial"


async def take_up(
    host: Host, request: ExecuteRequest, vault: Vault, start: str, said: Transcript, ended: Ended
) -> Work:
    """Claim the step, and go on with what an earlier attempt at it left: here, or on another host as last kept.

    A workspace in which nobody has begun this step yet is brought to ``start``. Raises ``Conflict``, ``GitError``,
    ``OSError``.
    """
    site = request.site
    folder = host.folder(site.session_id)
    worktree = await ensure_worktree(folder, vault, site.session_id, start, keep_changes=True)
    for repository in (worktree.git_dir, *(() if vault.remote else (vault.git_dir,))):
        with suppress(GitError):
            # Each snapshot leaves objects of its own.
            await tidy(repository)
    held, left = await claim(worktree, vault, iteration=site.iteration, step=request.step, host=host.id)
    here = left is not None and left.host == host.id
    # Where the claim of an earlier attempt is not legible, its conversation on this host tells that it was here. Where
    # it is gone, as from a vault that was put back from a copy, that its call ended or its commit was made does.
    begun = (
        left is None
        and worktree.kept
        and (
            (held.rebuilt and await asyncio.to_thread(said.is_usable))
            or await ended.told() is not None
            or await made_for(worktree, site.iteration, request.step, partial(request.step))
        )
    )
    as_left = begun or (here and worktree.kept)
    if left is None and not begun:
        worktree = await ensure_worktree(folder, vault, site.session_id, start, keep_changes=False)
    elif left is not None and not as_left:
        await restore_work(worktree, vault, left)
    if left is not None and not (here and await asyncio.to_thread(said.is_usable)):
        await _restore_conversation(vault, left, said)
    work = Work(vault, worktree, held, said, await asyncio.to_thread(said.is_usable), as_left)
    if left is not None and not here:
        # What was another host's is this one's now, before anything is done on top of it.
        await _keep(host, site, work, asyncio.Event())
    return work


async def _restore_conversation(vault: Vault, left: Snapshot, said: Transcript) -> None:
    """Without a transcript the work goes on from a brief: it is a cache. Raises ``VaultAwayError``."""
    await asyncio.to_thread(said.drop)
    if not left.has_transcript:
        return
    with tempfile.TemporaryDirectory(prefix="transcript-") as place:
        path = Path(place) / "transcript.jsonl"
        try:
            await restore_transcript(vault, left, path)
            await asyncio.to_thread(said.put, path)
        except VaultAwayError:
            raise
        except (GitError, OSError) as error:
            log.warning("the conversation is lost, the work goes on from a brief", error=str(error))


@asynccontextmanager
async def kept(host: Host, attempt: Attempt, site: Site, work: Work) -> AsyncIterator[None]:
    """Keep the work every ``snapshot_seconds`` as long as the context lasts; a lost claim ends the attempt."""
    over = asyncio.Event()
    keeping = asyncio.create_task(_go_on_keeping(host, attempt, site, work, over))
    try:
        yield
    finally:
        over.set()
        # One under way may have moved the hidden ref already: what it brings is needed for publishing.
        await keeping


async def _go_on_keeping(host: Host, attempt: Attempt, site: Site, work: Work, over: asyncio.Event) -> None:
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), host.settings.snapshot_seconds)
        except TimeoutError:
            try:
                await _keep(host, site, work, over)
            except Conflict:
                attempt.halt("a later attempt has taken this one's place", lost=True)
                return


async def _keep(host: Host, site: Site, work: Work, over: asyncio.Event) -> None:
    """Keep what there is now, as far as that goes: it costs nobody the work. Raises ``Conflict``.

    When the call is over before the workspace is read, nobody waits for it: its checkpoint comes now.
    """
    try:
        async with AsyncExitStack() as stack:
            gathering = asyncio.create_task(stack.enter_async_context(gathered(host, site, work.worktree)))
            ended = asyncio.create_task(over.wait())
            await asyncio.wait({gathering, ended}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if gathering.done():
                await work.keep(gathering.result(), host.redactor)
            else:
                gathering.cancel()
                await asyncio.wait({gathering})
    except Conflict:
        raise
    except Exception as error:
        log.warning("the work in progress could not be kept this time", error=str(error))


@asynccontextmanager
async def _copy_of(said: Transcript) -> AsyncIterator[Path | None]:
    """A copy of what is whole of a transcript, which Claude Code may be writing; None when there is none."""
    with tempfile.TemporaryDirectory(prefix="transcript-") as place:
        path = Path(place) / "transcript.jsonl"
        yield path if await asyncio.to_thread(said.copy_to, path) else None
