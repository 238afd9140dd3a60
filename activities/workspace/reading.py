"""Reading history, without a checkout: the log of checkpoints, and one file of one commit."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .git import LONG_S, GitError, git
from .message import ITERATION, MAX_SUBJECT, RESTORES, SESSION, STEP, one_line, read_trailers
from .names import branch_ref, check_commit
from .vault import Vault, hold_commit, tip
from .worktree import Worktree

Source = Vault | Worktree
"""Where commits can be read from."""

_MAX_MESSAGE = 64 * 2**10
_FOUND = 100
"""Commits of one iteration that are looked at, with those whose messages only quote its trailer."""


class NoBranchError(GitError):
    """The vault has no branch of this session: not yet, or another vault has it."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A commit of a session's branch. `time` is seconds since 1970; iteration and step are None for others' commits."""

    commit: str
    parent: str | None
    subject: str
    time: int
    iteration: int | None
    step: str | None
    restores: str | None


async def hold(source: Source, commit: str) -> Path:
    """Make sure that the commit can be read on this host, and return the repository that has it. Raises GitError."""
    return await hold_commit(source, commit) if isinstance(source, Vault) else source.git_dir


async def log(vault: Vault, session_id: str, base: str | None = None, limit: int = 100) -> list[LogEntry]:
    """Return the newest `limit` commits of a session's branch, newest first, down to `base` (exclusive).

    Raises NoBranchError when the vault has no such branch.
    """
    ref = branch_ref(session_id)
    head = await tip(vault, ref)
    if head is None:
        raise NoBranchError("log", None, f"the vault has no branch {ref}")
    await hold_commit(vault, head)
    down_to = [] if base is None else [f"^{check_commit(base)}"]
    out = await git(
        "log",
        "-z",
        "--first-parent",
        "--no-show-signature",
        f"--max-count={limit}",
        "--format=%H%n%P%n%ct%n%B",
        head,
        *down_to,
        "--",
        git_dir=vault.git_dir,
        max_output=max(1, limit) * _MAX_MESSAGE,
        truncate=True,
    )
    return [_entry(record.decode(errors="replace")) for record in out.stdout.split(b"\0") if record.count(b"\n") > 2]


async def checkpoint_of_iteration(vault: Vault, session_id: str, iteration: int, *, base: str, head: str) -> str | None:
    """Return the last commit that an iteration's work left between `base` (exclusive) and `head`, or None.

    Commits that only went back to an earlier tree do not count. Raises GitError.
    """
    await hold_commit(vault, head)
    out = await git(
        "log",
        "-z",
        "--first-parent",
        "--no-show-signature",
        f"--grep=^{ITERATION}: {int(iteration)}$",
        "--format=%H%n%P%n%ct%n%B",
        check_commit(head),
        f"^{check_commit(base)}",
        "--",
        git_dir=vault.git_dir,
        limit_s=LONG_S,
        max_output=_FOUND * _MAX_MESSAGE,
        truncate=True,
    )
    for record in out.stdout.split(b"\0"):
        if record.count(b"\n") <= 2:
            continue
        text = record.decode(errors="replace")
        entry, trailers = _entry(text), read_trailers(text.split("\n", 3)[3])
        # Anyone may write such a line into a body: the last paragraph counts.
        if entry.iteration == iteration and trailers.get(SESSION) == session_id and not _goes_back(entry):
            return entry.commit
    return None


def _goes_back(entry: LogEntry) -> bool:
    return entry.restores is not None and (entry.step or "").startswith("restore-")


def _entry(record: str) -> LogEntry:
    commit, parents, time, message = record.split("\n", 3)
    trailers = read_trailers(message)
    iteration = trailers.get(ITERATION, "")
    return LogEntry(
        commit=commit,
        parent=parents.split(" ")[0] or None,
        subject=one_line(message.lstrip("\n").split("\n\n", 1)[0], MAX_SUBJECT),
        time=int(time),
        iteration=int(iteration) if iteration.isascii() and iteration.isdigit() else None,
        step=trailers.get(STEP),
        restores=trailers.get(RESTORES),
    )


async def read_text(source: Source, commit: str, path: str, max_bytes: int = 2**20) -> str | None:
    """Return the text of a file in a commit, its first `max_bytes` bytes if it is longer.

    None when the path is no regular file there, or not text (it has a zero byte). Raises GitError for an unknown
    commit.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        return None
    git_dir = await hold(source, check_commit(commit))
    literal = {"GIT_LITERAL_PATHSPECS": "1"}
    listed = await git("ls-tree", "-z", "--full-tree", commit, "--", "/".join(parts), git_dir=git_dir, env=literal)
    if not listed.fields:
        return None
    mode, kind, blob = listed.fields[0].partition(b"\t")[0].decode().split(" ")
    if kind != "blob" or mode == "120000":
        return None
    out = await git("cat-file", "blob", blob, git_dir=git_dir, max_output=max_bytes, truncate=True)
    return None if b"\0" in out.stdout else out.stdout.decode(errors="replace")
