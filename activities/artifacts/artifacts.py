"""Storing and reading artifacts: without secrets, named by the hash of what is stored, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path
from typing import IO

from activities.artifacts.bucket import Bucket
from activities.artifacts.store import BLOCK_BYTES, ArtifactLostError, Folder, Store, changed
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.evidence import ArtifactRef

_SAMPLE = b"Overnight can store artifacts here.\n"


class Artifacts:
    """A store of files that are named by their sha256. With a redactor no secret enters it.

    All calls block: until a disk has written, or for as long as a network takes. One that fails because the store
    does may be made again.
    """

    def __init__(self, store: Store, redactor: Redactor | None = None) -> None:
        self._store = store
        self._redactor = redactor

    @classmethod
    def of(cls, settings: Settings, redactor: Redactor | None = None) -> Artifacts:
        """The store that was chosen; nothing is asked of it yet. Raises ``ValueError`` for a URL of no store."""
        if settings.artifacts_url:
            return cls(Bucket.at(settings.artifacts_url), redactor)
        return cls(Folder(settings.home / "artifacts"), redactor)

    @property
    def where(self) -> str:
        """The store as a person would name it."""
        return self._store.where

    def check(self) -> None:
        """Write and read a few bytes, always the same. Raises ``ArtifactError`` when sessions could not."""
        name = hashlib.sha256(_SAMPLE).hexdigest()
        with tempfile.NamedTemporaryFile() as file:
            file.write(_SAMPLE)
            file.flush()
            self._store.put(name, Path(file.name))
        self.get(ArtifactRef(sha256=name, size_bytes=len(_SAMPLE)))

    def put_file(self, path: Path) -> ArtifactRef:
        """Store a copy of ``path``; storing the same content twice keeps one. The hash is of what is stored."""
        if self._redactor is None:
            return self._put(path)
        with tempfile.NamedTemporaryFile() as clean:
            with path.open("rb") as file:
                self._redactor.copy(file, clean.file)
            clean.flush()
            return self._put(Path(clean.name))

    def put_exact(self, content: bytes) -> ArtifactRef:
        """Store ``content`` with whatever is in it: its caller has made sure that no secret is."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return self._put(Path(file.name))

    def put_bytes(self, content: bytes) -> ArtifactRef:
        """Store ``content``."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return self.put_file(Path(file.name))

    def get(self, ref: ArtifactRef) -> bytes:
        """The content, all of it in memory. Raises ``ArtifactError`` when it is missing or was changed."""
        content = io.BytesIO()
        self.copy(ref, content)
        return content.getvalue()

    def copy(self, ref: ArtifactRef, target: IO[bytes]) -> None:
        """Write the content to ``target``, a block at a time; only when this returns is it known to be the right one.

        Raises ``ArtifactError`` when it is missing or was changed.
        """
        digest, size = hashlib.sha256(), 0
        for block in self._store.blocks(ref.sha256):
            size += len(block)
            if size > ref.size_bytes:
                raise changed(ref.sha256, self.where)
            digest.update(block)
            target.write(block)
        if digest.hexdigest() != ref.sha256:
            raise changed(ref.sha256, self.where)

    def text(self, ref: ArtifactRef, *, head: int, tail: int) -> str:
        """The first ``head`` and the last ``tail`` bytes as text, with what is left out counted.

        Only these are read; of an artifact that is read in parts the length is verified, not the content.
        """
        left_out = ref.size_bytes - head - tail
        if left_out <= 0:
            return self.get(ref).decode("utf-8", "replace")
        first, last = self._part(ref, 0, head), self._part(ref, ref.size_bytes - tail, tail)
        return f"{first.decode('utf-8', 'replace')}\n[... {left_out} bytes ...]\n{last.decode('utf-8', 'replace')}"

    def text_or(self, ref: ArtifactRef, otherwise: str, *, head: int, tail: int) -> str:
        """As ``text``; ``otherwise`` where the artifact was lost: what is only shown stops nobody by being gone."""
        try:
            return self.text(ref, head=head, tail=tail)
        except ArtifactLostError:
            return otherwise

    def _part(self, ref: ArtifactRef, start: int, length: int) -> bytes:
        if length == 0:
            return b""
        content, size = self._store.part(ref.sha256, start, length)
        if size != ref.size_bytes or len(content) != length:
            raise changed(ref.sha256, self.where)
        return content

    def _put(self, path: Path) -> ArtifactRef:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
            size = file.tell()
        name = digest.hexdigest()
        # One of another length was cut short or changed, and is put right.
        if self._store.size(name) != size:
            self._store.put(name, path)
        return ArtifactRef(sha256=name, size_bytes=size)
