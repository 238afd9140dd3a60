"""Whether a vault at a URL is merely out of reach now, or says no."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .git import GitError
from .names import is_url


class VaultAwayError(GitError):
    """The repository at a URL cannot be reached now. To try again later may help; nothing was damaged or refused."""


class VaultGoneError(VaultAwayError):
    """There is nothing at the path of a vault that was there: its disk may be mounted again."""

    def __init__(self, place: Path) -> None:
        """In words for whoever can put it back."""
        super().__init__("open", None, "the vault is gone")
        said = "was it moved, or is its disk not mounted? Put it back; the session goes on by itself, or when resumed"
        self.args = (f"the vault {place} is gone: {said}",)


_AWAY = re.compile(
    r"could ?n[o']t resolve (?:host|proxy)|temporary failure in name resolution|unable to look up|"
    r"(?:failed|unable|could ?n[o']t) (?:to )?connect|connection (?:refused|timed out|reset)|operation timed out|"
    r"connection (?:was )?closed by|timed out|no route to host|(?:network|host) is (?:unreachable|down)|"
    r"empty reply from server|operation too slow|stale file handle|transport endpoint is not connected|"
    r"returned error: (?:408|429|5\d\d)\b|connect tunnel failed, response 5\d\d|early eof|"
    r"the remote end hung up unexpectedly|kex_exchange_identification",
    re.IGNORECASE,
)
_DAMAGED = re.compile(r"corrupt|bad object|not our ref|unable to read", re.IGNORECASE)
_REFUSED = re.compile(
    r"\[(?:remote )?rejected\]|permission denied|access denied|authentication failed|could not read username|"
    r"host key verification failed|returned error: 40[0134]\b|repository not found",
    re.IGNORECASE,
)
_NO_REPOSITORY = "does not appear to be a git repository"


@contextlib.contextmanager
def reaching(address: str | None) -> Iterator[None]:
    """Raise VaultAwayError in place of a GitError that says no more than that this URL cannot be reached now.

    A path is never away: what is gone from this host's own disk is damaged.
    """
    try:
        yield
    except GitError as error:
        if address is not None and not isinstance(error, VaultAwayError) and _is_away(address, error):
            message = f"the vault cannot be reached now: {error.message}"
            raise VaultAwayError(error.command, error.exit_code, message, error.said) from error
        raise


def _is_away(address: str, error: GitError) -> bool:
    if not is_url(address):
        return False
    if error.exit_code is None:
        return error.message.startswith("stopped after")
    # What the other side says through a hook is its own business: it may speak of anything.
    own = "\n".join(line for line in error.said.splitlines() if not line.startswith("remote:"))
    if _REFUSED.search(own) or _DAMAGED.search(error.said):
        return False
    return _AWAY.search(own) is not None or (_NO_REPOSITORY in own and _is_missing_folder(address))


def _is_missing_folder(address: str) -> bool:
    """Whether a `file:` URL leads nowhere, as while a disk or a share is not mounted; or did until just now."""
    parts = urlsplit(address)
    if parts.scheme.lower() != "file":
        return False
    folder = Path(unquote(parts.path))
    return not folder.exists() or (folder / "HEAD").is_file()
