"""Big evidence, by content hash: history holds hash, size and a short tail."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from overnight.base.redaction import Redactor
from workflows.contracts.evidence import ArtifactRef

_BLOCK = 1 << 20


class ArtifactError(Exception):
    """An artifact is missing or is not what its name says."""


class Artifacts:
    """A folder of files that are named by their sha256. With a redactor no secret enters it."""

    def __init__(self, root: Path, redactor: Redactor | None = None) -> None:
        self._root = root
        self._redactor = redactor

    def put_file(self, path: Path) -> ArtifactRef:
        """Store a copy of ``path``; storing the same content twice keeps one. The hash is of what is stored."""
        if self._redactor is None:
            return self._put(path)
        with tempfile.NamedTemporaryFile() as clean:
            with path.open("rb") as file:
                self._redactor.copy(file, clean.file)
            clean.flush()
            return self._put(Path(clean.name))

    def _put(self, path: Path) -> ArtifactRef:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        name = digest.hexdigest()
        target = self._path(name)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, fresh = tempfile.mkstemp(dir=target.parent)
            os.close(handle)
            shutil.copyfile(path, fresh)
            Path(fresh).replace(target)
        return ArtifactRef(sha256=name, size_bytes=path.stat().st_size)

    def put_bytes(self, content: bytes) -> ArtifactRef:
        """Store ``content``."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return self.put_file(Path(file.name))

    def get(self, ref: ArtifactRef) -> bytes:
        """The content. Raises ``ArtifactError`` when it is missing or was changed."""
        path = self._path(ref.sha256)
        if not path.is_file():
            raise ArtifactError(f"artifact {ref.sha256} is not in the store {self._root}")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != ref.sha256:
            raise ArtifactError(f"artifact {ref.sha256} in {self._root} does not have the content that its name says")
        return content

    def text(self, ref: ArtifactRef, *, head: int, tail: int) -> str:
        """The first ``head`` and the last ``tail`` bytes as text, with what is left out counted."""
        content = self.get(ref)
        if len(content) <= head + tail:
            return content.decode("utf-8", "replace")
        left_out = len(content) - head - tail
        first, last = content[:head], content[len(content) - tail :]
        return f"{first.decode('utf-8', 'replace')}\n[... {left_out} bytes ...]\n{last.decode('utf-8', 'replace')}"

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / name
