"""The user's own word on repositories that belong to somebody else (`safe.directory`)."""

import contextlib
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
        listed = await git(
            "config", "-z", "--get-all", "safe.directory", git_dir=folder / "none.git", user_config=True, ok=(0, 1)
        )
        lines = [b'\tdirectory = "%s"\n' % _quote(value) for value in listed.fields]
        (folder / "gitconfig").write_bytes(b"[safe]\n" + b"".join(lines))
        yield {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}


def _quote(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
