"""Reads the URL of a bucket. What is refused is not quoted: it may hold a credential."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from activities.artifacts.store import SETTING

EXAMPLE = "s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1"
WHERE_CREDENTIALS_GO = (
    "the credential comes from where AWS's own tools take it: AWS_PROFILE, AWS_ACCESS_KEY_ID with"
    " AWS_SECRET_ACCESS_KEY, or the role of the machine"
)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", re.ASCII)
_PREFIX = re.compile(r"(?!\.{1,2}(?:/|\Z))[\w.!*'()+=-]+(?:/(?!\.{1,2}(?:/|\Z))[\w.!*'()+=-]+)*", re.ASCII)
_LONGEST_PREFIX = 500
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}", re.ASCII)
_PATH = re.compile(r"(?:/[\w.~-]+)*/?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A place in a bucket."""

    bucket: str
    prefix: str
    """Without slashes around it; may be empty."""
    endpoint: str | None
    """URL of the service when it is not AWS's."""
    region: str | None

    @classmethod
    def read(cls, url: str) -> Address:
        """Raises ``ValueError``, in words, for what is no such URL."""
        if not url.isprintable() or " " in url:
            raise _wrong("it has a space or a character that cannot be printed")
        scheme, found, rest = url.partition("://")
        if scheme.lower() != "s3" or not found:
            raise _wrong("it must begin with s3://; leave the setting empty for a folder in OVERNIGHT_HOME")
        if "@" in url:
            raise _wrong(f"it must hold no user and no password; {WHERE_CREDENTIALS_GO}")
        if "#" in rest:
            raise _wrong("it must have no #")
        place, _, query = rest.partition("?")
        bucket, _, prefix = place.partition("/")
        if ":" in bucket:
            raise _wrong("what follows s3:// is the bucket; the service's address goes behind ?endpoint=")
        if not _BUCKET.fullmatch(bucket):
            raise _wrong("what follows s3:// must be a bucket's name: 3 to 63 letters, digits, dots and dashes")
        prefix = prefix.removesuffix("/")
        if prefix and (len(prefix) > _LONGEST_PREFIX or not _PREFIX.fullmatch(prefix)):
            raise _wrong(
                f"the prefix must be names between single slashes, of letters, digits and any of _.!*'()+=-, in all at"
                f" most {_LONGEST_PREFIX} characters"
            )
        given = parse_qsl(query, keep_blank_values=True)
        chosen = dict(given)
        if len(chosen) < len(given) or not chosen.keys() <= {"endpoint", "region"}:
            raise _wrong(f"behind the ? there may be one endpoint and one region, nothing else; {WHERE_CREDENTIALS_GO}")
        endpoint, region = chosen.get("endpoint"), chosen.get("region")
        if endpoint is not None:
            endpoint = _endpoint(endpoint)
        if region is not None and not _REGION.fullmatch(region):
            raise _wrong("the region must be one such as eu-central-1")
        return cls(bucket, prefix, endpoint, region)

    def __str__(self) -> str:
        place = f"s3://{self.bucket}/{self.prefix}".removesuffix("/")
        return f"{place} at {self.endpoint}" if self.endpoint else place


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        ok = (
            parts.scheme in {"http", "https"}
            and _HOST.fullmatch(parts.hostname or "") is not None
            and _PATH.fullmatch(parts.path) is not None
            and not (parts.query or parts.fragment or parts.netloc.endswith(":"))
            and parts.port != 0
        )
    except ValueError:
        ok = False
    if not ok or "@" in url:
        raise _wrong("the endpoint must be an address such as https://s3.example.com or http://127.0.0.1:9000")
    return url.rstrip("/")


def _wrong(why: str) -> ValueError:
    return ValueError(f"{SETTING}: {why}. An example: {SETTING}='{EXAMPLE}'")
