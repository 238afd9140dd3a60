"""What Overnight says about a user's project, on this host or at a URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .git import NO_TRANSPORT, git
from .message import MAX_SUBJECT, one_line


class ProjectError(Exception):
    """The project cannot be used as asked; the message tells a person what is wrong, where, and what to do."""


class RefError(ProjectError):
    """The project is there; what was named in it is not."""


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project at the commit that a session would start from.

    `location` is the repository's folder or its URL. `branch` is None for a detached HEAD, a tag or a bare commit id.
    `dirty_files` counts staged, unstaged and untracked files that the commit lacks (a URL has none).
    """

    kind: Literal["path", "url"]
    location: str
    commit: str
    branch: str | None
    dirty_files: int
    subject: str


async def read_subject(git_dir: Path, commit: str, env: Mapping[str, str] | None = None) -> str:
    """Return a commit's subject line from the repository at (or around) this folder. Raises GitError."""
    raw = await git("cat-file", "commit", commit, cwd=git_dir, env=env, transports=NO_TRANSPORT)
    message = raw.stdout.decode(errors="replace").partition("\n\n")[2]
    return one_line(message.lstrip("\n").split("\n\n", 1)[0], MAX_SUBJECT)
