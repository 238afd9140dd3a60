"""``checkout``: the session's branch into the person's repository, or into a new folder. Their own git does it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import on_sessions
from overnight.cli.trouble import CliError

if TYPE_CHECKING:
    from overnight.connection import Connection
    from workflows.contracts.reads import BranchAnswer

_LOCAL_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
)
"""Set inside a git hook: they would aim git at another repository."""


@dataclass(frozen=True)
class Taken:
    """Where the branch is now."""

    folder: Path
    branch: str
    commit: str
    new: bool
    """A new clone, with the branch checked out."""

    @property
    def next(self) -> str:
        """What to type to have the code in front of oneself."""
        place = shlex.quote(str(self.folder))
        if self.new:
            return f"cd {place}"
        here = self.folder.resolve() == Path.cwd().resolve()
        return f"git switch {self.branch}" if here else f"git -C {place} switch {self.branch}"


def checkout(session_id: str, into: Path | None, *, json: bool) -> int:
    """``overnight checkout``."""
    if shutil.which("git") is None:
        raise CliError("git is not on PATH", Code.NOT_READY)

    async def ask(connection: Connection) -> tuple[str | None, BranchAnswer]:
        sessions = connection.sessions
        return await sessions.project_of(session_id), await sessions.branch(session_id)

    project, source = on_sessions(ask, json=json)
    if not source.commits:
        raise CliError(f"{session_id} has no checkpoint yet; see overnight status {session_id}")
    if source.kind == "path" and not Path(source.vault).is_dir():
        raise CliError(f"{source.vault} is not on this machine: run this where the worker runs", Code.UNREACHABLE)
    taken = take(source, repository(project, into), into or Path(session_id))
    if json:
        output.as_json(
            {
                "session_id": session_id,
                "branch": taken.branch,
                "commit": taken.commit,
                "path": str(taken.folder),
                "new": taken.new,
                "next": taken.next,
            }
        )
    else:
        where = "a new clone at" if taken.new else "in"
        output.say(f"{taken.branch} at {taken.commit[:10]} is {where} {taken.folder}")
        output.say(f"  {taken.next}")
    return Code.OK


def repository(project: str | None, into: Path | None) -> Path | None:
    """The person's repository that gets the branch; None for a new clone."""
    if project is None or into is not None:
        return None
    local = Path(project)
    if local.is_dir():
        return local
    # A project at a URL: its clone may be where the person stands.
    here = Path.cwd()
    remotes = _git(here, "remote", "-v")
    known = {line.split()[1] for line in remotes.stdout.splitlines() if len(line.split()) > 1}
    return here if project in known else None


def take(source: BranchAnswer, repository: Path | None, folder: Path) -> Taken:
    """Fetch the branch into ``repository``, or clone it into ``folder``. Raises ``CliError`` in words."""
    if repository is None:
        return _clone(source, folder.expanduser().absolute())
    return _fetch(source, repository)


def _fetch(source: BranchAnswer, repository: Path) -> Taken:
    branch = source.branch
    before = _tip(repository, branch)
    ref = f"refs/heads/{branch}"
    done = _git(
        repository,
        *("fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules"),
        *(source.vault, f"{ref}:{ref}"),
    )
    after = _tip(repository, branch)
    if done.returncode == 0 and after is not None:
        return Taken(repository, branch, after, new=False)
    vault = shlex.quote(source.vault)
    place = shlex.quote(str(repository))
    if before is not None and "checked out" in done.stderr:
        raise CliError(
            f"{branch} is checked out in {repository}, and your working tree is yours; to bring it up to date:"
            f" git -C {place} pull --ff-only {vault} {branch}"
        )
    if before is not None and ("non-fast-forward" in done.stderr or "rejected" in done.stderr):
        raise CliError(
            f"your branch {branch} in {repository} has commits that the session's does not; it was left alone."
            f" To get the session's under another name: git -C {place} fetch {vault} {branch}:{branch}-2"
        )
    raise CliError(f"git fetch in {repository} failed: {_last_words(done)}")


def _clone(source: BranchAnswer, folder: Path) -> Taken:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CliError(f"{folder} exists already and is not an empty folder; choose another with --into PATH")
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = _git(
        folder.parent,
        *("clone", "--quiet", "--no-local", "--origin", "overnight", "--single-branch", "--branch", source.branch),
        *("--", source.vault, str(folder)),
    )
    commit = _tip(folder, source.branch) if done.returncode == 0 else None
    if commit is None:
        raise CliError(f"git clone into {folder} failed: {_last_words(done)}")
    return Taken(folder, source.branch, commit, new=True)


def _tip(repository: Path, branch: str) -> str | None:
    found = _git(repository, "rev-parse", "--quiet", "--verify", f"refs/heads/{branch}^{{commit}}")
    return found.stdout.strip() if found.returncode == 0 else None


def _git(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in _LOCAL_VARIABLES}
    environment["LC_ALL"] = "C"
    return subprocess.run(
        # What a session brings must not start what the repository has for other occasions.
        ["git", "-C", str(place), "-c", "core.hooksPath=/dev/null", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"exit code {done.returncode}"
