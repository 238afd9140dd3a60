"""One check on a commit, as evidence: run whole, and step by step where failed tests are within the threshold."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from activities.attempt import Attempt
from activities.host import Host
from activities.sandbox import Box
from activities.validation import Observed, listed, observe, steps_of
from workflows.contracts.evidence import ArtifactRef, CommandEvidence, Fingerprint
from workflows.contracts.requests import Check, ValidateRequest
from workflows.policy.criteria import SETUP
from workflows.policy.fingerprint import HEAD_BYTES, TAIL_BYTES, fingerprint
from workflows.policy.rates import explains, holds, rate, together

FELL = "It held, and then did not, on the same files"


@dataclass
class Checking:
    """The checks of one validation, one after the other in one workspace."""

    host: Host
    attempt: Attempt
    request: ValidateRequest
    commit: str
    box: Box
    scratch: Path
    notes: list[str] = field(default_factory=list)
    """What a person should know of the runs so far."""

    async def setup(self, command: str) -> CommandEvidence:
        """The setup command; it tests nothing. Raises ``NotIsolatedError`` and ``OSError``."""
        ran = await self._run(SETUP, command, tests=False)
        return await self._evidence(SETUP, ran, nothing_after=False)

    async def in_a_row(
        self, once: Callable[[], Awaitable[CommandEvidence]], restore: Callable[[], Awaitable[None]]
    ) -> CommandEvidence:
        """What ``once`` comes to each time, as often as the request wants: the first that does not hold, or the worst.

        ``restore`` puts the files back before each further run.
        """
        seen = await once()
        request, worst, seconds, done = self.request, seen, seen.seconds, 1
        while holds(seen, request.threshold) and not self.attempt.stop.is_set():
            if done >= request.passes and (done >= request.quick_passes or seconds >= request.quick_seconds):
                break
            await restore()
            seen = await once()
            seconds, done = seconds + seen.seconds, done + 1
            worst = min(worst, seen, key=lambda e: (holds(e, request.threshold), e.rate))
        if done == 1:
            return seen
        if not holds(seen, request.threshold) and not self.attempt.stop.is_set():
            told = f"{FELL}: run {done} in a row."
            self.notes.append(f"{seen.criterion}: {told}")
            worst = worst.model_copy(update={"tail": f"{told}\n{worst.tail}"})
        return worst.model_copy(update={"seconds": seconds})

    async def once(self, check: Check) -> CommandEvidence:
        """The command, verbatim and as a whole, whatever it joins. Raises ``NotIsolatedError`` and ``OSError``."""
        return await self._evidence(
            check.criterion, await self._run(check.criterion, check.command), nothing_after=False
        )

    async def check(self, check: Check, restore: Callable[[], Awaitable[None]]) -> CommandEvidence:
        """The command, verbatim. Raises ``NotIsolatedError`` and ``OSError``.

        Where ``A && B`` stopped at A because of failed tests within the threshold, nobody knows of B. Then, on files
        that ``restore`` put back, A and B are run as steps, each for as long as the one before it holds.
        """
        steps = steps_of(check.command)
        ran = await self._run(check.criterion, check.command)
        seen = await self._evidence(check.criterion, ran, nothing_after=steps.nothing_after)
        if len(steps.parts) == 1 or seen.exit_code == 0:
            return seen
        if not holds(seen, self.request.threshold) or self.attempt.stop.is_set():
            return seen.model_copy(update={"explained": False})
        await restore()
        return await self._by_steps(check.criterion, steps.parts)

    async def _by_steps(self, criterion: str, parts: list[str]) -> CommandEvidence:
        """Each step in a box of its own; home and /tmp are those of the step before it."""
        private = Path(tempfile.mkdtemp(prefix="steps-", dir=self.scratch))
        box, left = replace(self.box, private=private), self.request.seconds
        runs: list[tuple[str, Observed]] = []
        seen: list[CommandEvidence] = []
        for part in parts:
            ran = await self._run(criterion, part, box=box, seconds=left)
            runs.append((part, ran))
            seen.append(await self._evidence(criterion, ran, nothing_after=True))
            left = max(1.0, left - ran.seconds)
            if not holds(seen[-1], self.request.threshold) or self.attempt.stop.is_set():
                break
        self.notes.append(f"{criterion}: failed tests were within the threshold, so its steps were run one by one")
        return together(seen, len(parts)).model_copy(
            update={
                "tests": await asyncio.to_thread(self._list, *(ran for _, ran in runs)),
                "log": await asyncio.to_thread(self._joined, runs),
            }
        )

    async def _run(
        self,
        criterion: str,
        command: str,
        *,
        tests: bool = True,
        box: Box | None = None,
        seconds: float | None = None,
    ) -> Observed:
        ran = await observe(
            self.host.launcher,
            box or self.box,
            command,
            seconds=seconds or self.request.seconds,
            scratch=self.scratch,
            stop=self.attempt.stop,
            redactor=self.host.redactor,
            tests=tests,
        )
        self.notes += [f"{criterion}: {note}" for note in ran.notes]
        return ran

    async def _evidence(self, criterion: str, ran: Observed, *, nothing_after: bool) -> CommandEvidence:
        counted, redacted = ran.counted, self.host.redactor.text
        tally = counted.tally.model_copy(update={"failing": [redacted(name) for name in counted.tally.failing]})
        log = await asyncio.to_thread(self.host.artifacts.put_file, ran.log)
        return CommandEvidence(
            criterion=criterion,
            commit=self.commit,
            clean=self.request.clean,
            exit_code=ran.exit_code,
            explained=explains(ran.exit_code, tally, whole=counted.whole and nothing_after),
            timed_out=ran.timed_out,
            seconds=ran.seconds,
            rate=min(rate(ran.exit_code, tally), counted.lowest),
            tally=tally,
            tests=await asyncio.to_thread(self._list, ran),
            tail=ran.tail,
            log=log,
            fingerprint=None if ran.exit_code == 0 else await asyncio.to_thread(self._recognised, log),
        )

    def _recognised(self, log: ArtifactRef) -> Fingerprint:
        """The failure, from the output as it is stored: without secrets."""
        return fingerprint(self.host.artifacts.text(log, head=HEAD_BYTES, tail=TAIL_BYTES))

    def _list(self, *runs: Observed) -> ArtifactRef | None:
        """All tests of these runs as an artifact; of a test that ran twice, the later outcome."""
        tests = {test: outcome for ran in runs for test, outcome in ran.counted.tests.items()}
        return self.host.artifacts.put_bytes(listed(tests)) if tests else None

    def _joined(self, runs: list[tuple[str, Observed]]) -> ArtifactRef:
        """The logs of all steps as one artifact, each under its command."""
        joined = self.scratch / f"{uuid4().hex}.log"
        with joined.open("wb") as target:
            for command, ran in runs:
                target.write(f"$ {command}\n".encode())
                with ran.log.open("rb") as log:
                    shutil.copyfileobj(log, target)
                target.write(b"\n")
        return self.host.artifacts.put_file(joined)
