"""Report files of one run. What wrote them is not trusted: no link is followed, and everything has its limit."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_BYTES = 16_000_000
MAX_ALL_BYTES = 64_000_000
MAX_FILES = 500
MAX_ENTRIES = 200_000
MAX_DEPTH = 12
MAX_SECONDS = 10.0

_NAMED = re.compile(
    r"(?:junit.*|TEST-.*|test-results.*)\.xml|(?:jest|vitest|test)[-_.](?:results?|report|output)[^/]*\.json",
    re.IGNORECASE,
)
_CTRF = "ctrf"
"""Every JSON file in a folder of this name is a report."""
_NOT_OURS = {
    ".git", ".hg", ".svn", "node_modules", ".venv", "venv", ".tox", ".nox", "site-packages", "__pycache__",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".cargo", ".gradle", ".m2", "vendor",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """One file that calls itself a report."""

    name: str
    """Path from where it was looked for."""
    content: bytes | None
    """None when it is too large, cannot be read, or is beyond what all of them may have."""
    changed_ns: int


class Reader:
    """Reads files below one folder, each within bounds, and all of them together."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._left = MAX_ALL_BYTES
        self._files = MAX_FILES

    def one(self, name: str) -> Found | None:
        """A file directly in the folder; None when there is no regular file of this name."""
        try:
            folder = _open_folder(self._root, ())
        except OSError:
            return None
        try:
            return self._read(folder, name, name, since_ns=0)
        finally:
            os.close(folder)

    def reports(self, since_ns: int) -> tuple[list[Found], bool]:
        """Reports anywhere below that changed after ``since_ns``, oldest first, and whether nobody stopped looking."""
        found: list[Found] = []
        walk = _Walk(self._root)
        for folder, place, name in walk.files():
            if (read := self._read(folder, name, "/".join((*place, name)), since_ns)) is not None:
                found.append(read)
        return sorted(found, key=lambda f: (f.changed_ns, f.name)), walk.whole

    def _read(self, folder: int, name: str, told: str, since_ns: int) -> Found | None:
        """A regular file that changed after ``since_ns``. No pipe is waited for."""
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(seen.st_mode) or seen.st_mtime_ns <= since_ns:
                return None
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError:
            return Found(told, None, 0)
        with os.fdopen(handle, "rb") as file:
            known = os.fstat(handle)
            if not stat.S_ISREG(known.st_mode):
                return None
            self._files -= 1
            content = None
            if known.st_size <= min(MAX_FILE_BYTES, self._left) and self._files >= 0:
                # A sparse file that grows under our eyes is as long as we said, no longer.
                with suppress(OSError):
                    content = file.read(known.st_size)
                    self._left -= len(content)
            return Found(told, content, known.st_mtime_ns)


class _Walk:
    """Files with a report's name, nearest first. Folders are opened by their handles: none is swapped for a link."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries = MAX_ENTRIES
        self._until = time.monotonic() + MAX_SECONDS
        self.whole = True

    def files(self) -> Iterator[tuple[int, tuple[str, ...], str]]:
        waiting: deque[tuple[str, ...]] = deque([()])
        while waiting:
            place = waiting.popleft()
            try:
                folder = _open_folder(self._root, place)
            except OSError:
                continue
            try:
                files, folders = self._listed(folder, place)
                for name in files:
                    yield folder, place, name
            finally:
                os.close(folder)
            if len(place) < MAX_DEPTH:
                waiting.extend((*place, name) for name in folders)
            if self._entries <= 0 or time.monotonic() > self._until:
                self.whole = False
                return

    def _listed(self, folder: int, place: tuple[str, ...]) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        in_ctrf = bool(place) and place[-1] == _CTRF
        with os.scandir(folder) as entries:
            for entry in entries:
                self._entries -= 1
                if self._entries <= 0:
                    break
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _NOT_OURS:
                            folders.append(entry.name)
                    elif _NAMED.fullmatch(entry.name) or (in_ctrf and entry.name.endswith(".json")):
                        files.append(entry.name)
        return sorted(files), sorted(folders)


def _open_folder(root: Path, place: tuple[str, ...]) -> int:
    """A handle of the folder at ``place`` below ``root``. Raises ``OSError`` when a part of the way is no folder."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    handle = os.open(root, flags)
    for name in place:
        outer = handle
        try:
            handle = os.open(name, flags | os.O_NOFOLLOW, dir_fd=outer)
        finally:
            os.close(outer)
    return handle
