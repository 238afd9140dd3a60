"""Checkpoints: one commit per step on top of the recorded parent, and going back as one more commit."""

from dataclasses import dataclass, field, replace

from overnight.base.redaction import Redactor

from .git import LONG_S, GitError, git
from .message import ITERATION, RESTORES, SESSION, STEP, compose, read_commit
from .names import check_commit
from .secrets import SecretFound
from .staging import MAX_FILE_BYTES, Skipped, Staged, stage
from .vault import Vault
from .worktree import Worktree, move_to, obtain, on_sound_shadow, set_head, shadow_head


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A commit of Overnight's, and what it changed against its parent.

    `nested` names the folders that had a repository of their own; `skipped` the files that are not in the commit;
    `secrets` where secrets were that a marker has replaced, here and in the workspace. `unlisted` counts what these
    lists had no room for.
    """

    commit: str
    tree: str
    parent: str
    changed_files: int
    insertions: int
    deletions: int
    nested: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    secrets: list[SecretFound] = field(default_factory=list)
    unlisted: int = 0


async def checkpoint(
    worktree: Worktree,
    *,
    session_id: str,
    iteration: int,
    step: str,
    subject: str,
    body: str = "",
    restores: str | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
    redactor: Redactor | None = None,
) -> Checkpoint:
    """Commit what the workspace holds now, as exactly one commit on top of `worktree.commit`, empty if need be.

    Ignored files are never committed; files above `max_file_bytes` and unreadable ones are reported instead. With a
    `redactor` no new secret is committed, nor one in subject or body: see `take_out`. A second call for the same
    worktree replaces the first one's commit. The caller holds the session lock, and nothing runs in
    the workspace any more. Raises GitError, ValueError when the worktree is another session's.
    """
    if redactor is not None:
        subject, body = redactor.text(subject), redactor.text(body)
    message = compose(subject, body, _trailers(session_id, iteration, step, restores))

    async def make() -> tuple[Staged, Checkpoint]:
        await _check_place(worktree, session_id)
        staged = await stage(worktree, max_file_bytes, redactor=redactor)
        made = await _commit(worktree, staged.tree, message)
        await set_head(worktree, made.commit)
        return staged, made

    staged, made = await on_sound_shadow(worktree, make)
    return replace(made, nested=staged.nested, skipped=staged.skipped, secrets=staged.secrets, unlisted=staged.unlisted)


async def restore(
    worktree: Worktree,
    vault: Vault,
    to_commit: str,
    *,
    session_id: str,
    iteration: int,
    step: str,
    subject: str | None = None,
    body: str = "",
) -> Checkpoint:
    """Go back (or over to another approach): a new commit with the tree of `to_commit` on top of `worktree.commit`.

    The workspace becomes that tree, keeping ignored files; work in it that was not committed is gone. The branch only
    grows. The caller holds the session lock. Raises GitError, ValueError when the worktree is another session's.
    """
    await _check_place(worktree, session_id)
    await obtain(worktree, vault, check_commit(to_commit))
    chosen = await read_commit(worktree.git_dir, to_commit)
    trailers = _trailers(session_id, iteration, step, to_commit)
    title = subject if subject is not None else f"Restore {to_commit[:10]}: {chosen.subject}"
    made = await _commit(worktree, chosen.tree, compose(title, body, trailers))
    await move_to(worktree, made.commit)
    return made


async def describe(repository: Worktree | Vault, commit: str) -> Checkpoint:
    """Return a commit of one parent as a checkpoint; what was moved aside or skipped is not known. Raises GitError."""
    info = await read_commit(repository.git_dir, commit)
    if len(info.parents) != 1:
        raise GitError("cat-file", None, f"{commit} has {len(info.parents)} parents, so it is no checkpoint")
    stat = await git(
        "diff-tree",
        "-r",
        "--shortstat",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=none",
        info.parents[0],
        commit,
        git_dir=repository.git_dir,
        limit_s=LONG_S,
    )
    counts = {"file": 0, "insertion": 0, "deletion": 0}
    for part in stat.text.split(","):
        number, _, what = part.strip().partition(" ")
        for key in counts:
            if what.startswith(key):
                counts[key] = int(number)
    return Checkpoint(commit, info.tree, info.parents[0], counts["file"], counts["insertion"], counts["deletion"])


def _trailers(session_id: str, iteration: int, step: str, restores: str | None) -> dict[str, str]:
    trailers = {SESSION: session_id, ITERATION: str(iteration), STEP: step}
    return trailers if restores is None else trailers | {RESTORES: check_commit(restores)}


async def _check_place(worktree: Worktree, session_id: str) -> None:
    if session_id != worktree.session_id:
        message = f"the worktree belongs to session {worktree.session_id}, not to {session_id}"
        raise ValueError(message)
    here = await shadow_head(worktree)
    if here == worktree.commit:
        return
    if here is not None:
        info = await read_commit(worktree.git_dir, here)
        if info.parents == (worktree.commit,) and info.trailers.get(SESSION) == session_id:
            return
    raise GitError("commit-tree", None, f"the workspace is at {here}, not at {worktree.commit} as recorded")


async def _commit(worktree: Worktree, tree: str, message: bytes) -> Checkpoint:
    made = await git("commit-tree", tree, "-p", worktree.commit, "-F", "-", git_dir=worktree.git_dir, stdin=message)
    return await describe(worktree, made.text)
