"""Held-out checks as files: from a folder of the host, or from a ref of the project's repository.

They never enter the vault or a session's own objects: those are shown to the agent's git.
"""

import asyncio
import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import absolute, is_there, write_git_dir
from .git import LOCAL_ONLY, LONG_S, NETWORK, GitError, git
from .names import is_url
from .project import inspect_project
from .project_info import ProjectError
from .trees import read_blobs, tree_of
from .trust import as_the_user_trusts
from .vault import Vault
from .worktree import Worktree

MAX_HELD_OUT_BYTES = 50 * 2**20
MAX_HELD_OUT_FILES = 5_000
_PASSED_OVER = frozenset({".git", "__pycache__", "node_modules", ".venv", ".pytest_cache"})


@dataclass(frozen=True, slots=True)
class HeldOutFile:
    """A file of held-out checks."""

    content: bytes
    executable: bool = False

    @property
    def blob(self) -> str:
        """Its name among git's objects."""
        head = f"blob {len(self.content)}\0".encode()
        return hashlib.sha1(head + self.content, usedforsecurity=False).hexdigest()


HeldOutFiles = Mapping[str, HeldOutFile]


async def held_out_folder(folder: str | Path) -> HeldOutFiles:
    """The files of a folder on this host, by their paths in it. Raises ProjectError in words."""
    return await asyncio.to_thread(_walk, absolute(folder))


async def held_out_ref(location: str, source: str) -> HeldOutFiles:
    """The files at `REF` or `REF:PATH` of a repository (a path or a URL). Raises ProjectError in words."""
    ref, _, path = source.partition(":")
    commit = (await inspect_project(location, ref)).commit
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    with tempfile.TemporaryDirectory(prefix="overnight-held-out-") as name:
        apart = Vault(Path(name) / "apart.git")
        await asyncio.to_thread(write_git_dir, apart.git_dir, head="ref: refs/heads/none")
        try:
            await _bring(apart, location, commit)
            entries = {p: e for p, e in (await tree_of(apart, commit)).items() if p.startswith(prefix)}
            if len(entries) > MAX_HELD_OUT_FILES:
                raise ProjectError(_too_many(source))
            blobs = await read_blobs(apart, commit, [e.blob for e in entries.values()], max_bytes=MAX_HELD_OUT_BYTES)
        except GitError as error:
            message = f"held-out checks: {source} could not be read from the project: {error.message}"
            raise ProjectError(message) from error
    odd = next((p for p, e in entries.items() if e.mode not in ("100644", "100755") or e.blob not in blobs), None)
    if odd is not None:
        message = f"held-out checks: {odd} of {source} is a link, a submodule or too large; take it out"
        raise ProjectError(message)
    files = {p.removeprefix(prefix): HeldOutFile(blobs[e.blob], e.mode == "100755") for p, e in entries.items()}
    return _checked(files, source)


async def _bring(apart: Vault, location: str, commit: str) -> None:
    local = absolute(location)
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--depth=1", "--")
    if not is_there(local) and is_url(location):
        await git("fetch", *options, location, commit, git_dir=apart.git_dir, transports=NETWORK, limit_s=LONG_S)
        return
    async with as_the_user_trusts(local) as env:
        await git(
            *("fetch", *options, str(local), commit),
            git_dir=apart.git_dir,
            transports=LOCAL_ONLY,
            env=env,
            limit_s=LONG_S,
        )


async def seen_by_agent(worktree: Worktree, files: HeldOutFiles) -> list[str]:
    """Files that the agent can read anyway: their contents are among the objects of its history. Raises GitError."""
    blobs = {file.blob: path for path, file in files.items() if file.content.strip()}
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    told = await git("cat-file", "--batch-check", git_dir=worktree.git_dir, stdin=asked, limit_s=LONG_S)
    there = [line.split(" ")[0] for line in told.text.splitlines() if not line.endswith(" missing")]
    return sorted(blobs[blob] for blob in there if blob in blobs)


def _walk(folder: Path) -> HeldOutFiles:
    if not folder.is_dir():
        message = f"held-out checks: {folder} is no folder on the worker's host; check the path"
        raise ProjectError(message)
    files: dict[str, HeldOutFile] = {}
    size = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in sorted([*names, *(f for f in folders if (Path(parent) / f).is_symlink())]):
            path = Path(parent) / name
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                message = f"held-out checks: {path} is no ordinary file; take it out or copy what it leads to"
                raise ProjectError(message)
            size += status.st_size
            if size > MAX_HELD_OUT_BYTES or len(files) >= MAX_HELD_OUT_FILES:
                raise ProjectError(_too_many(str(folder)))
            key = str(path.relative_to(folder))
            files[key] = HeldOutFile(path.read_bytes(), bool(status.st_mode & 0o100))
    return _checked(files, str(folder))


def _checked(files: dict[str, HeldOutFile], source: str) -> HeldOutFiles:
    if not files:
        message = f"held-out checks: there are no files in {source}"
        raise ProjectError(message)
    if sum(len(file.content) for file in files.values()) > MAX_HELD_OUT_BYTES:
        raise ProjectError(_too_many(source))
    return files


def _too_many(source: str) -> str:
    return (
        f"held-out checks: {source} holds more than {MAX_HELD_OUT_BYTES // 2**20} MB or {MAX_HELD_OUT_FILES} files;"
        " keep only the tests there"
    )
