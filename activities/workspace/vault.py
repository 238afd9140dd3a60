"""A project's vault: the bare repository that holds every session's branch, on this host or at a git URL."""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .away import VaultGoneError, reaching
from .files import DURABLE, absolute, keep_bytes, remove, write_git_dir
from .git import LOCAL_ONLY, LONG_S, NETWORK, GitError, git, redact
from .names import base_ref, branch_ref, check_commit, is_other_transport, is_url

# A commit that Temporal's history names must survive a power cut: objects and refs reach the disk first.
_DURABLE = f"{DURABLE}[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n"
_LOOSE_OBJECTS = 1000


class Conflict(Exception):  # noqa: N818 - an outcome that callers handle, not a fault
    """Someone else moved the session's branch. `tip` is the commit it is at now, None when it does not exist."""

    def __init__(self, ref: str, expected: str | None, tip: str | None) -> None:
        """Keep the ref, the commit that was expected there, and the one that is."""
        self.ref = ref
        self.expected = expected
        self.tip = tip
        super().__init__(f"{ref} is at {tip or 'nothing'}, not at {expected or 'nothing'} as expected")


@dataclass(frozen=True, slots=True)
class Vault:
    """An open vault. `git_dir` is the vault itself, or for a `remote` one the local copy of what was read from it."""

    git_dir: Path
    remote: str | None = None

    @property
    def address(self) -> str:
        """What git fetches from and pushes to."""
        return self.remote or str(self.git_dir)

    @property
    def transports(self) -> str:
        """What git may speak to reach it."""
        return NETWORK if self.remote else LOCAL_ONLY


async def open_vault(url_or_path: str | Path, *, cache: Path | None = None, make: bool = True) -> Vault:
    """Open a vault; a local one that is missing is created, once, however many processes ask at the same time.

    Where sessions have work already it is not to be made: without ``make`` it must be there, else VaultGoneError.

    For a git URL `cache` is the folder of the local copy (created when missing). Raises GitError when the place is
    taken by something else, ValueError for a URL without `cache` or with a transport that is refused.
    """
    place = str(url_or_path)
    if is_other_transport(place):
        message = f"{place.split(':', 1)[0]!r} is not a transport for a vault: use a path, https, ssh or git"
        raise ValueError(message)
    if isinstance(url_or_path, str) and is_url(place):
        if cache is None:
            message = "a vault at a URL needs a folder for its local copy"
            raise ValueError(message)
        copy = absolute(cache)
        await asyncio.to_thread(_create, copy)
        return Vault(copy, place)
    git_dir = absolute(url_or_path)
    if not make and not await asyncio.to_thread(git_dir.exists):
        raise VaultGoneError(git_dir)
    await asyncio.to_thread(_create, git_dir)
    return Vault(git_dir)


def _create(git_dir: Path) -> None:
    if (git_dir / "HEAD").is_file() and (git_dir / "objects").is_dir():
        keep_bytes(git_dir)
        return
    git_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{git_dir.name}.", dir=git_dir.parent))
    try:
        write_git_dir(fresh, head="ref: refs/heads/main", more_config=_DURABLE)
        try:
            fresh.rename(git_dir)
        except OSError as error:
            if not (git_dir / "HEAD").is_file():
                raise GitError("init", None, f"{git_dir} exists and is not a vault: {error.strerror}") from error
    finally:
        remove(fresh)


async def tip(vault: Vault, ref: str) -> str | None:
    """Return what is at a full ref name, as the vault has it now, or None. Raises GitError, VaultAwayError."""
    if vault.remote:
        asked = ("ls-remote", "--", vault.remote, ref)
        try:
            with reaching(vault.remote):
                listed = await git(*asked, git_dir=vault.git_dir, transports=vault.transports, limit_s=LONG_S)
        except GitError as error:
            # Of some transports git itself does not say what could not be read, and its name holds the project's key.
            message = f"vault {redact(vault.remote)}: {error.message}"
            raise type(error)(error.command, error.exit_code, message, error.said) from None
        found = (line.split("\t") for line in listed.text.splitlines())
        # Zeros are how git lists a ref that it cannot read.
        return next((commit for commit, name in found if name == ref and commit.strip("0")), None)
    shown = await git("rev-parse", "--verify", "--quiet", ref, git_dir=vault.git_dir, ok=(0, 1))
    return shown.text or None


async def session_tip(vault: Vault, session_id: str) -> str | None:
    """Return the commit at the session's branch, or None when there is no such branch. Raises GitError."""
    return await tip(vault, branch_ref(session_id))


async def session_base(vault: Vault, session_id: str) -> str | None:
    """Return the commit that the session started from, or None when nothing was imported yet. Raises GitError."""
    return await tip(vault, base_ref(session_id))


async def has_commit(git_dir: Path, commit: str) -> bool:
    """Whether this repository holds that commit itself."""
    probe = await git("cat-file", "-e", f"{check_commit(commit)}^{{commit}}", git_dir=git_dir, ok=(0, 1, 128))
    return probe.exit_code == 0


async def fetch_commit(
    git_dir: Path,
    source: str,
    commit: str,
    *,
    transports: str = LOCAL_ONLY,
    env: Mapping[str, str] | None = None,
    limit_s: float = LONG_S,
) -> None:
    """Bring one commit with its history from a path or URL into a repository; no ref is written.

    A shallow source makes a shallow copy. Takes at most `limit_s` seconds. Raises GitError, VaultAwayError when the
    URL cannot be reached now.
    """
    with reaching(source):
        await git(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--update-shallow",
            "--",
            source,
            check_commit(commit),
            git_dir=git_dir,
            transports=transports,
            env=env,
            limit_s=limit_s,
        )


async def hold_commit(vault: Vault, commit: str) -> Path:
    """Make sure that the vault's local side holds the commit, and return that repository. Raises GitError."""
    if vault.remote and not await has_commit(vault.git_dir, commit):
        await fetch_commit(vault.git_dir, vault.remote, commit, transports=vault.transports)
    return vault.git_dir


async def tidy(git_dir: Path) -> bool:
    """Pack a repository's loose objects when there are many; return whether it did.

    Safe while others read and push: nothing that could be wanted is deleted. Meant to be called now and then in a
    long session, for its shadow and for a local vault. Raises GitError.
    """
    if await asyncio.to_thread(_loose_objects, git_dir) < _LOOSE_OBJECTS:
        return False
    await git("repack", "-d", "-l", "-q", git_dir=git_dir, limit_s=LONG_S)
    return True


def _loose_objects(git_dir: Path) -> int:
    """Estimate from one of the 256 folders, as git itself does."""
    try:
        return len(os.listdir(git_dir / "objects" / "17")) * 256  # noqa: PTH208 - names only
    except OSError:
        return 0
