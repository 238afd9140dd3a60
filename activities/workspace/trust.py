"""The little of the user's own configuration that counts: whom they trust, and what they never want to see."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from .files import write_git_dir
from .git import NO_TRANSPORT, git


def is_dubious(message: str) -> bool:
    """Whether git refused a repository because of its owner."""
    return "dubious ownership" in message


@contextlib.asynccontextmanager
async def as_the_user_trusts(path: Path) -> AsyncIterator[Mapping[str, str]]:
    """Yield environment variables under which git opens this repository if the user's own git would.

    Overnight does not read the user's configuration. But who has told git with `safe.directory` that a repository of
    another owner is fine should not have to say it twice: exactly these lines are passed on, and only when needed.
    """
    asked = await git("rev-parse", "--git-dir", cwd=path, transports=NO_TRANSPORT, ok=range(256))
    if asked.exit_code == 0 or not is_dubious(asked.stderr):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="overnight-trust-") as name:
        folder = Path(name)
        write_git_dir(folder / "none.git", head="ref: refs/heads/main")
        trusted = await _user_setting(folder / "none.git", "safe.directory")
        env = {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}
        _write_trusted(folder / "gitconfig", trusted)
        asked = await git("rev-parse", "--absolute-git-dir", cwd=path, env=env, transports=NO_TRANSPORT, ok=range(256))
        if asked.exit_code == 0:
            # Serving a fetch, git asks about the git directory where it otherwise asks about the folder around it.
            _write_trusted(folder / "gitconfig", [*trusted, asked.stdout.rstrip(b"\n")])
        yield env


def _write_trusted(file: Path, folders: list[bytes]) -> None:
    file.write_bytes(b"[safe]\n" + b"".join(b'\tdirectory = "%s"\n' % _quote(folder) for folder in folders))


async def global_ignores(git_dir: Path) -> str:
    """Return the file of patterns that the user's own git ignores everywhere. `git_dir` is any harmless repository."""
    named = await _user_setting(git_dir, "core.excludesFile", "--type=path")
    if named:
        return os.fsdecode(named[-1])
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME", ""), ".config")  # noqa: PTH118
    return f"{folder}/git/ignore"


async def _user_setting(git_dir: Path, key: str, *options: str) -> list[bytes]:
    out = await git("config", "-z", *options, "--get-all", key, git_dir=git_dir, user_config=True, ok=(0, 1, 128))
    return out.fields


def _quote(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
