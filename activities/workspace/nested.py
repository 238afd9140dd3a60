"""Repositories that the agent made inside its workspace: moved aside, so that their files are committed as files."""

import asyncio
import contextlib
import os
import re
import stat
from pathlib import Path

from .files import remove
from .git import git
from .worktree import Worktree

_MAX_ROUNDS = 20
_KEPT = 50
_ENTRY = re.compile(rb"160000 [0-9a-f]+ \d\t(.*)", re.DOTALL)


async def list_gitlinks(worktree: Worktree) -> set[bytes]:
    """Return the paths of the submodules in the shadow's index. Raises GitError."""
    listed = await git("ls-files", "-s", "-z", git_dir=worktree.git_dir, work_tree=worktree.tree, max_output=2**30)
    if b"\x00160000 " not in b"\0" + listed.stdout:
        return set()
    return {found[1] for field in listed.fields if (found := _ENTRY.fullmatch(field))}


async def move_nested_aside(worktree: Worktree, gitlinks: set[bytes]) -> list[str]:
    """Move every `.git` below the workspace into the session folder (`nested/<n>/git`), and return their folders.

    Submodules (`gitlinks`) and ignored folders are left alone, and the agent's own `.git` at the top is no nested one.
    The newest 50 are kept. Raises GitError, OSError.
    """
    moved: list[str] = []
    for number in range(_MAX_ROUNDS):
        # What is ignored inside a nested repository shows only once it is an ordinary folder.
        ignored = await _list_ignored(worktree)
        everywhere = number == _MAX_ROUNDS - 1
        found = await asyncio.to_thread(_find, worktree.tree, ignored, gitlinks, everywhere=everywhere)
        if not found:
            break
        await asyncio.to_thread(_move, worktree, found)
        moved += [os.fsencode(path).decode(errors="replace") for path in found]
    return sorted(moved)


async def _list_ignored(worktree: Worktree) -> set[bytes]:
    listed = await git(
        "ls-files",
        "--others",
        "--ignored",
        "--exclude-standard",
        "--directory",
        "-z",
        git_dir=worktree.git_dir,
        work_tree=worktree.tree,
        truncate=True,
    )
    return {field.rstrip(b"/") for field in listed.fields if field.endswith(b"/")}


def _find(tree: Path, ignored: set[bytes], gitlinks: set[bytes], *, everywhere: bool) -> list[bytes]:
    root = os.fsencode(tree)
    found: list[bytes] = []
    pending = [b""]
    while pending:
        folder = pending.pop()
        with contextlib.suppress(OSError):
            below: list[bytes] = []
            nested = False
            with os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118 - bytes
                for entry in entries:
                    path = folder + b"/" + entry.name if folder else entry.name
                    if entry.name == b".git":
                        nested = bool(folder)
                    elif entry.is_dir(follow_symlinks=False) and path not in ignored and path not in gitlinks:
                        below.append(path)
            if nested:
                found.append(folder)
            if everywhere or not nested:
                pending += below
    return found


def _move(worktree: Worktree, folders: list[bytes]) -> None:
    aside = worktree.folder / "nested"
    aside.mkdir(mode=0o700, exist_ok=True)
    taken = sorted(int(entry.name) for entry in aside.iterdir() if entry.name.isdigit())
    number = taken[-1] if taken else 0
    for folder in folders:
        number += 1
        taken.append(number)
        place = aside / str(number)
        place.mkdir(mode=0o700)
        (place / "path").write_bytes(folder)
        parent = worktree.tree / os.fsdecode(folder)
        mode = parent.lstat().st_mode
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
        (parent / ".git").rename(place / "git")
    for old in taken[:-_KEPT]:
        remove(aside / str(old))
