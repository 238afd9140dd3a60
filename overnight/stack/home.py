"""The home folder as the stack uses it: which files lie there, the one lock, and writing without halves."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from overnight.stack.errors import StackError

Part = Literal["server", "worker"]


@dataclass(frozen=True)
class Home:
    """Names of the stack's files in an ``OVERNIGHT_HOME``."""

    path: Path

    @property
    def stack_json(self) -> Path:
        """What runs; written by the supervisor alone."""
        return self.path / "stack.json"

    @property
    def worker_json(self) -> Path:
        """What the worker announces; written by the worker alone, removed before each of its starts."""
        return self.path / "worker.json"

    @property
    def lock(self) -> Path:
        """Locked for as long as a supervisor lives."""
        return self.path / "stack.lock"

    def lock_of(self, part: Part) -> Path:
        """Locked for as long as a server, or a worker, of this home lives: it inherits the lock."""
        return self.path / f"{part}.lock"

    @property
    def database(self) -> Path:
        """The Temporal server's database."""
        return self.path / "temporal.db"

    def log(self, name: str) -> Path:
        """Log file of ``supervisor``, ``server`` or ``worker``."""
        return self.path / "logs" / f"{name}.log"


def prepare(path: Path) -> Home:
    """Make the home and its log folder, for this user alone, and return it with symbolic links resolved.

    Raises ``StackError`` when the folder cannot be made or written. Nothing that exists is changed.
    """
    advice = "Set OVERNIGHT_HOME to a folder on a local disk that you may write, or repair this one."
    try:
        if path.exists() and not path.is_dir():
            raise StackError(f"Overnight's home {path} is not a folder. Move that file away, or set OVERNIGHT_HOME.")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "logs").mkdir(mode=0o700, exist_ok=True)
        probe = path / f".probe.{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise StackError(f"Overnight's home {path} cannot be written: {error.strerror}. {advice}") from error
    return Home(path.resolve())


def try_lock(lock: Path) -> int | None:
    """Take a lock of the home without waiting: its file descriptor, or None while somebody else holds it.

    It belongs to the descriptor, so it can be handed to a child process without a gap, and ends with the last process
    that has the descriptor.
    Raises ``StackError`` where the file system cannot lock.
    """
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StackError(f"{lock} cannot be opened: {error.strerror}. Is it another user's home?") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            message = f"{lock} cannot be locked: {error.strerror}. Set OVERNIGHT_HOME to a folder on a local disk."
            raise StackError(message) from error
        if owns_lock(lock, descriptor):
            return descriptor
        os.close(descriptor)  # the file was replaced between opening and locking it


def owns_lock(lock: Path, descriptor: int) -> bool:
    """Whether ``descriptor`` still is the lock file ``lock``: not so once the home was removed or moved."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except OSError:
        return False


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, readable by this user alone; a reader sees the old or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_text(path: Path, limit: int = 65_536) -> str | None:
    """The text of a small file, or None when it is absent, unreadable, not text, or larger than ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        return data.decode() if len(data) <= limit else None
    except (OSError, UnicodeDecodeError):
        return None
