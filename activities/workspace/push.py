"""Moving refs of a vault: all or none, each only from where it is expected to be."""

import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from .away import VaultAwayError, reaching
from .git import LONG_S, GitError, git
from .lock import writing
from .vault import Vault, has_commit, hold_commit, tip

log = structlog.get_logger(__name__)

_STALE_LOCK_S = 60.0
_BAD_OBJECT = re.compile(r"bad object (refs/\S+)")
_WORK = re.compile(r"refs/overnight/[\w.-]+/work", re.ASCII)


@dataclass(frozen=True, slots=True)
class Move:
    """A ref from the commit `expected` there (None: nothing) to the commit `new` (None: it is deleted)."""

    ref: str
    expected: str | None
    new: str | None


async def push(vault: Vault, git_dir: Path, *moves: Move) -> frozenset[str]:
    """Move these refs of the vault, all or none, to commits that `git_dir` has.

    A hidden ref of work in progress that nobody can read any more, whosesoever it is, would block every push: it goes,
    and counts as not there. Returns which went. Raises GitError, VaultAwayError.
    """
    gone: set[str] = set()
    while True:
        wanted = [replace(move, expected=None) if move.ref in gone else move for move in moves]
        try:
            await _push(vault, git_dir, wanted)
        except VaultAwayError:
            raise
        except GitError as error:
            # git names the first that stands in its way; one of our own it may only call stale.
            named = {*_BAD_OBJECT.findall(error.said), *(move.ref for move in moves)} - gone
            refs = {ref for ref in sorted(named) if _WORK.fullmatch(ref) and await _drop(vault, ref)}
            if not refs:
                raise
            gone |= refs
        else:
            return frozenset(gone)


async def _push(vault: Vault, git_dir: Path, moves: Iterable[Move]) -> None:
    # No `+` before a commit: it would override the lease.
    wanted = [move for move in moves if move.expected or move.new]
    leases = [f"--force-with-lease={move.ref}:{move.expected or ''}" for move in wanted]
    specs = [f"{move.new or ''}:{move.ref}" for move in wanted]
    async with _writing(vault):
        with reaching(vault.remote):
            await git(
                *("push", "--quiet", "--atomic", *leases, "--", vault.address, *specs),
                git_dir=git_dir,
                transports=vault.transports,
                limit_s=LONG_S,
            )


async def _drop(vault: Vault, ref: str) -> bool:
    """Delete a hidden ref of the vault when it leads to no commit. Tells whether it did. Raises VaultAwayError."""
    if vault.remote:
        return await _drop_there(vault, ref)
    if not (vault.git_dir / ref).exists() and await tip(vault, ref) is None:
        return False
    try:
        await git("cat-file", "-e", f"{ref}^{{commit}}", git_dir=vault.git_dir)
    except GitError as error:
        if not error.shows_damage:
            return False
    else:
        return False
    async with _writing(vault):
        try:
            await git("update-ref", "-d", ref, git_dir=vault.git_dir)
        except GitError:
            # Not even the name of an object, which git neither reads nor deletes.
            (vault.git_dir / ref).unlink(missing_ok=True)
    return True


async def _drop_there(vault: Vault, ref: str) -> bool:
    now = await tip(vault, ref)
    if now is None:
        return False
    try:
        await hold_commit(vault, now)
        if await has_commit(vault.git_dir, now):
            return False
    except GitError as error:
        if not error.shows_damage:
            raise
        log.warning("nobody can fetch what a hidden ref of the vault names", ref=ref, commit=now)
    try:
        await _push(vault, vault.git_dir, [Move(ref, now, None)])
    except VaultAwayError:
        raise
    except GitError:
        return False
    return True


async def create_refs(vault: Vault, refs: Mapping[str, str]) -> None:
    """Create all these refs at these commits, or none of them.

    Raises GitError, also when one exists already, VaultAwayError.
    """
    if vault.remote:
        await push(vault, vault.git_dir, *(Move(ref, None, commit) for ref, commit in refs.items()))
        return
    lines = "".join(f"create {ref} {commit}\n" for ref, commit in refs.items())
    async with _writing(vault):
        await git("update-ref", "--stdin", git_dir=vault.git_dir, stdin=lines.encode())


@contextlib.asynccontextmanager
async def _writing(vault: Vault) -> AsyncIterator[None]:
    if vault.remote:
        yield
        return
    async with writing(vault.git_dir, sweep=lambda: clear_stale_locks(vault.git_dir)):
        yield


def clear_stale_locks(git_dir: Path) -> None:
    """Remove lock files that a killed git left in a local vault: git holds one for milliseconds.

    Nobody else of ours writes there now; the age is for a person's git.
    """
    now = time.time()
    for lock in (*git_dir.glob("*.lock"), *(git_dir / "refs").rglob("*.lock")):
        with contextlib.suppress(OSError):
            if now - lock.lstat().st_mtime > _STALE_LOCK_S:
                lock.unlink()
