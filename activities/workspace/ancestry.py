"""Whether what was true of one commit may still be true of another."""

from .diff import diff
from .git import GitError, git
from .names import check_commit
from .reading import Source, hold


async def is_behind(source: Source, commit: str, head: str) -> bool:
    """Whether `commit` is `head` or one of its ancestors; a commit that is not there is none. Raises GitError."""
    git_dir = await hold(source, check_commit(head))
    try:
        await hold(source, check_commit(commit))
    except GitError:
        return False
    found = await git("merge-base", "--is-ancestor", commit, head, git_dir=git_dir, ok=(0, 1, 128))
    return found.exit_code == 0


async def changed_since(source: Source, commit: str, head: str) -> list[str] | None:
    """Paths that differ between two commits; None where there are more than are listed. Raises GitError."""
    found = await diff(source, commit, head, stat=True)
    return None if found.truncated else [file.path for file in found.files]
