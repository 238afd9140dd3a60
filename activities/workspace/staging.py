"""What of a workspace goes into a commit: everything that is not ignored, and reasons for what cannot.

The shadow's configuration knows no filter, and its own attributes convert nothing: a repository's start nothing and
block nothing. Submodules that are checked out are never looked into: git would run its status there, under a
configuration that the agent can write.
"""

import asyncio
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from overnight.base.redaction import Redactor

from .files import is_real_folder, tame
from .git import LONG_S, git
from .nested import list_gitlinks, move_nested_aside
from .secrets import SecretFound, take_out
from .worktree import Worktree

MAX_FILE_BYTES = 50 * 2**20
"""Default size in bytes above which a file is reported instead of committed."""
MAX_REPORTED = 100
"""Most paths that a report lists."""

_MANY_PATHS = 2**30


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that differs in the workspace and is not in the commit; a tracked one keeps its last committed content.

    `refused` means that git does not take such a name (`.GIT`, say). `size` is in bytes, 0 where it does not matter.
    """

    path: str
    reason: Literal["too large", "unreadable", "refused"]
    size: int


@dataclass(frozen=True, slots=True)
class Staged:
    """The tree that was written, and at most 100 each of: nested repositories moved aside, what is missing, secrets.

    `unlisted` counts what is in none of these lists because they are full.
    """

    tree: str
    nested: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    secrets: list[SecretFound] = field(default_factory=list)
    unlisted: int = 0


async def stage(
    worktree: Worktree, max_file_bytes: int = MAX_FILE_BYTES, *, redactor: Redactor | None = None
) -> Staged:
    """Bring the shadow's index to the workspace's content and write its tree. Raises GitError, OSError.

    With a `redactor` new secrets are first taken out of both. No file of the workspace is setuid or setgid afterwards.
    Meant for a workspace in which nothing runs any more.
    """
    await asyncio.to_thread(tame, worktree.tree)
    gitlinks = await list_gitlinks(worktree)
    nested = await move_nested_aside(worktree, gitlinks)
    links_in_use = {path for path in gitlinks if is_real_folder(worktree.tree / os.fsdecode(path))}
    candidates = await _differing(worktree)
    large = await asyncio.to_thread(_too_large, worktree.tree, candidates, max_file_bytes)
    clean = await _add(worktree, links_in_use | {path for path, _ in large})
    rest = [] if clean else await _settle_rest(worktree, {path for path, _ in large})
    secrets = [] if redactor is None else await take_out(worktree, redactor)
    tree = (await git("write-tree", git_dir=worktree.git_dir, limit_s=LONG_S)).text
    skipped = [Skipped(path.decode(errors="replace"), "too large", size) for path, size in large]
    skipped += await asyncio.to_thread(_explain, worktree.tree, rest)
    unlisted = len(nested[MAX_REPORTED:]) + len(skipped[MAX_REPORTED:])
    return Staged(tree, nested[:MAX_REPORTED], skipped[:MAX_REPORTED], secrets, unlisted)


async def _differing(worktree: Worktree) -> set[bytes]:
    """Return paths that are new or look changed by their times and sizes: no content is read."""
    shadow, tree = worktree.git_dir, worktree.tree
    new, changed = await asyncio.gather(
        git(
            "ls-files",
            "--others",
            "--exclude-standard",
            "-z",
            git_dir=shadow,
            work_tree=tree,
            max_output=_MANY_PATHS,
            limit_s=LONG_S,
        ),
        git(
            "diff-files",
            "--name-only",
            "-z",
            "--ignore-submodules=all",
            git_dir=shadow,
            work_tree=tree,
            max_output=_MANY_PATHS,
            limit_s=LONG_S,
        ),
    )
    return {*new.fields, *changed.fields}


def _too_large(tree: Path, paths: set[bytes], limit: int) -> list[tuple[bytes, int]]:
    root = os.fsencode(tree) + b"/"
    found = []
    for path in paths:
        try:
            status = os.lstat(root + path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_size > limit:
            found.append((path, status.st_size))
    return sorted(found)


async def _add(worktree: Worktree, excluded: set[bytes]) -> bool:
    """Stage everything but these paths; return whether git took all of it."""
    args = ["add", "--all", "--ignore-errors"]
    stdin = None
    if excluded:
        args += ["--pathspec-from-file=-", "--pathspec-file-nul"]
        stdin = b"\0".join([b":/", *(b":(top,exclude,literal)" + path for path in sorted(excluded))]) + b"\0"
    out = await git(*args, git_dir=worktree.git_dir, work_tree=worktree.tree, stdin=stdin, ok=(0, 1), limit_s=LONG_S)
    return out.exit_code == 0


async def _settle_rest(worktree: Worktree, known: set[bytes]) -> list[bytes]:
    """Drop tracked paths that became pipes or sockets, and return those that git could not take."""
    left = sorted(await _differing(worktree) - known)
    root = os.fsencode(worktree.tree) + b"/"
    special = [path for path in left if await asyncio.to_thread(_is_special, root + path)]
    if special:
        await git(
            "update-index",
            "-z",
            "--force-remove",
            "--stdin",
            git_dir=worktree.git_dir,
            work_tree=worktree.tree,
            stdin=b"\0".join(special) + b"\0",
        )
    return [path for path in left if path not in special]


def _explain(tree: Path, paths: list[bytes]) -> list[Skipped]:
    root = os.fsencode(tree) + b"/"
    return [
        Skipped(path.decode(errors="replace"), "refused" if os.access(root + path, os.R_OK) else "unreadable", 0)
        for path in paths
    ]


def _is_special(path: bytes) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


async def untracked(worktree: Worktree) -> list[str]:
    """Return the files of the workspace that are neither tracked nor ignored and have UTF-8 names. Raises GitError."""
    listed = await git(
        "ls-files",
        "--others",
        "--exclude-standard",
        "-z",
        git_dir=worktree.git_dir,
        work_tree=worktree.tree,
        truncate=True,
        limit_s=LONG_S,
    )
    return [name for field in listed.fields if (name := field.decode(errors="replace")).encode() == field]
