"""Buckets that cannot be used: told in words, soon, and never with a credential."""

from __future__ import annotations

import importlib.util
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.artifacts import ArtifactError, Artifacts, bucket
from activities.artifacts.address import Address
from overnight.base.settings import Settings
from tests.activities.s3 import ACCESS_KEY, SECRET_KEY, closed_port, s3_server, service, set_environment
from workflows.contracts.evidence import ArtifactRef

REF = ArtifactRef(sha256="ab" * 32, size_bytes=5_000_000)
WORD = "hunter2-Zq8vT1"


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch)


def store(endpoint: str, home: Path = Path("/nowhere")) -> Artifacts:
    return Artifacts.of(Settings(home=home, artifacts_url=f"s3://night/runs?endpoint={endpoint}"))


def uses(artifacts: Artifacts) -> dict[str, Callable[[], object]]:
    return {
        "check": artifacts.check,
        "put": lambda: artifacts.put_bytes(b"content"),
        "get": lambda: artifacts.get(REF),
        "text": lambda: artifacts.text(REF, head=10, tail=10),
    }


USES = ["check", "put", "get", "text"]


def said_by(call: Callable[[], object]) -> str:
    """Its words; all that a log or a history could show of it holds no credential."""
    with pytest.raises(ArtifactError) as told:
        call()
    shown = "".join(traceback.format_exception(told.value))
    for secret in (ACCESS_KEY, SECRET_KEY, WORD):
        assert secret not in shown
    assert told.value.__cause__ is None
    return str(told.value)


def error(status: int, code: str, message: str = "") -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    return f"HTTP/1.1 {status} .\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize("use", USES)
def test_a_port_on_which_nothing_listens(use: str) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    began = time.monotonic()
    said = said_by(uses(store(endpoint))[use])
    assert time.monotonic() - began < 30
    assert f"s3://night/runs at {endpoint} cannot be used: it does not answer" in said
    assert "check that it runs" in said


@pytest.mark.parametrize("use", USES)
def test_a_silent_service(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "READ_SECONDS", 0.3)
    with service(lambda _: None) as (endpoint, heads):
        began = time.monotonic()
        assert "does not answer as it should (ReadTimeoutError)" in said_by(uses(store(endpoint))[use])
        assert time.monotonic() - began < 30
    assert len(heads) == bucket.ATTEMPTS


def test_silence_is_over_in_well_under_a_minute() -> None:
    longest_back_off = sum(2**n for n in range(bucket.ATTEMPTS - 1))
    assert bucket.ATTEMPTS * max(bucket.READ_SECONDS, bucket.CONNECT_SECONDS) + longest_back_off <= 40


def test_a_service_that_goes_down_and_comes_back(tmp_path: Path) -> None:
    with s3_server() as server:
        name = server.new_bucket()
        artifacts = Artifacts.of(Settings(home=tmp_path, artifacts_url=server.url(name)))
        ref = artifacts.put_bytes(b"before")
        assert artifacts.get(ref) == b"before"
    assert server.process.poll() is not None
    assert "cannot be used" in said_by(lambda: artifacts.put_bytes(b"after"))
    assert "cannot be used" in said_by(lambda: artifacts.get(ref))


@pytest.mark.parametrize("use", USES)
def test_a_service_that_hangs_up(use: str) -> None:
    with service(lambda _: b"") as (endpoint, heads):
        assert "does not answer as it should" in said_by(uses(store(endpoint))[use])
    assert len(heads) == bucket.ATTEMPTS


def test_an_answer_that_is_cut_off() -> None:
    whole = b"HTTP/1.1 200 .\r\ncontent-length: 5000000\r\nconnection: close\r\n\r\n" + b"x" * 100_000
    with service(lambda _: whole) as (endpoint, _):
        assert "does not answer as it should" in said_by(lambda: store(endpoint).get(REF))


def test_a_service_that_knows_no_ranges() -> None:
    whole = b"HTTP/1.1 200 .\r\ncontent-length: 4\r\nconnection: close\r\n\r\nxxxx"
    with service(lambda _: whole) as (endpoint, _):
        assert "does not send parts" in said_by(lambda: store(endpoint).text(REF, head=10, tail=10))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "it forbids this (AccessDenied); allow the credential s3:GetObject"),
        (403, "InvalidAccessKeyId", "does not take the credential (InvalidAccessKeyId); renew it"),
        (403, "SignatureDoesNotMatch", "does not take the credential (SignatureDoesNotMatch)"),
        (400, "ExpiredToken", "does not take the credential (ExpiredToken)"),
        (403, "RequestTimeTooSkewed", "the clock of this host"),
        (404, "NoSuchBucket", "there is no such bucket; make it, or correct OVERNIGHT_ARTIFACTS_URL"),
        (503, "SlowDown", "it answers HTTP 503 (SlowDown); try again"),
        (500, "InternalError", "it answers HTTP 500 (InternalError)"),
        (507, "XMinioStorageFull", "it answers HTTP 507 (XMinioStorageFull)"),
        (418, f"Tea {WORD}", "it answers HTTP 418 (no known code)"),
    ],
)
def test_what_it_refuses_is_told_without_its_message(status: int, code: str, words: str) -> None:
    """A head request has no body, so what it says of a put comes from the put itself or from its status alone."""
    message = f"The key {ACCESS_KEY} with {SECRET_KEY} and {WORD}"
    with service(lambda _: error(status, code, message)) as (endpoint, _):
        artifacts = store(endpoint)
        for use in ("get", "text", "check"):
            assert words in said_by(uses(artifacts)[use])
        assert "cannot be used" in said_by(uses(artifacts)["put"])


def test_a_credential_that_may_not_list_still_stores() -> None:
    """To it, a missing object looks forbidden."""
    made = b'HTTP/1.1 200 .\r\netag: "x"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

    def answer(head: bytes) -> bytes:
        return made if head.startswith(b"PUT") else error(403, "AccessDenied")

    with service(answer) as (endpoint, heads):
        store(endpoint).put_bytes(b"x")
    assert [head.split()[0] for head in heads] == [b"HEAD", b"PUT"]


def test_a_bucket_that_is_not_there() -> None:
    with s3_server() as server:
        artifacts = Artifacts.of(Settings(home=Path("/nowhere"), artifacts_url=server.url("night-none")))
        for call in uses(artifacts).values():
            assert "there is no such bucket" in said_by(call)


@pytest.mark.parametrize("use", USES)
def test_no_credential(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = said_by(uses(store(f"http://127.0.0.1:{closed_port()}"))[use])
    assert "no credential for it can be used (NoCredentialsError); the credential comes from" in said
    assert "AWS_PROFILE" in said


def test_a_profile_is_used_and_one_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    file = tmp_path / "credentials"
    file.write_text(f"[night]\naws_access_key_id = KEYOFNIGHT\naws_secret_access_key = {WORD}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "night")
    with service(lambda _: error(403, "AccessDenied")) as (endpoint, heads):
        said_by(lambda: store(endpoint).get(REF))
        assert b"Credential=KEYOFNIGHT/" in heads[0]
        monkeypatch.setenv("AWS_PROFILE", "day")
        assert "no credential for it can be used (ProfileNotFound)" in said_by(lambda: store(endpoint).get(REF))
    assert len(heads) == 1


def test_a_proxy_s_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://ada:{WORD}@127.0.0.1:{closed_port()}")
    assert "HTTPS_PROXY" in said_by(lambda: store("http://s3.example.com").get(REF))


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("s3://night", Address("night", "", None, None), "s3://night"),
        ("s3://night/", Address("night", "", None, None), "s3://night"),
        ("S3://night/a/b-c_1/", Address("night", "a/b-c_1", None, None), "s3://night/a/b-c_1"),
        ("s3://night?region=eu-central-1", Address("night", "", None, "eu-central-1"), "s3://night"),
        (
            "s3://night/p?endpoint=http://127.0.0.1:9000/&region=x",
            Address("night", "p", "http://127.0.0.1:9000", "x"),
            "s3://night/p at http://127.0.0.1:9000",
        ),
        (
            "s3://my.night?endpoint=https%3A%2F%2Fs3.example.com%2Fstorage%2Fv1",
            Address("my.night", "", "https://s3.example.com/storage/v1", None),
            "s3://my.night at https://s3.example.com/storage/v1",
        ),
        ("s3://abc?endpoint=http://[::1]:9000", Address("abc", "", "http://[::1]:9000", None), None),
    ],
)
def test_urls(url: str, address: Address, shown: str | None) -> None:
    assert Address.read(url) == address
    if shown is not None:
        assert str(address) == shown
    assert Artifacts.of(Settings(home=Path("/nowhere"), artifacts_url=url)).where == str(address)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/srv/artifacts", "must begin with s3://; leave the setting empty for a folder"),
        ("file:///srv/artifacts", "must begin with s3://"),
        ("https://night.s3.amazonaws.com/", "must begin with s3://"),
        ("s3:night", "must begin with s3://"),
        ("s3://", "must be a bucket's name"),
        ("s3:///prefix", "must be a bucket's name"),
        ("s3://a", "must be a bucket's name"),
        ("s3://night!/x", "must be a bucket's name"),
        (f"s3://{'a' * 64}", "must be a bucket's name"),
        ("s3://127.0.0.1:9000/night", "the service's address goes behind ?endpoint="),
        (f"s3://ada:{WORD}@night/p", "must hold no user and no password; the credential comes from"),
        (f"s3://{WORD}@night/p", "must hold no user and no password"),
        (f"s3://night?endpoint=http://ada:{WORD}@127.0.0.1:9000", "must hold no user and no password"),
        (f"s3://night?endpoint=http://ada:{WORD}%40127.0.0.1", "the endpoint must be an address"),
        (f"s3://night?access_key={WORD}", "nothing else; the credential comes from"),
        (f"s3://night?{WORD}", "nothing else"),
        (f"s3://night?endpoint=http://h/%3Fkey={WORD}", "the endpoint must be an address"),
        ("s3://night?region=a&region=b", "one endpoint and one region"),
        ("s3://night?region=", "the region must be"),
        ("s3://night?region=../x", "the region must be"),
        ("s3://night?endpoint=", "the endpoint must be an address"),
        ("s3://night?endpoint=127.0.0.1:9000", "the endpoint must be an address"),
        ("s3://night?endpoint=ftp://h", "the endpoint must be an address"),
        ("s3://night?endpoint=http://", "the endpoint must be an address"),
        ("s3://night?endpoint=http://h:99999", "the endpoint must be an address"),
        ("s3://night?endpoint=http://h:", "the endpoint must be an address"),
        ("s3://night?endpoint=http://h:0", "the endpoint must be an address"),
        ("s3://night?endpoint=http://[::1", "the endpoint must be an address"),
        ("s3://night/a//b", "the prefix must be"),
        ("s3://night//a", "the prefix must be"),
        ("s3://night/../b", "the prefix must be"),
        ("s3://night/a/..", "the prefix must be"),
        ("s3://night/./b", "the prefix must be"),
        ("s3://night/a%20b", "the prefix must be"),
        (f"s3://night/{'a' * 501}", "the prefix must be"),
        ("s3://night#x", "no #"),
        ("s3://night/a b", "a space"),
        ("s3://night\n", "cannot be printed"),
        ("s3://nïght", "must be a bucket's name"),
    ],
)
def test_nonsense_urls_are_refused_without_being_quoted(url: str, words: str) -> None:
    with pytest.raises(ValueError, match="OVERNIGHT_ARTIFACTS_URL") as told:
        Artifacts.of(Settings(home=Path("/nowhere"), artifacts_url=url))
    assert words in str(told.value)
    assert WORD not in str(told.value)


def test_an_empty_setting_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERNIGHT_ARTIFACTS_URL", "")
    assert Artifacts.of(Settings(home=tmp_path)).where == str(tmp_path / "artifacts")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "find_spec", lambda name: None if name == "boto3" else importlib.util.find_spec(name))
    with pytest.raises(ValueError, match=r"pip install 'overnight\[s3\]'"):
        store("http://127.0.0.1:9000")
