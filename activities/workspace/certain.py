"""What of the findings in code is worth changing the code for.

A format of its own speaks for itself. What only the name beside it makes a secret is as often none: a test's vector,
the token of a public key, the token of a tutorial. Taking those out would break honest code.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from overnight.base.redaction import KNOWN_VALUE, Finding, Redactor, is_made_up

_GUESSED = {"generic-api-key", "generic-password"}
_TEST = re.compile(
    r"(?:^|/)(?:(?:[\w-]+[.-])?tests?|testing|__tests__|specs?|test[-_]?data|fixtures?|__mocks__|__snapshots__|cassettes)/"
    r"|(?:^|/)test_[^/]*\Z|(?:^|/)conftest\.py\Z|[._-](?:test|spec)s?\.\w+\Z|Tests?\.\w+\Z",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_NAMES_ANOTHER = re.compile(r"::|/\*|\*\.|\Aarn:|\A(?:sha\d{3}|md5)[=:-]|\A\d{4}-\d\d-\d\d", re.IGNORECASE)
_SORTS = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]")))
_LETTER, _DIGIT = re.compile("[A-Za-z]"), re.compile("[0-9]")
_OF_PASSWORDS = re.compile(r"passw|passphrase|secret|sha-?\d", re.IGNORECASE)
_EXAMPLES = re.compile(r"1234567890|john|jane|joe|example|payload|\Afoo|\Abar", re.IGNORECASE)
_CHOSEN = 10
"""Characters from which on a password with digits that a person may have made up counts, outside of tests."""
_STRONG = 20
"""Characters from which on a value that only its name makes a secret counts in a test, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the paths of a text say about it: all of them are tests', or files that a person allows to hold secrets."""

    tests: bool = False
    allowed: bool = False


def place_of(paths: list[bytes], redactor: Redactor) -> Place:
    """The place of a text that stands at these paths."""
    names = [path.decode(errors="replace") for path in paths]
    return Place(
        tests=all(_TEST.search(name) for name in names),
        allowed=all(any(fnmatchcase(name, pattern) for pattern in redactor.allowed) for name in names),
    )


def is_certain(found: Finding, value: str, place: Place) -> bool:
    """Whether code may be changed for it."""
    if found.rule == KNOWN_VALUE:
        return True
    if place.allowed:
        return False
    if found.rule == "jwt":
        return not place.tests and not _is_sample(value)
    if found.rule not in _GUESSED:
        return found.sure
    if _UUID.fullmatch(value) or _NAMES_ANOTHER.search(value):
        return False
    if place.tests:
        strong = len(value) >= _STRONG and not _HEX.fullmatch(value) and all(sort.search(value) for sort in _SORTS)
        return found.sure and strong and not value.startswith("eyJ")
    return found.sure or _is_chosen(value)


def _is_chosen(value: str) -> bool:
    """Whether a person may have made this up to keep something closed, and not to show what a password is."""
    long = len(value) >= _CHOSEN and _LETTER.search(value) and _DIGIT.search(value)
    return bool(long) and _OF_PASSWORDS.search(value) is None


def _is_sample(token: str) -> bool:
    """Whether a web token is unsigned, or says of itself what examples say."""
    _, claims, *rest = token.split(".")
    if not rest or len(rest[0]) < _STRONG:
        return True
    try:
        told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    words = [word for word in _words(told) if not word.isdigit()]
    return any(_EXAMPLES.search(word) for word in _words(told)) or (
        bool(words) and all(is_made_up(word) for word in words)
    )


def _words(told: Any) -> list[str]:
    """The texts among the claims of a token."""
    values = told.values() if isinstance(told, dict) else [told]
    return [value for value in values if isinstance(value, str)]
