"""Work in progress: a hidden ref that keeps what an execute has done so far, and says who may publish.

Its tip is a commit on top of the checkpoint that the work stands on. Its tree has the workspace's files in `tree/`, and
the conversation's transcript beside it. Whoever begins an attempt puts a commit of its own there: from then on no
earlier attempt, on whatever host it still runs, can move this ref or publish.
"""

import asyncio
import os
import shutil
import stat
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from overnight.base.redaction import Redactor

from .git import LONG_S, GitError, git
from .message import ITERATION, SESSION, STEP, compose, read_commit
from .names import check_commit, snapshot_ref
from .secrets import secrets_between
from .staging import MAX_FILE_BYTES
from .vault import Conflict, Vault, clear_stale_locks, hold_commit, tip
from .worktree import Worktree, clean_to, obtain

_HOST = "Overnight-Host"
_CLAIM = "Overnight-Claim"
_TRANSCRIPT = "transcript.jsonl"
_WORK = "tree"
_TRIES = 5
_MANY_PATHS = 2**30


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Work that an earlier attempt at the same step left, on the host that is named."""

    commit: str
    host: str
    has_transcript: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one attempt to publish a step of a session, as long as `commit` is the tip of its hidden ref."""

    worktree: Worktree
    vault: Vault
    iteration: int
    step: str
    host: str
    commit: str

    @property
    def ref(self) -> str:
        """The hidden ref."""
        return snapshot_ref(self.worktree.session_id)


async def claim(
    worktree: Worktree, vault: Vault, *, iteration: int, step: str, host: str
) -> tuple[Claim, Snapshot | None]:
    """Take over the step: from now on nobody who claimed it before can publish. Tells what they left, if anything.

    What is there of another step, or stands on another commit than the worktree's, is no use and is replaced. The
    caller holds the session lock. Raises Conflict when others claim it again and again, GitError.
    """
    ref = snapshot_ref(worktree.session_id)
    mine = Claim(worktree, vault, iteration, step, host, "")
    for _ in range(_TRIES):
        now = await tip(vault, ref)
        found = await _usable(mine, now)
        tree = f"{now}^{{tree}}" if found else await _wrapped(worktree, f"{worktree.commit}^{{tree}}", None)
        commit = await _commit(mine, tree, host=found.host if found else host)
        try:
            await _move(mine, now, commit)
        except Conflict:
            continue
        return replace(mine, commit=commit), found
    raise Conflict(ref, now, await tip(vault, ref))


async def take_snapshot(
    held: Claim, *, transcript: Path | None, redactor: Redactor, max_file_bytes: int = MAX_FILE_BYTES
) -> Claim:
    """Keep what the workspace and the transcript hold now, while the agent goes on; the same claim, further on.

    Nothing in the workspace changes. Ignored files, files above `max_file_bytes`, repositories of the agent's own and
    files in which it wrote a secret are not in it; of the transcript, secrets are taken out. Raises Conflict when a
    later attempt has claimed the step, GitError, OSError.
    """
    tree = await _work(held.worktree, redactor, max_file_bytes)
    blob = await _transcript(held.worktree, transcript, redactor)
    wrapped = await _wrapped(held.worktree, tree, blob)
    last = await read_commit(held.worktree.git_dir, held.commit)
    if wrapped == last.tree and last.trailers.get(_HOST) == held.host:
        return held
    commit = await _commit(held, wrapped, host=held.host)
    await _move(held, held.commit, commit)
    return replace(held, commit=commit)


async def follow_up(held: Claim, commit: str, *, transcript: Path | None, redactor: Redactor) -> str:
    """Make what is to be at the hidden ref when the checkpoint `commit` is published and the same step goes on from it.

    Nothing is moved yet: `publish` moves both at once. Raises GitError, OSError.
    """
    blob = await _transcript(held.worktree, transcript, redactor)
    wrapped = await _wrapped(held.worktree, f"{commit}^{{tree}}", blob)
    return await _commit(replace(held, worktree=replace(held.worktree, commit=commit)), wrapped, host=held.host)


async def restore_work(worktree: Worktree, vault: Vault, snapshot: Snapshot) -> None:
    """Give the workspace the files of a snapshot, as work not committed yet; ignored files stay.

    The caller holds the session lock. Raises GitError.
    """
    await obtain(worktree, vault, snapshot.commit)
    await clean_to(worktree, f"{snapshot.commit}:{_WORK}")


async def restore_transcript(vault: Vault, snapshot: Snapshot, path: Path) -> None:
    """Write the transcript of a snapshot to `path`. Raises GitError, OSError."""
    await hold_commit(vault, snapshot.commit)
    shown = await git(
        "cat-file", "blob", f"{snapshot.commit}:{_TRANSCRIPT}", git_dir=vault.git_dir, max_output=_MANY_PATHS
    )
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(path.write_bytes, shown.stdout)


async def _usable(mine: Claim, now: str | None) -> Snapshot | None:
    """What is at the tip, when it belongs to this step and stands on the worktree's commit."""
    if now is None:
        return None
    await hold_commit(mine.vault, now)
    info = await read_commit(mine.vault.git_dir, now)
    if info.parents != (mine.worktree.commit,) or not info.is_step(mine.worktree.session_id, mine.iteration, mine.step):
        return None
    await obtain(mine.worktree, mine.vault, now)
    listed = await git("ls-tree", "--name-only", now, git_dir=mine.worktree.git_dir)
    return Snapshot(now, info.trailers.get(_HOST, ""), _TRANSCRIPT in listed.text.splitlines())


async def _work(worktree: Worktree, redactor: Redactor, max_file_bytes: int) -> str:
    """Write the tree of what the workspace holds, by an index of its own: the shadow's stays for the checkpoint."""
    index = worktree.folder / "snapshot.index"
    with tempfile.TemporaryDirectory(prefix="snapshot-") as place:
        if (worktree.git_dir / "index").is_file():
            # What git knows of times and sizes there spares it from reading every file again.
            index = Path(place) / "index"
            await asyncio.to_thread(shutil.copy2, worktree.git_dir / "index", index)
        excluded = await _excluded(worktree, index, max_file_bytes)
        paths = b"\0".join([b":/", *(b":(top,exclude,literal)" + path for path in excluded)]) + b"\0"
        await git(
            *("add", "--all", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul"),
            git_dir=worktree.git_dir,
            work_tree=worktree.tree,
            index=index,
            stdin=paths,
            ok=(0, 1),
            limit_s=LONG_S,
        )
        tree = (await git("write-tree", git_dir=worktree.git_dir, index=index, limit_s=LONG_S)).text
        return await _without_secrets(worktree, index, tree, redactor)


async def _excluded(worktree: Worktree, index: Path, max_file_bytes: int) -> list[bytes]:
    """Paths that would take long, or that git could not take: large files, repositories inside this one."""
    listed = await git(
        *("ls-files", "--others", "--modified", "--exclude-standard", "-z"),
        git_dir=worktree.git_dir,
        work_tree=worktree.tree,
        index=index,
        max_output=_MANY_PATHS,
        limit_s=LONG_S,
    )
    return await asyncio.to_thread(_odd, worktree.tree, sorted(set(listed.fields)), max_file_bytes)


def _odd(tree: Path, paths: list[bytes], max_file_bytes: int) -> list[bytes]:
    root = os.fsencode(tree) + b"/"
    odd = []
    for path in paths:
        try:
            status = os.lstat(root + path)
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_size > max_file_bytes):
            odd.append(path.rstrip(b"/"))
    return odd


async def _without_secrets(worktree: Worktree, index: Path, tree: str, redactor: Redactor) -> str:
    """The tree with the files as they were in which there is a new secret."""
    before = (await git("rev-parse", f"{worktree.commit}^{{tree}}", git_dir=worktree.git_dir)).text
    if tree == before:
        return tree
    probe = (await git("commit-tree", tree, "-p", worktree.commit, "-m", "Snapshot", git_dir=worktree.git_dir)).text
    found = {secret.path for secret in await secrets_between(worktree, worktree.commit, probe, redactor)}
    if not found:
        return tree
    await git(
        *("reset", "--quiet", worktree.commit, "--", *(f":(top,literal){path}" for path in sorted(found))),
        git_dir=worktree.git_dir,
        work_tree=worktree.tree,
        index=index,
        limit_s=LONG_S,
    )
    return (await git("write-tree", git_dir=worktree.git_dir, index=index, limit_s=LONG_S)).text


async def _transcript(worktree: Worktree, transcript: Path | None, redactor: Redactor) -> str | None:
    """Store the transcript without secrets, and return its blob."""
    if transcript is None:
        return None
    with tempfile.NamedTemporaryFile(prefix="transcript-") as clean:
        await asyncio.to_thread(_copy, transcript, Path(clean.name), redactor)
        return (await git("hash-object", "-w", "--no-filters", clean.name, git_dir=worktree.git_dir)).text


def _copy(source: Path, target: Path, redactor: Redactor) -> None:
    with source.open("rb") as file, target.open("wb") as clean:
        redactor.copy(file, clean)


async def _wrapped(worktree: Worktree, tree: str, transcript: str | None) -> str:
    """Write the outer tree."""
    inner = (await git("rev-parse", tree, git_dir=worktree.git_dir)).text
    entries = f"040000 tree {inner}\t{_WORK}\n"
    if transcript is not None:
        entries += f"100644 blob {transcript}\t{_TRANSCRIPT}\n"
    return (await git("mktree", git_dir=worktree.git_dir, stdin=entries.encode())).text


async def _commit(held: Claim, tree: str, *, host: str) -> str:
    worktree = held.worktree
    trailers = {
        SESSION: worktree.session_id,
        ITERATION: str(held.iteration),
        STEP: held.step,
        _HOST: host,
        # No two attempts make the same commit: else both would hold the same claim.
        _CLAIM: uuid.uuid4().hex,
    }
    message = compose("Work in progress", "", trailers)
    made = await git(
        "commit-tree", tree, "-p", check_commit(worktree.commit), "-F", "-", git_dir=worktree.git_dir, stdin=message
    )
    return made.text


async def _move(held: Claim, expected: str | None, commit: str) -> None:
    """Move the hidden ref. Raises Conflict when it is not where it was expected."""
    ref, vault = held.ref, held.vault
    # No `+` before the commit: it would override the lease.
    await asyncio.to_thread(clear_stale_locks, vault, [ref])
    try:
        await git(
            *("push", "--quiet", f"--force-with-lease={ref}:{expected or ''}", "--", vault.address, f"{commit}:{ref}"),
            git_dir=held.worktree.git_dir,
            transports=vault.transports,
            limit_s=LONG_S,
        )
    except GitError:
        now = await tip(vault, ref)
        if now == commit:
            return
        if now != expected:
            raise Conflict(ref, expected, now) from None
        raise
