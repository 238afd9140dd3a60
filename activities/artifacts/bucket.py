"""The store in a bucket of an S3-compatible service. It needs boto3, the extra ``s3``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from activities.artifacts.address import WHERE_CREDENTIALS_GO, Address
from activities.artifacts.store import BLOCK_BYTES, SETTING, ArtifactError, missing, place

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONNECT_SECONDS = 3.0
"""Limits the connecting, and each stall while something is sent."""
READ_SECONDS = 10.0
"""Limits each wait for something to come."""
ATTEMPTS = 3
"""With these three a service that is silent fails after 33 s at most, one that refuses connections after 3 s."""
PART_BYTES = 16 << 20
"""Longer artifacts are sent in parts of this size, so that each answer comes soon; one part is held in memory."""
CONNECTIONS = 32

PERMISSIONS = "s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and s3:ListBucket"
"""What the credential must be allowed to do. Without the last, a missing artifact looks like a forbidden one."""

_CODE = re.compile(r"[A-Za-z0-9]{1,60}", re.ASCII)
_UNUSABLE = ("Credential", "Profile", "SSO", "Token", "Login", "ConfigParse", "ConfigNotFound", "RefreshWithMFA")
"""What exceptions about the credential have in their names."""
_REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}


class Bucket:
    """Objects of a bucket, under a prefix, named by their sha256."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: S3Client | None = None
        self._lock = Lock()

    @classmethod
    def at(cls, url: str) -> Bucket:
        """The store behind a URL; nothing is asked of it yet. Raises ``ValueError`` when it could not be, in words."""
        address = Address.read(url)
        if find_spec("boto3") is None:
            raise ValueError(f"{SETTING} needs boto3, which is not installed: `pip install 'overnight[s3]'`")
        return cls(address)

    @property
    def where(self) -> str:
        return str(self._address)

    def size(self, name: str) -> int | None:
        from botocore.exceptions import ClientError

        with self._in_words():
            try:
                head = self._connected().head_object(Bucket=self._address.bucket, Key=self._key(name))
            except ClientError as error:
                # A missing object looks forbidden to a credential that may not list the bucket.
                if _status(error) in {403, 404}:
                    return None
                raise
            return head["ContentLength"]

    def put(self, name: str, path: Path) -> None:
        from boto3.s3.transfer import TransferConfig

        transfer = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)
        with path.open("rb") as file, self._in_words():
            self._connected().upload_fileobj(file, self._address.bucket, self._key(name), Config=transfer)

    def part(self, name: str, start: int, length: int) -> tuple[bytes, int]:
        from botocore.exceptions import ClientError

        with self._in_words(name):
            try:
                answer = self._connected().get_object(
                    Bucket=self._address.bucket, Key=self._key(name), Range=f"bytes={start}-{start + length - 1}"
                )
            except ClientError as error:
                if _status(error) == 416:  # it ends before
                    return b"", 0
                raise
            with closing(answer["Body"]) as body:
                told = answer.get("ContentRange", "").rpartition("/")[2]
                if not told.isdecimal():
                    raise self._unusable("it does not send parts of an object", "use one that knows HTTP ranges")
                return body.read(length), int(told)

    def blocks(self, name: str) -> Iterator[bytes]:
        with self._in_words(name):
            answer = self._connected().get_object(Bucket=self._address.bucket, Key=self._key(name))
            body = answer["Body"]
        with closing(body):
            while True:
                with self._in_words(name):
                    block = body.read(BLOCK_BYTES)
                if not block:
                    return
                yield block

    def _key(self, name: str) -> str:
        return f"{self._address.prefix}/{place(name)}".removeprefix("/")

    def _connected(self) -> S3Client:
        # Made when first needed: it takes half a second and 40 MB. Making one is not safe in several threads.
        with self._lock:
            if self._client is None:
                self._client = _client(self._address)
            return self._client

    @contextmanager
    def _in_words(self, name: str = "") -> Iterator[None]:
        """Say what the library raises, without its own text: that may repeat what a service or a proxy was sent."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = _code(error)
            if name and (code == "NoSuchKey" or (code == "404" and _status(error) == 404)):
                raise missing(name, self.where) from None
            raise self._unusable(*self._refusal(code, _status(error))) from None
        except (BotoCoreError, Boto3Error) as error:
            raise self._unusable(*_trouble(type(error).__name__)) from None
        except ValueError as error:
            # From names and settings that the library itself checks, such as AWS_ENDPOINT_URL.
            raise self._unusable(
                f"its client cannot be made ({type(error).__name__})", f"correct {SETTING} and the AWS_* settings"
            ) from None

    def _refusal(self, code: str, status: int) -> tuple[str, str]:
        if code == "NoSuchBucket" or status == 404:
            return "there is no such bucket", f"make it, or correct {SETTING}"
        if code in _REFUSED:
            return f"it does not take the credential ({code})", f"renew it: {WHERE_CREDENTIALS_GO}"
        if code == "RequestTimeTooSkewed":
            return "the clock of this host and its own differ", "set the clock"
        if status in {401, 403}:
            return f"it forbids this ({code})", f"allow the credential {PERMISSIONS} on the bucket"
        if status in {301, 307, 400} and (
            code in {"PermanentRedirect", "AuthorizationHeaderMalformed"} or code == "301"
        ):
            return f"the bucket is in another region ({code})", f"name its region in {SETTING}"
        if status >= 500 or code in {"SlowDown", "Throttling", "RequestLimitExceeded"}:
            return f"it answers HTTP {status} ({code})", "try again when it is well"
        return f"it answers HTTP {status} ({code})", f"see what it logs, and check {SETTING}"

    def _unusable(self, why: str, fix: str) -> ArtifactError:
        return ArtifactError(f"the store of artifacts {self.where} cannot be used: {why}; {fix}")


def _trouble(kind: str) -> tuple[str, str]:
    if any(part in kind for part in _UNUSABLE):
        return f"no credential for it can be used ({kind})", WHERE_CREDENTIALS_GO
    if kind == "SSLError":
        return "its certificate is not trusted", "check the endpoint, or name your authorities in AWS_CA_BUNDLE"
    if "Region" in kind:
        return f"the region is none ({kind})", f"correct it in {SETTING}"
    return f"it does not answer as it should ({kind})", "check that it runs, the network, and HTTPS_PROXY and NO_PROXY"


def _client(address: Address) -> S3Client:
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=address.endpoint,
        region_name=address.region,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            # Newer checksums are unknown to many compatible services; content is verified by its name.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _status(error: object) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: object) -> str:
    """The service's name for what is wrong; it could write anything there."""
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else "no known code"
