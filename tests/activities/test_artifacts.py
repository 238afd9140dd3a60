"""What is stored is redacted, and named by the hash of what is stored. In a folder, and in a bucket."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import EndpointConnectionError

from activities.artifacts import ArtifactError, Artifacts, bucket
from activities.artifacts.bucket import Bucket
from activities.artifacts.store import place
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from tests.activities.s3 import S3Server, s3_server, set_environment
from tests.innocent import innocent
from tests.planted import KINDS, leak, planted
from workflows.contracts.evidence import ArtifactRef

SEED = 51
BIG = 64 << 20


class Shop:
    """A store, and a way behind its back."""

    around_secrets = 200
    """Bytes of harmless text before each."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.artifacts = Artifacts.of(settings)

    def redacting(self) -> Artifacts:
        return Artifacts(self.artifacts._store, Redactor())

    def names(self) -> list[str]:
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        raise NotImplementedError

    def write(self, ref: ArtifactRef, content: bytes | None) -> None:
        raise NotImplementedError


class InFolder(Shop):
    around_secrets = 20_000

    @property
    def root(self) -> Path:
        return self.settings.home / "artifacts"

    def names(self) -> list[str]:
        return sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file())

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, ref: ArtifactRef, content: bytes | None) -> None:
        path = self.root / place(ref.sha256)
        path.unlink()
        if content is not None:
            path.write_bytes(content)


class InBucket(Shop):
    def __init__(self, settings: Settings, server: S3Server, bucket: str) -> None:
        super().__init__(settings)
        self.client, self.bucket = server.client, bucket

    def names(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix="deep/prefix/").get("Contents", [])
        return sorted(entry["Key"].removeprefix("deep/prefix/") for entry in listed)

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=f"deep/prefix/{name}")["Body"].read()

    def write(self, ref: ArtifactRef, content: bytes | None) -> None:
        key = f"deep/prefix/{place(ref.sha256)}"
        if content is None:
            self.client.delete_object(Bucket=self.bucket, Key=key)
        else:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(params=["folder", "bucket"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    if request.param == "folder":
        return InFolder(Settings(home=tmp_path / "home"))
    set_environment(monkeypatch)
    server: S3Server = request.getfixturevalue("server")
    name = server.new_bucket()
    settings = Settings(home=tmp_path / "home", artifacts_url=server.url(name, "deep/prefix/"))
    return InBucket(settings, server, name)


def peak(work: Callable[[], None]) -> int:
    """By how many bytes the memory of this process grew while ``work`` ran."""
    me, over = psutil.Process(), threading.Event()
    start = highest = me.memory_info().rss

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.003):
            highest = max(highest, me.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return highest - start


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(3 << 20)], ids=["empty", "byte", "3 MB"])
def test_what_is_put_is_got(shop: Shop, content: bytes) -> None:
    ref = shop.artifacts.put_bytes(content)
    assert ref == ArtifactRef(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    assert shop.artifacts.get(ref) == content
    assert shop.names() == [f"{ref.sha256[:2]}/{ref.sha256}"]


def test_without_a_redactor_content_stays(shop: Shop) -> None:
    content = "\n".join(planted(SEED).values()).encode()
    assert shop.artifacts.get(shop.artifacts.put_bytes(content)) == content


def test_no_secret_is_stored(shop: Shop, tmp_path: Path) -> None:
    content = "\n".join(
        f"{innocent(i, shop.around_secrets)}{fake}" for i, fake in enumerate(planted(SEED).values())
    ).encode()
    log = tmp_path / "log"
    log.write_bytes(content + b"\xff\x00 the end")
    store = shop.redacting()
    ref = store.put_file(log)
    kept = store.get(ref)
    assert ref.sha256 == hashlib.sha256(kept).hexdigest()
    assert ref.size_bytes == len(kept) < len(content)
    assert kept.endswith(b"\xff\x00 the end")
    assert log.read_bytes().startswith(content), "the source was changed"
    everything = "".join(shop.read(name).decode("latin-1") for name in shop.names())
    assert [kind for kind in KINDS if leak(kind, SEED, everything)] == []
    assert store.put_bytes(content + b"\xff\x00 the end") == ref


def test_innocent_content_is_the_same_with_and_without(shop: Shop) -> None:
    content = innocent(3, 50_000).encode()
    assert shop.redacting().put_bytes(content) == shop.artifacts.put_bytes(content)


def test_the_same_content_is_stored_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = shop.artifacts.put_bytes(b"again and again")
    monkeypatch.setattr(shop.artifacts._store, "put", lambda *_: pytest.fail("stored twice"))
    assert shop.artifacts.put_bytes(b"again and again") == ref
    assert len(shop.names()) == 1


def test_one_that_was_cut_short_is_put_right(shop: Shop) -> None:
    ref = shop.artifacts.put_bytes(b"the whole of it")
    shop.write(ref, b"the who")
    assert shop.artifacts.put_bytes(b"the whole of it") == ref
    assert shop.artifacts.get(ref) == b"the whole of it"


def test_text_reads_both_ends_and_nothing_else(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"head" + b"." * 100_000 + b"tail"
    ref = shop.artifacts.put_bytes(content)
    assert shop.artifacts.text(ref, head=len(content), tail=1) == content.decode()
    read: list[int] = []
    part = shop.artifacts._store.part

    def counted(name: str, start: int, length: int) -> tuple[bytes, int]:
        got = part(name, start, length)
        read.append(len(got[0]))
        return got

    monkeypatch.setattr(shop.artifacts._store, "part", counted)
    monkeypatch.setattr(shop.artifacts._store, "blocks", lambda _: pytest.fail("read as a whole"))
    assert shop.artifacts.text(ref, head=4, tail=5) == "head\n[... 99999 bytes ...]\n.tail"
    assert shop.artifacts.text(ref, head=0, tail=4) == "\n[... 100004 bytes ...]\ntail"
    assert shop.artifacts.text(ref, head=4, tail=0) == "head\n[... 100004 bytes ...]\n"
    assert read == [4, 5, 4, 4]


def test_text_cut_within_a_character_is_still_text(shop: Shop) -> None:
    ref = shop.artifacts.put_bytes("ä".encode() * 10)
    assert shop.artifacts.text(ref, head=3, tail=1) == "ä\ufffd\n[... 16 bytes ...]\n\ufffd"


def test_a_missing_one_is_told(shop: Shop) -> None:
    ref = shop.artifacts.put_bytes(b"soon gone" * 100)
    shop.write(ref, None)
    asked: list[Callable[[], object]] = [
        lambda: shop.artifacts.get(ref),
        lambda: shop.artifacts.text(ref, head=1, tail=1),
        lambda: shop.artifacts.text(ref, head=1000, tail=1000),
    ]
    for ask in asked:
        with pytest.raises(ArtifactError) as told:
            ask()
        said = str(told.value)
        assert ref.sha256 in said
        assert f"not in the store {shop.artifacts.where}" in said
        assert "OVERNIGHT_ARTIFACTS_URL" in said
    assert shop.artifacts.put_bytes(b"soon gone" * 100) == ref
    assert shop.artifacts.get(ref) == b"soon gone" * 100


@pytest.mark.parametrize("now", [b"", b"evidence" * 99, b"evidencE" * 100, b"evidence" * 101])
def test_a_changed_one_is_told(shop: Shop, now: bytes) -> None:
    ref = shop.artifacts.put_bytes(b"evidence" * 100)
    shop.write(ref, now)
    with pytest.raises(ArtifactError, match=f"{ref.sha256} in the store .* does not have the content"):
        shop.artifacts.get(ref)
    if len(now) != ref.size_bytes:
        for head, tail in ((8, 8), (8, 0), (0, 8)):
            with pytest.raises(ArtifactError, match="does not have the content"):
                shop.artifacts.text(ref, head=head, tail=tail)


def test_the_same_content_at_the_same_time(shop: Shop) -> None:
    content = os.urandom(2 << 20)
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda _: shop.artifacts.put_bytes(content), range(16)))
    assert len(set(refs)) == 1
    assert shop.names() == [place(refs[0].sha256)]
    assert shop.artifacts.get(refs[0]) == content


def test_a_big_one_needs_little_memory(shop: Shop, tmp_path: Path) -> None:
    shop.artifacts.get(shop.artifacts.put_bytes(b"warm"))
    big, back = tmp_path / "big", tmp_path / "back"
    digest = hashlib.sha256()
    with big.open("wb") as file:
        for _ in range(BIG >> 20):
            digest.update(block := os.urandom(1 << 20))
            file.write(block)
    refs: list[ArtifactRef] = []

    def there_and_back() -> None:
        refs.append(shop.artifacts.put_file(big))
        with back.open("wb") as file:
            shop.artifacts.copy(refs[0], file)
        shop.artifacts.text(refs[0], head=1000, tail=1000)

    grew = peak(there_and_back)
    print(f"{shop.artifacts.where}: grew by {grew / 1e6:.1f} MB")  # noqa: T201
    assert refs == [ArtifactRef(sha256=digest.hexdigest(), size_bytes=BIG)]
    assert back.stat().st_size == BIG
    assert grew < BIG / 2, "it is sent in parts of 16 MB"
    back.unlink()
    big.unlink()


def test_check_writes_and_reads(shop: Shop) -> None:
    shop.artifacts.check()
    shop.artifacts.check()
    (name,) = shop.names()
    assert shop.read(name) == b"Overnight can store artifacts here.\n"


def test_two_workers_share_a_bucket(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch)
    url = server.url(server.new_bucket())
    here, there = (Artifacts.of(Settings(home=tmp_path / h, artifacts_url=url)) for h in ("here", "there"))
    assert there.get(here.put_bytes(b"seen by both")) == b"seen by both"
    assert not (tmp_path / "here").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file in its place")
    store = Artifacts.of(Settings(home=tmp_path))
    with pytest.raises(ArtifactError, match=rf"cannot .* the store of artifacts in {tmp_path}/artifacts: "):
        store.put_bytes(b"x")
    with pytest.raises(ArtifactError, match="cannot write to"):
        store.check()


def test_nothing_half_written_stays_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store = Artifacts.of(Settings(home=tmp_path))
    with pytest.raises(ArtifactError, match="No space left on device"):
        store.put_bytes(b"x" * 100)
    assert [p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()] == []


def test_bytes_that_cannot_be_written_are_not_the_store_s_fault(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    store = Artifacts.of(Settings(home=tmp_path))
    with pytest.raises(OSError, match="No space left"):
        store.copy(store.put_bytes(b"x"), Full())


def test_an_upload_that_fails_in_the_midst_leaves_nothing(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch)
    monkeypatch.setattr(bucket, "PART_BYTES", 5 << 20)  # the least that S3 allows
    name = server.new_bucket()
    store = Bucket.at(server.url(name))
    sent: list[object] = []

    def lost(**_: object) -> None:
        sent.append(1)
        if len(sent) == 2:
            raise EndpointConnectionError(endpoint_url=server.endpoint)

    store._connected().meta.events.register("before-call.s3.UploadPart", lost)
    content = os.urandom(12 << 20)
    with pytest.raises(ArtifactError, match="does not answer as it should"):
        Artifacts(store).put_bytes(content)
    assert len(sent) == 2
    assert server.client.list_multipart_uploads(Bucket=name).get("Uploads", []) == []
    assert server.client.list_objects_v2(Bucket=name)["KeyCount"] == 0
    assert Artifacts(store).get(Artifacts(store).put_bytes(content)) == content
