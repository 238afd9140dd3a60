"""A session's folder on this host: the workspace `tree/`, and Overnight's git directory `shadow.git` beside it.

The shadow holds the objects of this session's history as its own, so that showing them to the agent shows nothing of
other sessions. It is a cache: what counts is the vault, and a broken shadow is made anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

import structlog

from .away import VaultAwayError
from .files import DURABLE, absolute, is_real_folder, keep_bytes, make_writable, remove, tame, write_git_dir
from .git import LONG_S, GitError, git
from .lock import lock_is_held
from .message import SESSION, read_commit
from .names import branch_ref, check_commit, check_session_id, snapshot_ref
from .salvage import has_emptied, save_sound
from .vault import Vault, fetch_commit, has_commit, hold_commit, tip

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worktree:
    """A workspace that was at `commit` when this was returned; its next checkpoint has that commit as its parent."""

    folder: Path
    session_id: str
    commit: str
    kept: bool = False
    """Whether it was here already, with what was done since that commit."""
    unrecorded: str | None = None
    """A commit that was made on top of `commit` and never published: its changes are in the workspace."""
    vault: Vault | None = None
    """Where a broken shadow gets its objects from."""

    @property
    def tree(self) -> Path:
        """The workspace, which the agent may write."""
        return self.folder / "tree"

    @property
    def git_dir(self) -> Path:
        """Overnight's git directory, out of the agent's reach."""
        return self.folder / "shadow.git"

    @property
    def objects(self) -> Path:
        """The folder to show read-only to the agent's git, where `give_agent_git` was told it would be."""
        return self.git_dir / "objects"

    @property
    def moving(self) -> Path:
        """The mark of a workspace between two commits: one that is found means that what is there counts nothing."""
        return self.folder / "moving"


async def ensure_worktree(
    folder: Path, vault: Vault, session_id: str, commit: str, *, keep_changes: bool = True
) -> Worktree:
    """Make sure that this host has the session's workspace at exactly `commit`, and return it.

    With `keep_changes` a workspace that is there already is left as it is, with the work since; so is one whose last
    commit was made on top of `commit` but not recorded: its changes count as work not committed yet. In every other
    case tracked files become those of the commit and other files go, except ignored ones such as node_modules.
    The caller holds the `session_lock` of the folder. Raises GitError, VaultAwayError.
    """
    worktree = Worktree(absolute(folder), check_session_id(session_id), check_commit(commit), vault=vault)
    state = await asyncio.to_thread(_prepare, worktree)
    damaged = state is not _State.NEW and await asyncio.to_thread(has_emptied, worktree.git_dir)
    if state is _State.IN_PLACE and keep_changes and await _is_at(worktree, vault, commit):
        here = await shadow_head(worktree)
        if damaged or here is None or not await has_commit(worktree.git_dir, commit):
            # The vault has everything for another one, and the work in the workspace stays.
            await renew_shadow(worktree)
        elif here != commit:
            await set_head(worktree, commit)
        return replace(worktree, kept=True, unrecorded=here if here != commit else None)
    if damaged:
        await _begin_anew(worktree)
    try:
        await obtain(worktree, vault, commit)
        await move_to(worktree, commit)
    except VaultAwayError:
        raise
    except GitError:
        if state is _State.NEW:
            raise
        # Perhaps the shadow is damaged. The workspace stays, its ignored files with it.
        await _begin_anew(worktree)
        await move_to(worktree, commit)
    return worktree


async def _begin_anew(worktree: Worktree) -> None:
    """A new shadow for a workspace that is to be moved: until it is, what is in it counts nothing."""
    await asyncio.to_thread(worktree.moving.touch)
    await renew_shadow(worktree)


async def _is_at(worktree: Worktree, vault: Vault, commit: str) -> bool:
    """Whether the workspace stands on this commit, or its last one was made on top of it but not recorded."""
    here = await shadow_head(worktree)
    if here is None:
        # A branch that a power cut emptied; of a workspace that was never moved anywhere there is none.
        return (worktree.git_dir / branch_ref(worktree.session_id)).exists()
    return here == commit or await _is_unrecorded(worktree, vault, here)


class _State(Enum):
    NEW = auto()
    UNSURE = auto()
    IN_PLACE = auto()


def _prepare(worktree: Worktree) -> _State:
    """Make what is missing, and tell whether shadow and workspace were there and not in the middle of a move."""
    worktree.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (worktree.git_dir / "config").is_file():
        state = _State.NEW
        fresh = _fresh_shadow(worktree)
        remove(worktree.git_dir)
        fresh.rename(worktree.git_dir)
    else:
        state = _State.UNSURE if worktree.moving.exists() else _State.IN_PLACE
        keep_bytes(worktree.git_dir)
        if lock_is_held(worktree.folder):
            # Nobody else writes here, and no git of a dead holder still runs: it would hold the lock.
            for stale in (*worktree.git_dir.glob("*.lock"), *(worktree.git_dir / "refs").rglob("*.lock")):
                stale.unlink(missing_ok=True)
    if not is_real_folder(worktree.tree):
        remove(worktree.tree)
        worktree.tree.mkdir(mode=0o700)
        state = _State.UNSURE if state is _State.IN_PLACE else state
    return state


def _fresh_shadow(worktree: Worktree) -> Path:
    fresh = worktree.folder / "shadow.new"
    remove(fresh)
    write_git_dir(fresh, head=f"ref: {branch_ref(worktree.session_id)}", more_config=DURABLE)
    return fresh


async def renew_shadow(worktree: Worktree) -> None:
    """Replace the shadow by a new one at the worktree's commit; the workspace stays as it is.

    It has that commit and the work in progress from the vault, and what is sound of the old one: nothing that was made
    here and not published yet is lost. No index is left that could take a file for known. Nothing may run in the
    workspace. Raises GitError, VaultAwayError; then the old one stays.
    """
    vault = worktree.vault
    if vault is None:
        raise GitError("fetch", None, f"{worktree.git_dir} is damaged, and nobody said where its vault is")
    fresh = await asyncio.to_thread(_fresh_shadow, worktree)
    await fetch_commit(fresh, vault.address, worktree.commit, transports=vault.transports)
    if (work := await tip(vault, snapshot_ref(worktree.session_id))) is not None:
        try:
            await fetch_commit(fresh, vault.address, work, transports=vault.transports)
        except VaultAwayError:
            raise
        except GitError as error:
            log.warning("the work in progress in the vault cannot be read", error=str(error))
    await asyncio.to_thread(save_sound, worktree.git_dir / "objects", fresh / "objects")
    await git("update-ref", "HEAD", worktree.commit, git_dir=fresh)
    await git("read-tree", worktree.commit, git_dir=fresh, limit_s=LONG_S)
    old = worktree.folder / "shadow.old"
    await asyncio.to_thread(remove, old)
    worktree.git_dir.rename(old)
    fresh.rename(worktree.git_dir)
    await asyncio.to_thread(remove, old)
    log.warning("a damaged shadow was made anew from the vault", session=worktree.session_id)


async def on_sound_shadow(worktree: Worktree, work: Callable[[], Awaitable[T]]) -> T:
    """Do the work; if git finds the shadow damaged in the middle of it, once more from the beginning on a new one.

    Nothing may run in the workspace. Raises what the work raises, GitError, VaultAwayError.
    """
    try:
        return await work()
    except VaultAwayError:
        raise
    except GitError as error:
        if worktree.vault is None or not error.shows_damage:
            raise
    await renew_shadow(worktree)
    return await work()


async def shadow_head(worktree: Worktree) -> str | None:
    """Return the commit that the shadow is at, or None before the first. Raises GitError."""
    shown = await git("rev-parse", "--verify", "--quiet", "HEAD", git_dir=worktree.git_dir, ok=(0, 1, 128))
    return shown.text if shown.exit_code == 0 else None


async def _is_unrecorded(worktree: Worktree, vault: Vault, here: str) -> bool:
    git_dir = worktree.git_dir
    if not await has_commit(git_dir, here):
        try:
            git_dir = await hold_commit(vault, here)
            await read_commit(git_dir, here)
        except VaultAwayError:
            raise
        except GitError:
            # Its object is broken, and nobody else has it: it was made here, and not published.
            return True
    info = await read_commit(git_dir, here)
    return info.parents == (worktree.commit,) and info.trailers.get(SESSION) == worktree.session_id


async def set_head(worktree: Worktree, commit: str) -> None:
    """Move the shadow's branch and nothing else. Raises GitError."""
    await git("update-ref", "HEAD", check_commit(commit), git_dir=worktree.git_dir)


async def obtain(worktree: Worktree, vault: Vault, commit: str) -> None:
    """Bring a commit with its history from the vault into the shadow, unless it is there. Raises GitError."""
    if not await has_commit(worktree.git_dir, commit):
        await fetch_commit(worktree.git_dir, vault.address, commit, transports=vault.transports)


async def move_to(worktree: Worktree, commit: str) -> None:
    """Make the workspace exactly `commit`, keeping ignored files. A crash in between is noticed. Raises GitError."""
    await clean_to(worktree, commit, head=commit)


async def clean_to(worktree: Worktree, tree: str, *, head: str | None = None) -> None:
    """Make the workspace exactly `tree`, keeping ignored files, and the shadow be at `head`. Raises GitError."""
    await asyncio.to_thread(worktree.moving.touch)
    await asyncio.to_thread(tame, worktree.tree)
    try:
        await _check_out(worktree, tree)
    except GitError:
        await asyncio.to_thread(make_writable, worktree.tree)
        await _check_out(worktree, tree)
    if head is not None:
        await set_head(worktree, head)
    await asyncio.to_thread(worktree.moving.unlink)


async def _check_out(worktree: Worktree, commit: str) -> None:
    shadow, tree = worktree.git_dir, worktree.tree
    await git("read-tree", "--reset", "-u", commit, git_dir=shadow, work_tree=tree, limit_s=LONG_S)
    try:
        await git("clean", "-ffdq", git_dir=shadow, work_tree=tree, limit_s=LONG_S)
    except GitError:
        # What git cannot remove (folders too deep for a path name) would block every later step: start anew.
        await asyncio.to_thread(remove, tree)
        tree.mkdir(mode=0o700)
        await git("read-tree", "--reset", "-u", commit, git_dir=shadow, work_tree=tree, limit_s=LONG_S)
