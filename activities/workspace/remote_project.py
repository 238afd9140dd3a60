"""What a user's project at a URL is: its refs as the server lists them, and one commit's subject."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from overnight.base.wording import quoted

from .files import write_git_dir
from .git import NETWORK, GitError, git, redact
from .names import is_commit
from .project_info import ProjectError, ProjectInfo, RefError, read_subject

_LIMIT_S = 120.0
_HINTS = {
    "could not read Username": "It asks for a login: use an ssh URL, or put the login into ~/.netrc.",
    "Authentication failed": "The login was refused: check the key or ~/.netrc.",
    "Permission denied": "The ssh key was refused: check that this user's key (or ssh-agent) has access.",
    "Host key verification failed": "Connect once with ssh by hand, so that the host's key is known.",
    "Could not resolve host": "The host name is not known here: check the URL and the network.",
    "not found": "There is no such repository, or this user may not see it.",
    "does not appear to be a git repository": "There is no repository at this address.",
}


async def inspect_url(url: str, ref: str | None) -> ProjectInfo:
    """Find the commit that `ref` (default: the server's HEAD) names at a URL. Raises ProjectError."""
    with tempfile.TemporaryDirectory(prefix="overnight-inspect-") as name:
        probe = Path(name) / "probe.git"
        await asyncio.to_thread(write_git_dir, probe, head="ref: refs/heads/none")
        try:
            refs, head_branch = await _list(probe, url)
        except GitError as error:
            raise ProjectError(_explain(url, error)) from error
        commit, branch = _choose(redact(url), refs, head_branch, ref)
        try:
            # One commit without its files, where the server can do that.
            await git(
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--depth=1",
                "--filter=tree:0",
                "--",
                url,
                commit,
                git_dir=probe,
                transports=NETWORK,
                limit_s=_LIMIT_S,
            )
            kind = await git("rev-parse", "--verify", f"{commit}^{{commit}}", git_dir=probe)
            subject = await read_subject(probe, kind.text)
        except GitError as error:
            raise ProjectError(_explain(url, error)) from error
        return ProjectInfo("url", url, kind.text, branch, 0, subject)


async def _list(probe: Path, url: str) -> tuple[dict[str, str], str | None]:
    listed = await git(
        "ls-remote", "--symref", "--", url, git_dir=probe, transports=NETWORK, limit_s=_LIMIT_S, max_output=2**28
    )
    refs: dict[str, str] = {}
    head_branch = None
    for line in listed.text.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            head_branch = value.removeprefix("ref: refs/heads/") if name == "HEAD" else head_branch
        else:
            refs[name] = value
    return refs, head_branch


def _choose(shown: str, refs: Mapping[str, str], head_branch: str | None, ref: str | None) -> tuple[str, str | None]:
    branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")][:5]
    listed = f"Branches there: {', '.join(branches)}." if branches else "It has no branches."
    if ref is None or ref == "HEAD":
        if "HEAD" not in refs:
            message = f"{shown} has no commits on its default branch. {listed}"
            raise ProjectError(message)
        return refs["HEAD"], head_branch
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"{ref}^{{}}", ref):
        if name in refs:
            return refs[name], name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None
    if is_commit(ref):
        return ref, None
    message = f"{shown} has no branch or tag named {ref!r}. {listed} A commit needs its full id."
    raise RefError(message)


def _explain(url: str, error: GitError) -> str:
    hint = next((hint for sign, hint in _HINTS.items() if sign in error.message), "Check the URL and the network.")
    return f"{redact(url)} could not be read. {hint}\n{quoted(error.message[:300])}"
