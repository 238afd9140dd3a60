"""A conversation's transcript in Claude Code's folder: a cache that the agent can write, so nothing there is trusted.

No link is followed on the way to it. One that was cut off while it was written ends with its last whole line.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PROJECTS = "projects"
_RESTORED = "restored"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_LINE_BYTES = 1 << 24
_SAID = re.compile(rb'"type"\s*:\s*"(?:user|assistant)"')
_HEAD_BYTES = 1 << 16
MAX_BYTES = 1 << 26
"""A transcript of more than this many bytes is no transcript: the conversation goes on from a brief."""


@dataclass(frozen=True)
class Transcript:
    """The transcript of one conversation in Claude Code's folder of a session. Its methods block."""

    config: Path
    conversation: str

    def is_usable(self) -> bool:
        """Whether the conversation can be resumed: one file that begins with something said. Mends what was cut off."""
        places = self._places()
        for place in places[1:]:
            # Claude Code would go on in one of two, and nobody knows in which.
            self._remove(place)
        if not places:
            return False
        with suppress(OSError), self._opened(places[0]) as file:
            whole, said = _whole(file)
            if said:
                if whole < os.fstat(file.fileno()).st_size:
                    self._cut(places[0], whole)
                return True
        self._remove(places[0])
        return False

    def copy_to(self, target: Path) -> bool:
        """Copy what is whole of it to ``target``, while it may be written; False when there is nothing to copy."""
        places = self._places()
        if not places:
            return False
        with suppress(OSError), self._opened(places[0]) as file, target.open("wb") as copy:
            whole, said = _whole(file)
            file.seek(0)
            while whole > 0 and (block := file.read(min(whole, 1 << 20))):
                copy.write(block)
                whole -= len(block)
            return said
        return False

    def put(self, source: Path) -> None:
        """Make ``source`` the transcript, the only one. Nothing of the agent's runs meanwhile. Raises ``OSError``."""
        self.drop()
        self.config.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            _opened_folder(self.config) as config,
            _made_folder(_PROJECTS, config) as projects,
            _made_folder(_RESTORED, projects) as folder,
        ):
            handle = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
            with os.fdopen(handle, "wb") as file, source.open("rb") as given:
                shutil.copyfileobj(given, file)

    def drop(self) -> None:
        """Forget it, and whatever stands in its place."""
        for place in self._places(real=False):
            self._remove(place)

    @property
    def _name(self) -> str:
        return f"{self.conversation}.jsonl"

    def _places(self, *, real: bool = True) -> list[str]:
        """Folders below ``projects`` that have it, the newest first."""
        found: list[tuple[int, str]] = []
        for place, folder in self._folders():
            with suppress(OSError):
                status = os.stat(self._name, dir_fd=folder, follow_symlinks=False)
                if not real or (stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_BYTES):
                    found.append((status.st_mtime_ns, place))
        return [place for _, place in sorted(found, reverse=True)]

    def _folders(self) -> Iterator[tuple[str, int]]:
        with suppress(OSError), _opened_folder(self.config) as config, _opened_folder(_PROJECTS, config) as projects:
            for place in sorted(os.listdir(projects)):  # noqa: PTH208 (a handle, not a path)
                with suppress(OSError), _opened_folder(place, projects) as folder:
                    yield place, folder

    @contextmanager
    def _folder(self, place: str) -> Iterator[int]:
        with (
            _opened_folder(self.config) as config,
            _opened_folder(_PROJECTS, config) as projects,
            _opened_folder(place, projects) as folder,
        ):
            yield folder

    @contextmanager
    def _opened(self, place: str) -> Iterator[BinaryIO]:
        with self._folder(place) as folder, os.fdopen(os.open(self._name, _FILE, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(f"{self._name} is no file")
            yield file

    def _remove(self, place: str) -> None:
        with suppress(OSError), self._folder(place) as folder:
            if stat.S_ISDIR(os.stat(self._name, dir_fd=folder, follow_symlinks=False).st_mode):
                shutil.rmtree(self._name, dir_fd=folder)
            else:
                os.unlink(self._name, dir_fd=folder)

    def _cut(self, place: str, size: int) -> None:
        with self._folder(place) as folder:
            handle = os.open(self._name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(handle, "wb") as file:
                file.truncate(size)


def _whole(file: BinaryIO) -> tuple[int, bool]:
    """How many bytes at the beginning are whole lines, and whether somebody says something in them.

    Lines are not parsed: the agent may have written them, and what takes much to parse would hold up the worker.
    """
    whole, said = 0, False
    while whole < MAX_BYTES and (line := file.readline(MAX_LINE_BYTES)):
        if not (line.startswith(b"{") and line.endswith(b"}\n")):
            break
        whole += len(line)
        said = said or _SAID.search(line, 0, _HEAD_BYTES) is not None
    return whole, said


@contextmanager
def _opened_folder(path: Path | str, within: int | None = None) -> Iterator[int]:
    folder = os.open(path, _FOLDER, dir_fd=within)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _made_folder(name: str, within: int) -> Iterator[int]:
    """The folder ``name`` in ``within``, made when there is none; a link or a file of that name goes."""
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=within)
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=within)
    with _opened_folder(name, within) as folder:
        yield folder
