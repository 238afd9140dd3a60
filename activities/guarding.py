"""The tamper guard at work: a checkpoint with what decides success as the base has it, and what stands against it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from activities.artifacts import ArtifactLostError
from activities.host import Host
from activities.validation import Rules, tests_seen
from activities.workspace import (
    Checkpoint,
    TreeChange,
    TreeEntry,
    Worktree,
    diff,
    files_naming,
    loose_files,
    put_back,
    read_blobs,
    remove,
    tree_changes,
    tree_of,
)
from workflows.contracts.evidence import MAX_TAMPERING, ArtifactRef, CommandEvidence, Tampering
from workflows.contracts.tamper import Guard, KnownTests
from workflows.policy.rates import holds, tolerated
from workflows.policy.tamper import fewer, in_words, remember, vanished
from workflows.policy.words import counted

_READ_BYTES = 1_000_000
_DIFF_BYTES = 60_000
_LEVELS = 5


@dataclass(frozen=True)
class Guarded:
    """A checkpoint, and what was put back in it."""

    made: Checkpoint
    tampering: list[Tampering] = field(default_factory=list)
    diff: ArtifactRef | None = None
    """What was put back, as a diff from the base's content to the agent's."""

    @property
    def told(self) -> list[Tampering]:
        return self.tampering[:MAX_TAMPERING]

    @property
    def more(self) -> int:
        return len(self.tampering[MAX_TAMPERING:])


async def guarded(host: Host, worktree: Worktree, made: Checkpoint, guard: Guard | None) -> Guarded:
    """The checkpoint of this execute with every protected file as the base commit has it. Raises GitError.

    What is compared comes from git's own objects, of which the agent can write none that count.
    """
    if guard is None or not (changes := await tree_changes(worktree, guard.base, made.commit)):
        return Guarded(made)
    base = await tree_of(worktree, guard.base)
    rules = await _rules(worktree, guard, base, changes)
    blobs = await _contents(worktree, rules, changes, made.commit)
    found = await asyncio.to_thread(lambda: list(rules.found(changes, blobs)))
    if not found:
        return Guarded(made)
    restored = await put_back(worktree, made, {path: base.get(path) for path, _ in found})
    taken = await diff(worktree, restored.commit, made.commit, max_bytes=_DIFF_BYTES)
    kept = await asyncio.to_thread(host.artifacts.put_bytes, host.redactor.text(taken.patch).encode())
    return Guarded(restored, [tampering for _, tampering in found], kept)


@dataclass(frozen=True)
class Watch:
    """The guard of a checkout in which commands run."""

    rules: Rules
    base: dict[str, TreeEntry]
    tracked: dict[str, TreeEntry]
    changes: list[TreeChange]
    standing: list[Tampering]
    """What speaks against the commit as it is."""
    reported: list[str] = field(default_factory=list)
    """What a person should look at, and what stands against nothing."""

    @classmethod
    async def over(cls, worktree: Worktree, guard: Guard, commit: str) -> Watch:
        """Compare the commit with the base. Raises GitError."""
        base, tracked = await tree_of(worktree, guard.base), await tree_of(worktree, commit)
        changes = await tree_changes(worktree, guard.base, commit)
        rules = await _rules(worktree, guard, base, changes)
        blobs = await _contents(worktree, rules, changes, commit)
        standing = await asyncio.to_thread(
            lambda: [*(t for _, t in rules.found(changes, blobs)), *rules.lost_assertions(changes, blobs)]
        )
        return cls(rules, base, tracked, changes, standing, list(rules.reported(changes, blobs)))

    async def clear(self, folder: Path, note: Callable[[str], None]) -> None:
        """Take away what is in no commit and would steer the checks: left by a setup, a check, or the agent."""
        for tampering in await asyncio.to_thread(self._clear, folder):
            note(f"taken away before the checks: {in_words(tampering)}")

    def _clear(self, folder: Path) -> list[Tampering]:
        loose, compiled = loose_files(folder, self.tracked)
        for path in compiled:
            # Python takes what is compiled for the source when its header says so, whatever the source has become.
            remove(folder / path)
        found = list(self.rules.shadows(loose, lambda path: _read(folder / path)))
        for path, _ in found:
            remove(folder / path)
        return [tampering for _, tampering in found]

    def freed(self) -> list[str]:
        """Files that the goal asks to change, and that were changed: tests in them may go."""
        return [c.path for c in self.changes if c.before is not None and self.rules.lets_tests_go(c.path)]


def _read(path: Path) -> bytes:
    """The beginning of an ordinary file that is no link; empty for anything else."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(_READ_BYTES)
    except OSError:
        return b""


async def _rules(worktree: Worktree, guard: Guard, base: dict[str, TreeEntry], changes: list[TreeChange]) -> Rules:
    """The rules, with what the frozen commands run read a few levels deep: a Makefile names the script that checks."""
    texts: dict[str, bytes] = {}
    for _ in range(_LEVELS):
        wanted = {path: base[path].blob for path in Rules(guard, base, texts).runs if path not in texts}
        if not wanted:
            break
        blobs = await read_blobs(worktree, guard.base, wanted.values(), max_bytes=_READ_BYTES)
        texts |= {path: blobs.get(blob, b"") for path, blob in wanted.items()}
    rules = Rules(guard, base, texts)
    return rules.knowing(await files_naming(worktree, guard.base, rules.asks(changes)))


async def _contents(worktree: Worktree, rules: Rules, changes: list[TreeChange], commit: str) -> dict[str, bytes]:
    entries = [entry for change in changes if rules.reads(change) for entry in (change.before, change.after)]
    entries += rules.conftests(changes)
    blobs = [entry.blob for entry in entries if entry is not None and not entry.is_submodule]
    return await read_blobs(worktree, commit, blobs, max_bytes=_READ_BYTES)


async def hold_to_baseline(
    host: Host, guard: Guard, known: list[KnownTests], evidence: list[CommandEvidence], note: Callable[[str], None]
) -> list[CommandEvidence]:
    """The evidence, with no failed test tolerated for the sake of tests that were added. Raises ``ArtifactError``."""
    before = {one.criterion: one for one in known}
    held: list[CommandEvidence] = []
    for ran in evidence:
        earlier = before.get(ran.criterion)
        if earlier is None or not ran.tally.failed or ran.commit == guard.base:
            held.append(ran)
            continue
        failed = ran.tally.failed
        if earlier.tests and ran.tests:
            base = tests_seen.known(await asyncio.to_thread(_bytes, host, earlier.tests))
            seen = tests_seen.listed(await asyncio.to_thread(_bytes, host, ran.tests))
            failed = sum(how == "failed" and test in base and base[test].base for test, how in seen.items())
        held.append(tolerated(ran, failed, earlier.ran, guard.threshold))
        if held[-1].rate < ran.rate:
            note(
                f"{ran.criterion}: {counted(failed, 'failed test')} of {earlier.ran} that ran before the work is too"
                " many; tests that were added since buy no tolerance"
            )
    return held


async def compare_tests(
    host: Host, guard: Guard, known: list[KnownTests], evidence: list[CommandEvidence], watch: Watch
) -> tuple[list[Tampering], int, list[KnownTests]]:
    """Tests that vanished or became skipped, how many more there are, and every test that is known now.

    Only a command that holds can be fooled by them: one that fails, fails. Raises ``ArtifactError``.
    """
    before = {one.criterion: one for one in known}
    found: list[Tampering] = []
    more = 0
    for ran in evidence:
        if ran.exit_code is None or ran.timed_out:
            continue
        baseline, held = ran.commit == guard.base, holds(ran, guard.threshold)
        earlier = before.get(ran.criterion) or KnownTests(criterion=ran.criterion)
        if baseline:
            earlier = earlier.model_copy(update={"ran": ran.tally.ran, "skipped": ran.tally.skipped})
        before[ran.criterion] = earlier
        if ran.tests is None:
            found += fewer(earlier, ran.tally) if held else []
            continue
        seen = tests_seen.listed(await asyncio.to_thread(_bytes, host, ran.tests))
        tests = tests_seen.known(await asyncio.to_thread(_bytes, host, earlier.tests)) if earlier.tests else {}
        missing, further = vanished(tests, seen, watch.freed()) if held else ([], 0)
        if held and not missing and not earlier.tests:
            missing = fewer(earlier, ran.tally)
        found, more = [*found, *missing], more + further
        remembered = remember(tests, _tests_of(ran, seen), baseline=baseline, accepted=held and not missing)
        stored = await asyncio.to_thread(host.artifacts.put_bytes, tests_seen.dumped(remembered))
        before[ran.criterion] = earlier.model_copy(update={"tests": stored})
    return found[:MAX_TAMPERING], more + len(found[MAX_TAMPERING:]), [*before.values()]


async def lost_lists(host: Host, known: list[KnownTests]) -> list[str]:
    """Criteria whose list of tests is in the store no more. Raises ``ArtifactError`` where no store can be used."""
    lost: list[str] = []
    for one in known:
        try:
            if one.tests is not None:
                await asyncio.to_thread(_bytes, host, one.tests)
        except ArtifactLostError:
            lost.append(one.criterion)
    return lost


async def anew(
    host: Host, guard: Guard, known: list[KnownTests], lost: list[str], evidence: list[CommandEvidence], watch: Watch
) -> tuple[list[KnownTests], list[str]]:
    """``known`` with what ``evidence`` on the base commit shows in the place of ``lost`` lists; what became of each.

    Where the base names no test, tests are only counted from here on. Raises ``ArtifactError``.
    """
    kept = [one.model_copy(update={"tests": None}) if one.criterion in lost else one for one in known]
    _, _, made = await compare_tests(host, guard, kept, evidence, watch)
    named = {one.criterion for one in made if one.tests is not None}
    counts = {one.criterion: one for one in known}
    # A run that is cut short may count fewer tests than the baseline did.
    made = [
        one.model_copy(update={"ran": max(one.ran, before.ran), "skipped": before.skipped})
        if one.criterion in lost and (before := counts.get(one.criterion))
        else one
        for one in made
    ]
    return made, [
        f"{criterion}: the list of its tests is not in the artifact store any more; "
        + ("it was made anew from the base commit" if criterion in named else "its tests are only counted from here on")
        for criterion in lost
    ]


def _tests_of(ran: CommandEvidence, seen: dict[str, str]) -> dict[str, str]:
    """What of ``seen`` are tests: where not only failed tests ended a run, what failed may be a file not loaded."""
    whole = ran.exit_code == 0 or ran.explained
    return {test: outcome for test, outcome in seen.items() if whole or outcome != "failed"}


async def of_baseline(host: Host, known: list[KnownTests]) -> list[KnownTests]:
    """What the baseline had of ``known``, without what the session added. Raises ``ArtifactError``."""
    return [await asyncio.to_thread(_of_baseline, host, one) for one in known]


def _of_baseline(host: Host, known: KnownTests) -> KnownTests:
    if known.tests is None:
        return known
    base = {test: seen for test, seen in tests_seen.known(_bytes(host, known.tests)).items() if seen.base}
    return known.model_copy(update={"tests": host.artifacts.put_bytes(tests_seen.dumped(base))})


def _bytes(host: Host, ref: ArtifactRef) -> bytes:
    return host.artifacts.get(ref) if ref.size_bytes <= tests_seen.MAX_BYTES else b""
