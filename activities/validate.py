"""validate: run the checks on a commit, and report what was observed. Pure on the commit: a retry runs them again."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from temporalio import activity

from activities.asking import LOCK_SECONDS
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.sandbox import Box, NotIsolatedError
from activities.validation import Observed, SetupMark, observe
from activities.workspace import (
    SecretFound,
    Worktree,
    give_agent_git,
    materialise,
    remove,
    restore_tracked,
    secrets_between,
    session_lock,
    tame,
    untracked,
)
from overnight.base.redaction import NOT_EXAMINED
from workflows.contracts.evidence import CommandEvidence
from workflows.contracts.outcome import MAX_OBSERVED, CallReport, Outcome
from workflows.contracts.requests import Check, ValidateRequest, ValidateResult
from workflows.policy.criteria import SECRETS, SETUP


@dataclass(frozen=True)
class Validate:
    host: Host

    @activity.defn(name="validate")
    async def run(self, request: ValidateRequest) -> ValidateResult:
        """Evidence of every check on the commit, in the worktree or in a clean clone, after the setup command."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

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
                run = _Run(attempt, request, commit, box, scratch)
                setup, seen = await self._observe(run, worktree)
                await asyncio.to_thread(tame, box.workspace)
                seen += await self._secrets(run, worktree)
        except NotIsolatedError as error:
            return ValidateResult(outcome=Outcome.ENGINE_BROKEN, detail=str(error))
        notes = list(dict.fromkeys(run.notes))
        common = CallReport(
            outcome=Outcome.INTERRUPTED if attempt.stop.is_set() else Outcome.COMPLETED,
            detail=attempt.why,
            seconds=time.monotonic() - started,
            notes=notes[:MAX_OBSERVED],
            more_notes=len(notes[MAX_OBSERVED:]),
            sandbox=self.host.sandbox(request.site),
        )
        if common.outcome is Outcome.INTERRUPTED:
            return ValidateResult(**dict(common))
        return ValidateResult(**dict(common), evidence=seen, setup=setup)

    async def _box(self, request: ValidateRequest, worktree: Worktree, folder: Path, stack: AsyncExitStack) -> Box:
        """The worktree at the commit, or a checkout in which nothing else ever was."""
        objects = self.host.launcher.objects(worktree.objects)
        if not request.clean:
            await give_agent_git(worktree, objects)
            return self.host.box(request.site, worktree, writable=True)
        await asyncio.to_thread(_remove_left_over, folder)
        clean = Path(tempfile.mkdtemp(prefix="clean-", dir=folder))
        stack.push_async_callback(asyncio.to_thread, remove, clean)
        await materialise(worktree, worktree.commit, clean, objects_path=objects)
        return replace(self.host.box(request.site, worktree, writable=True), workspace=clean)

    async def _observe(self, run: _Run, worktree: Worktree) -> tuple[CommandEvidence | None, list[CommandEvidence]]:
        request, attempt = run.request, run.attempt
        setup: CommandEvidence | None = None
        done = SetupMark(worktree.folder / "setup.json", run.box.workspace)
        if request.setup_command and (request.clean or not done.holds(request.setup_command)):
            attempt.doing = "setup"
            setup = await self._one(run, Check(criterion=SETUP, command=request.setup_command))
            if not request.clean and setup.exit_code == 0:
                done.write(request.setup_command, await untracked(worktree))
        seen: list[CommandEvidence] = []
        for check in request.checks:
            if attempt.stop.is_set():
                break
            attempt.doing = check.criterion
            await restore_tracked(worktree, run.commit, run.box.workspace)
            seen.append(await self._one(run, check))
        return setup, seen

    async def _secrets(self, run: _Run, worktree: Worktree) -> list[CommandEvidence]:
        """Evidence against a commit that adds secrets, or places where one was taken out."""
        base = run.request.base
        if base is None or base == run.commit or run.attempt.stop.is_set():
            return []
        found = await secrets_between(worktree, base, run.commit, self.host.redactor)
        if not found:
            return []
        lines = [_told(secret) for secret in found]
        told = "\n".join(lines)
        run.notes += [f"delivery stopped, {line}" for line in lines]
        log = run.scratch / "secrets.log"
        log.write_text(told)
        return [
            CommandEvidence(
                criterion=SECRETS,
                commit=run.commit,
                clean=run.request.clean,
                exit_code=1,
                tail=told,
                log=await asyncio.to_thread(self.host.artifacts.put_file, log),
            )
        ]

    async def _one(self, run: _Run, check: Check) -> CommandEvidence:
        observed: Observed = await observe(
            self.host.launcher,
            run.box,
            check.command,
            seconds=run.request.seconds,
            scratch=run.scratch,
            stop=run.attempt.stop,
            redactor=self.host.redactor,
        )
        run.notes += [f"{check.criterion}: {note}" for note in observed.notes]
        return CommandEvidence(
            criterion=check.criterion,
            commit=run.commit,
            clean=run.request.clean,
            exit_code=observed.exit_code,
            timed_out=observed.timed_out,
            seconds=observed.seconds,
            rate=observed.rate,
            tail=observed.tail,
            log=await asyncio.to_thread(self.host.artifacts.put_file, observed.log),
        )


@dataclass
class _Run:
    """One validation under way."""

    attempt: Attempt
    request: ValidateRequest
    commit: str
    box: Box
    scratch: Path
    notes: list[str] = field(default_factory=list)


def _told(found: SecretFound) -> str:
    if found.rule == NOT_EXAMINED:
        return f"{found.path} could not be examined for secrets"
    return f"a secret in {found.path}:{found.line}: {found.rule}{' (taken out: mend the code)' if found.marked else ''}"


def _remove_left_over(folder: Path) -> None:
    """Remove clean clones that a killed worker left: the session's lock says that nobody uses them."""
    for left in folder.glob("clean-*"):
        with suppress(OSError, subprocess.SubprocessError):
            remove(left)
