"""``checkout``: the session's branch, at its recorded commit, into the person's repository or a new folder.

Their own git does it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import on_sessions
from overnight.cli.trouble import CliError
from workflows.policy.words import NOTHING_COMMITTED

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

_FETCH = (
    *("-c", "protocol.version=2", "fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"),
    "--no-recurse-submodules",
)


@dataclass(frozen=True)
class Taken:
    """Where the branch is now."""

    folder: Path
    branch: str
    commit: str
    new: bool
    """A new clone, with the branch checked out."""
    bare: bool = False
    """A repository without files, in which nothing can be checked out."""

    @property
    def next(self) -> str:
        """What to type to have the code in front of oneself."""
        place = shlex.quote(str(self.folder))
        if self.new:
            return f"cd {place}"
        if self.bare:
            return f"git -C {place} log {self.branch}"
        return f"git switch {self.branch}" if self.folder.samefile(".") else f"git -C {place} switch {self.branch}"


def checkout(session_id: str, into: Path | None, *, json: bool) -> int:
    """``overnight checkout``."""
    if shutil.which("git") is None:
        raise CliError("git is not on PATH", Code.NOT_READY)

    async def ask(connection: Connection) -> tuple[str | None, BranchAnswer, str | None]:
        found = await connection.sessions.changes.branch(session_id)
        return found.spec.project.location, found.branch, found.status.commit

    project, source, recorded = on_sessions(ask, json=json)
    commit = recorded or source.own
    if commit is None or not source.commits:
        raise CliError(
            f"there is nothing to check out: {NOTHING_COMMITTED} in {session_id}; see overnight status {session_id}"
        )
    if source.kind == "path" and not Path(source.vault).is_dir():
        raise CliError(f"{source.vault} is not on this machine: run this where the worker runs", Code.UNREACHABLE)
    try:
        taken = take(source, commit, repository(project, into), into or Path(session_id))
    except (OSError, RuntimeError) as error:  # the latter for the home of nobody, and for links in a circle
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        raise CliError(f"it cannot be put there: {why}; choose another place with --into PATH") from None
    beyond = moved_on(source, commit)
    if json:
        output.as_json(
            {
                "session_id": session_id,
                "branch": taken.branch,
                "commit": taken.commit,
                "path": str(taken.folder),
                "new": taken.new,
                "next": taken.next,
                "vault_tip": source.commits[0].commit if source.commits else None,
                "warning": beyond,
            }
        )
    else:
        where = "a new clone at" if taken.new else "in"
        output.say(f"{taken.branch} at {taken.commit[:10]} is {where} {taken.folder}")
        output.say(f"  {taken.next}")
        if beyond:
            output.note(f"WARNING: {beyond}")
    return Code.OK


def moved_on(source: BranchAnswer, commit: str) -> str:
    """What to say when the branch in the vault is not at the session's commit; empty when it is."""
    tip = source.commits[0] if source.commits else None
    if tip is not None and tip.commit == commit:
        return ""
    newer = list(takewhile(lambda line: line.commit != commit, source.commits))
    if tip is None or len(newer) == len(source.commits):
        return (
            f"somebody else has moved {source.branch} in the vault away from {commit[:10]}, the session's last recorded"
            " commit; that commit is what you have"
        )
    others = [line for line in newer if not line.step]
    if not others:
        return ""  # the session's own, made this moment and not recorded yet
    return (
        f"{source.branch} in the vault has moved on to {tip.commit[:10]} ({tip.subject}): {len(others)} of"
        f" {len(newer)} later commits are somebody else's. You have {commit[:10]}, the session's last recorded commit;"
        " nothing confirms what came after it"
    )


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


def take(source: BranchAnswer, commit: str, repository: Path | None, folder: Path) -> Taken:
    """Bring the branch at ``commit`` into ``repository``, or into a clone at ``folder``. Raises ``CliError`` in words.

    Where the branch in the vault is meanwhile does not matter.
    """
    if repository is None:
        return _clone(source, commit, folder.expanduser().absolute())
    return _fetch(source, commit, repository)


def _fetch(source: BranchAnswer, commit: str, repository: Path) -> Taken:
    branch = source.branch
    bare = _git(repository, "rev-parse", "--is-bare-repository").stdout.strip() == "true"
    taken = Taken(repository, branch, commit, new=False, bare=bare)
    if (before := _tip(repository, branch)) == commit:
        return taken
    got = _bring(source, commit, repository)
    # The second fetch is within the repository: git moves the branch only forward, and not while it is checked out.
    done = got if got.returncode else _git(repository, *_FETCH, ".", f"{commit}:refs/heads/{branch}")
    if done.returncode == 0 and _tip(repository, branch) == commit:
        return taken
    place = shlex.quote(str(repository))
    if before is not None and "checked out" in done.stderr:
        raise CliError(
            f"{branch} is checked out in {repository}, and your working tree is yours; to bring it up to date:"
            f" git -C {place} merge --ff-only {commit}"
        )
    if before is not None and ("non-fast-forward" in done.stderr or "rejected" in done.stderr):
        raise CliError(
            f"your branch {branch} in {repository} has commits that the session's does not; it was left alone."
            f" To get the session's under another name: git -C {place} branch {branch}-2 {commit}"
        )
    raise CliError(f"git fetch in {repository} failed: {_last_words(done)}; to have it elsewhere: --into PATH")


def _bring(source: BranchAnswer, commit: str, repository: Path) -> subprocess.CompletedProcess[str]:
    """Bring the commit with its history; no ref is written."""
    done = _git(repository, *_FETCH, source.vault, commit)
    if done.returncode == 0:
        return done
    # Some services give nothing but what a branch leads to.
    by_branch = _git(repository, *_FETCH, source.vault, f"refs/heads/{source.branch}")
    held = _git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    return by_branch if held.returncode == 0 and by_branch.returncode == 0 else done


def _clone(source: BranchAnswer, commit: str, folder: Path) -> Taken:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CliError(f"{folder} exists already and is not an empty folder; choose another with --into PATH")
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = _git(
        folder.parent,
        *("clone", "--quiet", "--no-local", "--no-checkout", "--origin", "overnight"),
        *("--single-branch", "--branch", source.branch, "--", source.vault, str(folder)),
    )
    if done.returncode == 0:
        done = _bring(source, commit, folder)
    if done.returncode == 0:
        done = _git(folder, "reset", "--quiet", "--hard", commit)
    if done.returncode != 0:
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
        errors="replace",
        check=False,
    )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"exit code {done.returncode}"
