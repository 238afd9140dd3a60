"""validate: run the checks on a commit, and report what was observed. Pure on the commit: a retry runs them again."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from temporalio import activity

from activities.asking import LOCK_SECONDS
from activities.attempt import Attempt, attend
from activities.checking import FELL, Checking
from activities.guarding import Watch, anew, compare_tests, hold_to_baseline, lost_lists, of_baseline
from activities.holding_out import prepare, taken_away
from activities.host import Host
from activities.sandbox import Box, EgressRules, NotIsolatedError
from activities.validation import SetupMark
from activities.validation.held_out import NONE_RAN, counts_its_tests, told, without
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
from workflows.contracts.evidence import MAX_NOTICED, MAX_TAMPERING, CommandEvidence
from workflows.contracts.outcome import MAX_OBSERVED, CallReport, Outcome
from workflows.contracts.plan import MAX_CRITERIA
from workflows.contracts.requests import Check, HeldOutCheck, ValidateRequest, ValidateResult
from workflows.contracts.tamper import KnownTests
from workflows.contracts.text import clip
from workflows.policy.criteria import SECRETS, before_work
from workflows.policy.tamper import HELD_OUT

HELD_OUT_BYTES = 200_000
"""The part of their output in which failures of held-out checks are looked for."""


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
                watch = await Watch.over(worktree, request.guard, commit) if request.guard else None
                run = Checking(self.host, attempt, request, commit, box, scratch)
                run.notes += watch.reported[:MAX_OBSERVED] if watch else []
                setup, seen = await self._observe(run, worktree, watch, folder, stack)
                await asyncio.to_thread(tame, box.workspace)
                known = await self._known(run, worktree, folder, stack)
                if request.guard is not None:
                    seen = await hold_to_baseline(self.host, request.guard, known, seen, run.notes.append)
                guarded = await self._guard(run, watch, seen, known)
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
        if commit == request.base and not request.clean:
            seen = before_work(seen)
        return ValidateResult(**dict(common), evidence=seen, setup=setup, **guarded)

    async def _box(self, request: ValidateRequest, worktree: Worktree, folder: Path, stack: AsyncExitStack) -> Box:
        """The worktree at the commit, or a checkout in which nothing else ever was."""
        objects = self.host.launcher.objects(worktree.objects)
        if not request.clean:
            await give_agent_git(worktree, objects)
            return self.host.box(request.site, worktree, writable=True)
        await asyncio.to_thread(_remove_left_over, folder)
        clean = await self._clean(worktree, worktree.commit, folder, stack)
        return replace(self.host.box(request.site, worktree, writable=True), workspace=clean)

    async def _clean(self, worktree: Worktree, commit: str, folder: Path, stack: AsyncExitStack) -> Path:
        """A checkout of its own, for as long as ``stack`` is open."""
        clean = Path(tempfile.mkdtemp(prefix="clean-", dir=folder))
        stack.push_async_callback(asyncio.to_thread, remove, clean)
        await materialise(worktree, commit, clean, objects_path=self.host.launcher.objects(worktree.objects))
        return clean

    async def _observe(
        self, run: Checking, worktree: Worktree, watch: Watch | None, folder: Path, stack: AsyncExitStack
    ) -> tuple[CommandEvidence | None, list[CommandEvidence]]:
        request, attempt = run.request, run.attempt
        setup: CommandEvidence | None = None
        done = SetupMark(worktree.folder / "setup.json", run.box.workspace)
        if request.setup_command and (request.clean or not done.holds(request.setup_command)):
            attempt.doing = "setup"
            setup = await run.setup(request.setup_command)
            if not request.clean and setup.exit_code == 0:
                done.write(request.setup_command, await untracked(worktree))
        seen: list[CommandEvidence] = []
        if request.held_out is not None and not attempt.stop.is_set():
            attempt.doing = HELD_OUT
            seen.append(await self._held_out(run, worktree, watch, request.held_out))
        restore = partial(self._restore, run, worktree, watch)
        for check in request.checks:
            if attempt.stop.is_set():
                break
            attempt.doing = check.criterion
            await restore()
            ran = await run.in_a_row(partial(run.check, check, restore), restore)
            if not request.clean and _is_silent(ran, request.known_tests) and not attempt.stop.is_set():
                run.notes.append(f"{check.criterion}: no test was seen to run, so it was run again in a clean clone")
                apart = await self._apart(run, worktree, run.commit, folder, stack)
                ran = await apart.check(check, partial(self._restore, apart, worktree, watch))
            seen.append(ran)
        return setup, seen

    async def _apart(
        self, run: Checking, worktree: Worktree, commit: str, folder: Path, stack: AsyncExitStack
    ) -> Checking:
        """The same checks in a clean clone of ``commit``, after the setup command."""
        place = await self._clean(worktree, commit, folder, stack)
        apart = replace(run, commit=commit, box=replace(run.box, workspace=place), notes=[])
        if run.request.setup_command:
            await apart.setup(run.request.setup_command)
        return apart

    async def _restore(self, run: Checking, worktree: Worktree, watch: Watch | None) -> None:
        """The checkout as it was committed, without what would steer the checks."""
        await restore_tracked(worktree, run.commit, run.box.workspace)
        if watch is not None:
            await watch.clear(run.box.workspace, run.notes.append)

    async def _held_out(
        self, run: Checking, worktree: Worktree, watch: Watch | None, check: HeldOutCheck
    ) -> CommandEvidence:
        """Checks that the agent never sees, without network: what they test must not send them anywhere."""
        await self._restore(run, worktree, watch)
        base = run.request.guard.base if run.request.guard else run.request.base or run.commit
        files, taken = await prepare(self.host, worktree, check, run.box.workspace, base, run.commit)
        alone = replace(run, box=replace(run.box, egress=EgressRules("none")), notes=[])

        async def again() -> None:
            for path in files:
                await asyncio.to_thread(remove, run.box.workspace / check.target / path)
            await self._restore(run, worktree, watch)
            await prepare(self.host, worktree, check, run.box.workspace, base, run.commit)

        ran = await alone.in_a_row(partial(alone.once, Check(criterion=HELD_OUT, command=check.command)), again)
        # Of what else was noted while they ran, the agent's own reflection would be told.
        run.notes += [*taken_away(taken), *(note for note in alone.notes if FELL in note)]
        unnamed = ran.tally.model_copy(update={"failing": []})
        hidden: dict[str, Any] = {"tests": None, "tally": unnamed, "steps": [], "fingerprint": None}
        if ran.no_tests and counts_its_tests(check.command):
            run.notes.append(f"{HELD_OUT}: exit code 0, but no test was seen to run")
            return ran.model_copy(update={"rate": 0.0, "tail": NONE_RAN + without(taken), "log": None, **hidden})
        if ran.exit_code == 0 or ran.log is None:
            return ran.model_copy(update={"tail": "", "log": None, **hidden})
        run.notes.append(f"{HELD_OUT}: its whole output is the artifact {ran.log.sha256[:16]}")
        output = await asyncio.to_thread(self.host.artifacts.text, ran.log, head=0, tail=HELD_OUT_BYTES)
        said = told(check.tells, ran.tail if check.tells == "full" else output, files)
        shown = {} if check.tells == "full" else {"log": None, **hidden}
        return ran.model_copy(update={"tail": clip(said + without(taken), 400), **shown})

    async def _known(self, run: Checking, worktree: Worktree, folder: Path, stack: AsyncExitStack) -> list[KnownTests]:
        """The tests that are known; where a list was lost, by running its checks on the base commit once more."""
        request = run.request
        known, guard = request.known_tests, request.guard
        if guard is None or request.held_out is not None or not (lost := await lost_lists(self.host, known)):
            return known
        run.attempt.doing = "checks on the base commit, whose list of tests is lost"
        watch = await Watch.over(worktree, guard, guard.base)
        base = await self._apart(run, worktree, guard.base, folder, stack)
        seen: list[CommandEvidence] = []
        restore = partial(self._restore, base, worktree, watch)
        for check in request.checks:
            if check.criterion in lost and not run.attempt.stop.is_set():
                await restore()
                seen.append(await base.check(check, restore))
        made, told = await anew(self.host, guard, known, lost, seen, watch)
        run.notes += told
        return made

    async def _guard(
        self, run: Checking, watch: Watch | None, seen: list[CommandEvidence], earlier: list[KnownTests]
    ) -> dict[str, Any]:
        """What stands against the commit, however well its commands hold."""
        request = run.request
        if request.guard is None or watch is None or request.held_out is not None or run.attempt.stop.is_set():
            return {}
        if request.returned:
            earlier = await of_baseline(self.host, earlier)
        missing, more, known = await compare_tests(self.host, request.guard, earlier, seen, watch)
        found = [*watch.standing, *missing]
        return {
            "tampering": found[:MAX_TAMPERING],
            "noticed": watch.reported[:MAX_NOTICED],
            "more_tampering": more + len(found[MAX_TAMPERING:]),
            "known_tests": known[:MAX_CRITERIA],
        }

    async def _secrets(self, run: Checking, worktree: Worktree) -> list[CommandEvidence]:
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


def _is_silent(ran: CommandEvidence, known: list[KnownTests]) -> bool:
    """Whether it ended well and said nothing of tests, though tests ran before the work.

    A build may find that there is nothing to do, for the agent has run them: that is not what Overnight saw.
    """
    ran_before = any(one.criterion == ran.criterion and one.ran for one in known)
    return ran_before and ran.no_tests and ran.tally.source == "exit"


def _told(found: SecretFound) -> str:
    if found.rule == NOT_EXAMINED:
        return f"{found.path} could not be examined for secrets"
    return f"a secret in {found.path}:{found.line}: {found.rule}{' (taken out: mend the code)' if found.marked else ''}"


def _remove_left_over(folder: Path) -> None:
    """Remove clean clones that a killed worker left: the session's lock says that nobody uses them."""
    for left in folder.glob("clean-*"):
        with suppress(OSError, subprocess.SubprocessError):
            remove(left)
