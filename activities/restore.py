"""restore: to another tree, with one more commit on the session's branch; fork: branches for approaches."""

from __future__ import annotations

import time
from dataclasses import dataclass

from temporalio import activity

from activities.asking import LOCK_SECONDS
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.workspace import (
    Checkpoint,
    Vault,
    checkpoint_of_iteration,
    find_published,
    import_base,
    publish,
    restore,
    session_lock,
)
from workflows.contracts import requests
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import ForkRequest, ForkResult, RestoreRequest, RestoreResult


@dataclass(frozen=True)
class Restore:
    host: Host

    @activity.defn(name="restore")
    async def run(self, request: RestoreRequest) -> RestoreResult:
        """The workspace and the branch at an earlier tree. A retry adopts the commit whose completion was lost."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: RestoreRequest) -> RestoreResult:
        site, began = request.site, time.monotonic()
        start = await self.host.base(site)
        attempt.doing = request.subject
        async with session_lock(self.host.folder(site.session_id), limit_s=LOCK_SECONDS):
            vault = await self.host.vault(site.project)
            to = request.to or await self._of_iteration(vault, request, start)
            if to is None:
                detail = f"iteration {request.iteration} left no checkpoint of its own on the branch"
                return RestoreResult(outcome=Outcome.NO_ANSWER, detail=detail, host=self.host.id)
            made = await find_published(vault, site.session_id, site.iteration, request.step, start)
            if made is None:
                worktree = await self.host.worktree(site, start)
                made = await restore(
                    worktree,
                    vault,
                    to,
                    session_id=site.session_id,
                    iteration=site.iteration,
                    step=request.step,
                    subject=request.subject,
                )
                await publish(worktree, vault, made.commit, start)
        return RestoreResult(
            outcome=Outcome.COMPLETED,
            seconds=time.monotonic() - began,
            host=self.host.id,
            checkpoint=_contract(made, to, site.iteration),
        )

    async def _of_iteration(self, vault: Vault, request: RestoreRequest, head: str) -> str | None:
        if not request.iteration:
            return request.base
        return await checkpoint_of_iteration(
            vault, request.site.session_id, request.iteration, base=request.base, head=head
        )


@dataclass(frozen=True)
class Fork:
    host: Host

    @activity.defn(name="fork")
    async def run(self, request: ForkRequest) -> ForkResult:
        """A branch for each session, at the commit. Those that are there already, from an earlier attempt, stay."""
        return await attend(self.host, lambda attempt: self._work(request))

    async def _work(self, request: ForkRequest) -> ForkResult:
        vault = await self.host.vault(request.site.project)
        for session_id in request.sessions:
            await import_base(vault, session_id, None, request.commit)
        return ForkResult(outcome=Outcome.COMPLETED, host=self.host.id)


def _contract(made: Checkpoint, to: str, iteration: int) -> requests.Checkpoint:
    return requests.Checkpoint(
        commit=made.commit, tree=made.tree, parent=to, iteration=iteration, changed_files=made.changed_files
    )
