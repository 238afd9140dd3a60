"""Held-out checks at work: imported out of the agent's reach, and run in a clean clone."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

from activities.host import Host
from activities.validation import Neutral, held_out
from activities.workspace import (
    HeldOutFile,
    HeldOutFiles,
    ProjectError,
    Worktree,
    held_out_folder,
    held_out_ref,
    loose_files,
    read_blobs,
    remove,
    seen_by_agent,
    session_lock,
    tree_changes,
    tree_of,
)
from workflows.contracts.evidence import ArtifactRef
from workflows.contracts.requests import HeldOutCheck, Site
from workflows.contracts.spec import HeldOut
from workflows.policy.words import counted

LOCK_SECONDS = 60.0
_SETTING_BYTES = 1_000_000


async def import_held_out(host: Host, site: Site, base: str, asked: HeldOut) -> tuple[ArtifactRef, list[str]]:
    """Bring held-out checks into the artifact store; beside it what a person should know.

    Raises ``ProjectError`` in words: what is missing, too large, holds a known secret, or can be read anyway.
    """
    async with session_lock(host.folder(site.session_id), limit_s=LOCK_SECONDS):
        worktree = await host.worktree(site, base)
        if asked.kind == "folder":
            await _refuse_committed(site, worktree, base, Path(asked.source))
            files = await held_out_folder(asked.source)
        elif site.project.location is None:
            raise ProjectError("held-out checks: a new project has no refs; name a folder, by its absolute path")
        else:
            files = await held_out_ref(site.project.location, asked.source)
        known = await seen_by_agent(worktree, files)
    if known and len(known) == sum(1 for file in files.values() if file.content.strip()):
        raise ProjectError(
            f"held-out checks: all files of {asked.source} are in the history of the commit that the session starts"
            " from, where the agent can read them; keep them in a folder or on a branch of their own"
        )
    await asyncio.to_thread(_refuse_secrets, host, files)
    ref = await asyncio.to_thread(lambda: host.artifacts.put_exact(held_out.pack(files)))
    notes = [f"held-out checks imported: {counted(len(files), 'file')}"]
    if known:
        notes.append(f"the agent can read {counted(len(known), 'file')} of them in the project's history: {known[0]}")
    return ref, notes


async def _refuse_committed(site: Site, worktree: Worktree, base: str, folder: Path) -> None:
    if site.project.kind != "path" or site.project.location is None:
        return
    inside = await asyncio.to_thread(_inside, Path(site.project.location), folder)
    if inside is None:
        return
    if inside == "." or any(path.startswith(f"{inside}/") for path in await tree_of(worktree, base)):
        raise ProjectError(
            f"held-out checks: {folder} is part of the project and committed, so the agent reads it; move it out of the"
            " project, or leave it out as held-out checks"
        )


def _inside(project: Path, folder: Path) -> str | None:
    root, real = project.resolve(), folder.resolve()
    return str(real.relative_to(root)) if real.is_relative_to(root) else None


def _refuse_secrets(host: Host, files: HeldOutFiles) -> None:
    for path, file in files.items():
        if lines := host.redactor.known_lines(io.BytesIO(file.content)):
            raise ProjectError(
                f"held-out checks: {path}:{lines[0]} holds a secret of the worker; have the test read it from elsewhere"
            )


async def prepare(
    host: Host, worktree: Worktree, check: HeldOutCheck, clone: Path, base: str, commit: str
) -> tuple[HeldOutFiles, list[str]]:
    """Put the checks into a clean clone, with whatever could steer them as the base has it; paths that were not so.

    Raises ``ArtifactError`` and GitError.
    """
    files = held_out.unpack(await asyncio.to_thread(host.artifacts.get, check.files))
    before, tracked = await tree_of(worktree, base), await tree_of(worktree, commit)
    changes = await tree_changes(worktree, base, commit)
    neutral = Neutral(before, base, check.command, check.target)
    entries = [entry for change in changes if neutral.reads(change) for entry in (change.before, change.after)]
    wanted = [entry.blob for entry in entries if entry is not None and not entry.is_submodule]
    blobs = await read_blobs(worktree, commit, wanted, max_bytes=_SETTING_BYTES)

    def put() -> list[str]:
        loose, _ = loose_files(clone, tracked)
        instead = neutral.differs(changes, blobs, loose, lambda path: _read(clone / path))
        for path, content in sorted(instead.items()):
            remove(clone / path)
            if content is not None:
                held_out.put({path: HeldOutFile(content)}, clone, "", replaces=False)
        own = not any(path.startswith(f"{check.target}/") for path in before)
        held_out.put(files, clone, check.target, replaces=own)
        return sorted(instead)

    return files, await asyncio.to_thread(put)


def taken_away(paths: list[str]) -> list[str]:
    """What a person is told of files that took no part as they were."""
    return [f"held-out checks ran without {path} as the agent has it, which could let any test pass" for path in paths]


def _read(path: Path) -> bytes | None:
    """The beginning of an ordinary file that is no link."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(_SETTING_BYTES)
    except OSError:
        return None
