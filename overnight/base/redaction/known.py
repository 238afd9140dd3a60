"""Secrets that this process knows: which of its environment's values they are, and the forms in which they turn up."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .values import is_path, stands_for_another

MIN_LENGTH = 8
"""Shortest known value, in characters, that is looked for: shorter ones stand in innocent text too often."""

_TELLING = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|_PASS(?:_|$)", re.IGNORECASE)
_HARMLESS = re.compile(
    r"(?:^|_)(?:PUBLIC|KEYBOARD|KEYMAP|MAX|NUM|LIMIT|COUNT|TTL|TIMEOUT|TYPE|NAME|FILE|PATH|DIR|FOLDER|HELPER|STORE)(?:_|$)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z]{1,15}|[0-9.,:+-]*|(?:true|false|yes|no|on|off)", re.IGNORECASE | re.ASCII)


def known_secrets(environ: Mapping[str, str]) -> list[str]:
    """The values in an environment that are secrets by their variable's name, and the passwords inside its URLs.

    Values shorter than 8 characters, paths, single words, numbers and placeholders are none, whatever their name:
    they stand in innocent text, too.
    """
    found: dict[str, None] = {}
    for name, value in environ.items():
        if _TELLING.search(name) and not _HARMLESS.search(name):
            found[value.strip()] = None
        for secret in (*_in_url(value), *_in_headers(name, value)):
            found[secret] = None
    return [value for value in found if _is_telling(value)]


def _in_url(value: str) -> Iterable[str]:
    if "://" not in value or "@" not in value:
        return
    try:
        parts = urlsplit(value.strip())
        secret = parts.password or parts.username or ""
    except ValueError:
        return
    if parts.password or any(c.isdigit() for c in secret):
        yield secret
        yield unquote(secret)


def _in_headers(name: str, value: str) -> Iterable[str]:
    """How a collector of traces is told who sends them: ``authorization=Basic%20...,x-api-key=...``."""
    if name.startswith("OTEL_EXPORTER_") and name.endswith("_HEADERS"):
        for entry in value.split(","):
            yield unquote(entry.partition("=")[2]).strip().rpartition(" ")[2]


def _is_telling(value: str) -> bool:
    if len(value) < MIN_LENGTH or _WORD.fullmatch(value) or stands_for_another(value):
        return False
    return not is_path(value) and "://" not in value


def forms(value: str) -> set[str]:
    """How a value may stand in a text: as it is, URL-encoded, escaped for JSON once or twice, in base64.

    Base64 depends on where in the encoded bytes the value begins: what all texts with one of the three beginnings have
    in common is a form, without the characters at its ends that mix it with its neighbours.
    """
    escaped = json.dumps(value)[1:-1]
    found = {value, quote(value, safe=""), quote_plus(value), escaped, json.dumps(value, ensure_ascii=False)[1:-1]}
    found |= {json.dumps(escaped)[1:-1], quote(value), value.replace("/", "\\/")}
    found |= {re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), form) for form in list(found) if "%" in form}
    raw = value.encode("utf-8", "surrogateescape")
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=").decode()
        whole = encoded[(0, 2, 3)[shift] : len(encoded) if (shift + len(raw)) % 3 == 0 else -1]
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    # A stream is searched byte by byte.
    found |= {form.encode("utf-8", "surrogateescape").decode("latin-1") for form in found if not form.isascii()}
    return {form for form in found if len(form) >= MIN_LENGTH}
