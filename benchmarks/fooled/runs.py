"""Trials, played: what Overnight made of each, and what the loops made of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fooled.loops import Looped, loop, session_of
from benchmarks.fooled.trial import Trial
from benchmarks.fooled.truth import wrong
from tests.sessions.conftest import Shop, git, open_shop, patiently
from workflows.contracts.status import SessionStatus

AT_ONCE = 2
SECONDS = 300
"""A trial that takes longer has come to grief."""


@dataclass(frozen=True)
class Played:
    """How a trial ended with Overnight."""

    status: SessionStatus
    told: str
    """What a person can read: status, events, report."""
    calls: list[list[str]]
    """The phases of the model calls of each iteration, in order."""
    wrong: list[str]
    """With what would be delivered."""

    @property
    def completed(self) -> bool:
        return self.status.status.value == "completed"

    @property
    def fooled(self) -> bool:
        return self.completed and bool(self.wrong)


@dataclass(frozen=True)
class Outcome:
    """One trial with everybody."""

    trial: Trial
    overnight: Played
    says: Looped
    passes: Looped

    @property
    def surprises(self) -> list[str]:
        """What is not as the trial says."""
        trial, seen = self.trial, self.overnight
        told = [f"nobody is told {words!r}" for words in trial.told if words not in seen.told]
        ends = (seen.status.status, seen.status.reason[: len(trial.reason)])
        expected = [
            ("end", ends, (trial.ends, trial.reason)),
            ("Overnight is fooled", seen.fooled, False),
            ("the loop that waits for a word is fooled", self.says.fooled, trial.says),
            ("the loop that waits for the tests is fooled", self.passes.fooled, trial.passes),
        ]
        if trial.phases is not None:
            expected.append(("model calls", [" ".join(phases) for phases in seen.calls], list(trial.phases)))
        return told + [f"{what}: {have}, not {want}" for what, have, want in expected if have != want]


async def everybody(trials: Sequence[Trial]) -> list[Outcome]:
    """Play trials with Overnight and with both loops; each in a folder of its own that goes with it."""
    limit = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="overnight-fooled-", ignore_cleanup_errors=True) as folder:
        place = await asyncio.to_thread(Path(folder).resolve)
        async with open_shop(place / "home") as shop:

            async def one(trial: Trial) -> Outcome:
                async with limit, asyncio.timeout(SECONDS):
                    return await _play(trial, shop, place / trial.name)

            return await asyncio.gather(*map(one, trials))


async def _play(trial: Trial, shop: Shop, place: Path) -> Outcome:
    overnight = await play(trial, shop, place)
    looped: list[Looped] = []
    for until in ("says", "passes"):
        shop.stage.plays[session_of(trial, until)] = trial.scenario()
        looped.append(await loop(trial, until, shop.model.url, place / until))
    return Outcome(trial, overnight, *looped)


async def play(trial: Trial, shop: Shop, place: Path) -> Played:
    """A session in a shop, up to its end or to where it waits for a person."""
    project = trial.write(place / "project")
    name = await shop.start(trial.scenario(), session_id=trial.name, **trial.options(project, place / "acceptance"))
    known = await shop.end(name)
    events = [event.text for event in (await patiently(lambda: shop.sessions.events(name))).events]
    report = await patiently(lambda: shop.sessions.report(name))
    told = "\n".join([known.reason, *known.tampering, *events, report])
    branch = await patiently(lambda: shop.sessions.branch(name))
    delivered = place / "delivered"
    git(place, "clone", "-q", "--branch", branch.branch, branch.vault, str(delivered))
    calls: defaultdict[int, list[str]] = defaultdict(list)
    for request in shop.model.requests:
        if request.session == name and request.turn == 0 and request.iteration:
            calls[request.iteration].append(request.phase)
    if not known.status.is_final:
        await patiently(lambda: shop.sessions.cancel(name))
        await shop.until(name, lambda s: s.status.is_final)
    ordered = [calls[number] for number in sorted(calls)]
    return Played(known, told, ordered, wrong(delivered, trial.cases, trial.tests))
