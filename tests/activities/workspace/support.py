"""Helpers: a user's repository made with plain git, a fingerprint of a folder, and a session that is ready to work."""

import hashlib
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from activities.workspace import Vault, Worktree, ensure_worktree, import_base, open_vault

SESSION = "fix-login-7f3a"
PROJECT = Path(__file__).parents[3]

Files = Mapping[str, str | bytes]


def plain_env(**more: str) -> dict[str, str]:
    """The environment of a person with an empty configuration."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    env |= {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    env |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
    return env | more


def git(*args: str | Path, cwd: Path, check: bool = True, stdin: str = "", nobody: bool = False, **env: str) -> str:
    """Run the person's git (of `nobody`: without an identity in its environment) and return what it printed."""
    environ = {k: v for k, v in plain_env(**env).items() if not (nobody and k.startswith(("GIT_AUTHOR", "GIT_COMM")))}
    done = subprocess.run(["git", *args], cwd=cwd, env=environ, input=stdin, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"git {args}: {done.stderr}")
    return done.stdout.strip()


def run_python(code: str, *args: str | Path) -> subprocess.Popen[str]:
    """Start another Python process in the project's folder."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_repo(folder: Path, files: Files | None = None) -> str:
    """Make a user's repository with one commit on `main`, and return the commit."""
    folder.mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=folder)
    write(folder, files if files is not None else {"README.md": "hello\n", "src/app.py": "print(1)\n"})
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "First words", cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


def commit_all(folder: Path, subject: str) -> str:
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", subject, cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


def fingerprint(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything that could show that somebody was here: names, modes, sizes, times, contents, link targets."""
    seen: dict[str, tuple[object, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = path.readlink()
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        seen[str(path.relative_to(folder))] = (
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            content,
        )
    return seen


def contents(folder: Path) -> dict[bytes, tuple[str, bytes]]:
    """Files and links below a folder without git's own: path, kind and content."""
    found: dict[bytes, tuple[str, bytes]] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in [*names, *folders]:
            path = Path(parent) / name
            key = os.fsencode(path.relative_to(folder))
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[key] = ("link", os.fsencode(os.readlink(path)))  # noqa: PTH115 - a path would be normalised
            elif stat.S_ISREG(mode):
                found[key] = ("exec" if mode & 0o100 else "file", path.read_bytes())
    return found


def tree_of(repository: Path, commit: str) -> dict[str, str]:
    """Path to mode of everything in a commit."""
    listed = git("-c", "core.quotePath=false", "ls-tree", "-r", "-z", commit, cwd=repository)
    return {line.split("\t", 1)[1]: line.split(" ", 1)[0] for line in listed.split("\0") if line}


@dataclass
class Tripwire:
    """A command that leaves a trace when anything runs it."""

    path: Path

    @property
    def command(self) -> str:
        return f"touch {shlex.quote(str(self.path))}; false"

    @property
    def script(self) -> Path:
        script = self.path.with_suffix(".sh")
        script.write_text(f"#!/bin/sh\ntouch {shlex.quote(str(self.path))}\ncat\n")
        script.chmod(0o755)
        return script

    @property
    def fired(self) -> bool:
        return self.path.exists()


@dataclass
class Session:
    """A session at its base, on one host."""

    home: Path
    vault: Vault
    base: str
    worktree: Worktree

    @property
    def tree(self) -> Path:
        return self.worktree.tree

    async def at(self, commit: str, *, keep_changes: bool = True, host: str = "host") -> Worktree:
        folder = self.home / host / SESSION
        self.worktree = await ensure_worktree(folder, self.vault, SESSION, commit, keep_changes=keep_changes)
        return self.worktree


async def start(home: Path, files: Files | None = None) -> Session:
    """Import a user's repository with these files and make the workspace."""
    commit = make_repo(home / "project", files)
    return await start_from(home, home / "project", commit)


async def start_from(home: Path, source: Path | None, commit: str | None) -> Session:
    vault = await open_vault(home / "vault" / "project.git")
    base = await import_base(vault, SESSION, source, commit)
    worktree = await ensure_worktree(home / "host" / SESSION, vault, SESSION, base)
    return Session(home, vault, base, worktree)
