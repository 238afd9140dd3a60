"""Where a session starts: the user's commit, or nothing, brought into the vault."""

from pathlib import Path

from .files import absolute, is_there
from .git import LONG_S, NETWORK, GitError, git, redact
from .message import SESSION, compose
from .names import base_ref, branch_ref, check_commit, is_url
from .project_info import ProjectError
from .push import create_refs
from .trust import as_the_user_trusts
from .vault import Conflict, Vault, fetch_commit, has_commit, hold_commit, tip

_NEW_PROJECT_DATE = "946684800 +0000"


async def import_base(
    vault: Vault,
    session_id: str,
    source: str | Path | None,
    commit: str | None,
    *,
    limit_s: float = LONG_S,
) -> str:
    """Put the commit from which a session starts into the vault, with the session's branch at it, and return it.

    `source` is the user's repository (path or URL; only read) and `commit` a full id that it holds. Without `source`
    the commit is one that the vault holds already, and without both the project is new: an empty first commit, the
    same on every attempt. A retry returns what the first attempt imported and leaves a branch that has grown alone.
    Takes at most `limit_s` seconds per transfer. Raises ProjectError when the source does not give the commit,
    Conflict when the session started from another one, GitError.
    """
    base, branch = base_ref(session_id), branch_ref(session_id)
    if (known := await _known_base(vault, base, branch, commit)) is not None:
        return known
    if source is not None:
        if commit is None:
            message = "importing from a repository needs a full commit id"
            raise ValueError(message)
        await _bring(vault, str(source), check_commit(commit), limit_s)
    elif commit is None:
        commit = await _first_commit(vault, session_id)
    else:
        await hold_commit(vault, commit)
        if not await has_commit(vault.git_dir, commit):
            message = f"The vault does not hold commit {commit}."
            raise ProjectError(message)
    # The branch may be there without the base ref only if someone made it by hand: then this fails and says so.
    try:
        await create_refs(vault, {base: commit, branch: commit})
    except GitError:
        if (known := await _known_base(vault, base, branch, commit)) is not None:
            return known
        raise
    return commit


async def _known_base(vault: Vault, base: str, branch: str, commit: str | None) -> str | None:
    known = await tip(vault, base)
    if known is None:
        return None
    if commit is not None and known != commit:
        raise Conflict(base, commit, known)
    if await tip(vault, branch) is None:
        message = f"the vault has lost the branch {branch} of a session that started from {known}"
        raise GitError("rev-parse", None, message)
    return known


async def _bring(vault: Vault, source: str, commit: str, limit_s: float) -> None:
    if await has_commit(vault.git_dir, commit):
        return
    local = absolute(source)
    try:
        if not is_there(local) and is_url(source):
            await fetch_commit(vault.git_dir, source, commit, transports=NETWORK, limit_s=limit_s)
            return
        async with as_the_user_trusts(local) as env:
            await fetch_commit(vault.git_dir, str(local), commit, env=env, limit_s=limit_s)
    except GitError as error:
        message = f"Commit {commit} could not be copied from {redact(source)}: {error.message}"
        raise ProjectError(message) from error


async def _first_commit(vault: Vault, session_id: str) -> str:
    tree = (await git("mktree", git_dir=vault.git_dir, stdin=b"")).text
    message = compose("An empty project", "", {SESSION: session_id})
    dates = {"GIT_AUTHOR_DATE": _NEW_PROJECT_DATE, "GIT_COMMITTER_DATE": _NEW_PROJECT_DATE}
    return (await git("commit-tree", tree, "-F", "-", git_dir=vault.git_dir, stdin=message, env=dates)).text
