"""What is stored is redacted, and named by the hash of what is stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

from activities.artifacts import Artifacts
from overnight.base.redaction import Redactor
from tests.innocent import innocent
from tests.planted import KINDS, leak, planted

SEED = 51


def test_without_a_redactor_content_stays(tmp_path: Path) -> None:
    content = "\n".join(planted(SEED).values()).encode()
    store = Artifacts(tmp_path)
    assert store.get(store.put_bytes(content)) == content


def test_no_secret_is_stored(tmp_path: Path) -> None:
    content = "\n".join(f"{innocent(i, 20_000)}{fake}" for i, fake in enumerate(planted(SEED).values())).encode()
    log = tmp_path / "log"
    log.write_bytes(content + b"\xff\x00 the end")
    store = Artifacts(tmp_path / "store", Redactor())
    ref = store.put_file(log)
    kept = store.get(ref)
    assert ref.sha256 == hashlib.sha256(kept).hexdigest()
    assert ref.size_bytes == len(kept) < len(content)
    assert kept.endswith(b"\xff\x00 the end")
    assert log.read_bytes().startswith(content), "the source was changed"
    everything = "".join(
        path.read_bytes().decode("latin-1") for path in (tmp_path / "store").rglob("*") if path.is_file()
    )
    assert [kind for kind in KINDS if leak(kind, SEED, everything)] == []
    assert store.put_bytes(content + b"\xff\x00 the end") == ref


def test_innocent_content_is_the_same_with_and_without(tmp_path: Path) -> None:
    content = innocent(3, 50_000).encode()
    assert Artifacts(tmp_path, Redactor()).put_bytes(content) == Artifacts(tmp_path).put_bytes(content)
