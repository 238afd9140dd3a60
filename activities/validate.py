"""validate: run the checks on a commit, and report what was observed. Pure on the commit: a retry runs them again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from temporalio import activity

from activities.asking import LOCK_SECONDS
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.sandbox import Box, NotIsolatedError
from activities.validation import Observed, SetupMark, observe
from activities.workspace import Worktree, give_agent_git, materialise, restore_tracked, session_lock, untracked
from workflows.contracts.evidence import CommandEvidence
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import Check, ValidateRequest, ValidateResult
from workflows.policy.criteria import SETUP


@dataclass(frozen=True)
class Validate:
    host: Host

    @activity.defn(name="validate")
    async def run(self, request: ValidateRequest) -> ValidateResult:
        """Evidence of every check on the commit, in the worktree or in a clean clone, after the setup command."""
        return await attend(lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: ValidateRequest) -> ValidateResult:
        started = time.monotonic()
        commit = await self.host.base(request.site)
        try:
            async with AsyncExitStack() as stack:
                folder = self.host.folder(request.site.session_id)
                await stack.enter_async_context(session_lock(folder, limit_s=LOCK_SECONDS))
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overnight-checks-")))
                worktree = await self.host.worktree(request.site, commit)
                box = await self._box(request, worktree, folder, stack)
                setup, seen = await self._observe(attempt, request, worktree, box, scratch)
        except NotIsolatedError as error:
            return ValidateResult(outcome=Outcome.ENGINE_BROKEN, detail=str(error))
        seconds = time.monotonic() - started
        if attempt.stop.is_set():
            return ValidateResult(outcome=Outcome.INTERRUPTED, detail=attempt.why, seconds=seconds)
        return ValidateResult(outcome=Outcome.COMPLETED, evidence=seen, setup=setup, seconds=seconds)

    async def _box(self, request: ValidateRequest, worktree: Worktree, folder: Path, stack: AsyncExitStack) -> Box:
        """The worktree at the commit, or a checkout in which nothing else ever was."""
        objects = self.host.launcher.objects(worktree.objects)
        if not request.clean:
            await give_agent_git(worktree, objects)
            return self.host.box(worktree, writable=True)
        await asyncio.to_thread(_remove_left_over, folder)
        clean = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clean-", dir=folder)))
        await materialise(worktree, worktree.commit, clean, objects_path=objects)
        return Box(workspace=clean, objects=worktree.objects)

    async def _observe(
        self, attempt: Attempt, request: ValidateRequest, worktree: Worktree, box: Box, scratch: Path
    ) -> tuple[CommandEvidence | None, list[CommandEvidence]]:
        commit = worktree.commit
        setup: CommandEvidence | None = None
        done = SetupMark(worktree.folder / "setup.json", box.workspace)
        if request.setup_command and (request.clean or not done.holds(request.setup_command)):
            attempt.doing = "setup"
            setup = await self._one(
                attempt, request, commit, box, Check(criterion=SETUP, command=request.setup_command), scratch
            )
            if not request.clean and setup.exit_code == 0:
                done.write(request.setup_command, await untracked(worktree))
        seen: list[CommandEvidence] = []
        for check in request.checks:
            if attempt.stop.is_set():
                break
            attempt.doing = check.criterion
            await restore_tracked(worktree, commit, box.workspace)
            seen.append(await self._one(attempt, request, commit, box, check, scratch))
        return setup, seen

    async def _one(
        self, attempt: Attempt, request: ValidateRequest, commit: str, box: Box, check: Check, scratch: Path
    ) -> CommandEvidence:
        observed: Observed = await observe(
            self.host.launcher, box, check.command, seconds=request.seconds, scratch=scratch, stop=attempt.stop
        )
        return CommandEvidence(
            criterion=check.criterion,
            commit=commit,
            clean=request.clean,
            exit_code=observed.exit_code,
            timed_out=observed.timed_out,
            seconds=observed.seconds,
            rate=observed.rate,
            tail=observed.tail,
            log=self.host.artifacts.put_file(observed.log),
        )


def _remove_left_over(folder: Path) -> None:
    """Remove clean clones that a killed worker left: the session's lock says that nobody uses them."""
    for left in folder.glob("clean-*"):
        shutil.rmtree(left, ignore_errors=True)
