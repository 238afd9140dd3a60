"""What a store of artifacts does, and the one that is a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

BLOCK_BYTES = 1 << 20
"""What is held in memory at once of a stream."""
SETTING = "OVERNIGHT_ARTIFACTS_URL"


class ArtifactError(Exception):
    """An artifact is missing or is not what its name says, or the store cannot be used: in words, without secrets."""


class ArtifactLostError(ArtifactError):
    """The store can be used, but what was once in it is not there any more, or is something else."""


class Store(Protocol):
    """Keeps content under the sha256 of it. Calls block, and may come from several threads at once."""

    @property
    def where(self) -> str:
        """The store as a person would name it; never with a credential."""

    def size(self, name: str) -> int | None:
        """Bytes of an artifact; nothing when it is not there, or when the store does not tell."""

    def put(self, name: str, path: Path) -> None:
        """Keep a copy of a file. Others see all of it or nothing."""

    def part(self, name: str, start: int, length: int) -> tuple[bytes, int]:
        """That many bytes from there, fewer at the end, and how many the artifact has."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content, a block at a time."""


def place(name: str) -> str:
    """Where in any store an artifact is: a folder copied into a bucket is a store, and the other way round."""
    return f"{name[:2]}/{name}"


def missing(name: str, where: str) -> ArtifactLostError:
    """There is no such artifact."""
    return ArtifactLostError(
        f"artifact {name} is not in the store {where}: it was removed there, or a worker with another {SETTING} stored"
        " it. Give the workers of all hosts the same one"
    )


def changed(name: str, where: str) -> ArtifactLostError:
    """Somebody, or a disk, changed an artifact."""
    return ArtifactLostError(
        f"artifact {name} in the store {where} does not have the content that its name says: it was changed there. Put"
        " back a copy of it, or delete it, so that the next check that prints the same stores it again"
    )


class Folder:
    """A store in a folder of this host; it is made when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def where(self) -> str:
        return str(self._root)

    def size(self, name: str) -> int | None:
        with self._in_words("read"):
            try:
                return self._path(name).stat().st_size
            except FileNotFoundError:
                return None

    def put(self, name: str, path: Path) -> None:
        target = self._path(name)
        with path.open("rb") as source, self._in_words("write to"):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, fresh = tempfile.mkstemp(dir=target.parent, prefix=".fresh.")
            try:
                with os.fdopen(handle, "wb") as file:
                    shutil.copyfileobj(source, file, BLOCK_BYTES)
                    file.flush()
                    # History names it for good: after a power cut the name must not stand for half of it.
                    os.fsync(file.fileno())
                Path(fresh).replace(target)
            except BaseException:
                Path(fresh).unlink(missing_ok=True)
                raise

    def part(self, name: str, start: int, length: int) -> tuple[bytes, int]:
        with self._in_words("read", name), self._path(name).open("rb") as file:
            file.seek(start)
            return file.read(length), os.fstat(file.fileno()).st_size

    def blocks(self, name: str) -> Iterator[bytes]:
        with self._in_words("read", name), self._path(name).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def _path(self, name: str) -> Path:
        return self._root / place(name)

    @contextmanager
    def _in_words(self, verb: str, name: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if name and isinstance(error, FileNotFoundError):
                raise missing(name, self.where) from None
            why = error.strerror or type(error).__name__
            raise ArtifactError(
                f"cannot {verb} the store of artifacts in {self.where}: {why}. Make it possible on this host"
            ) from error
