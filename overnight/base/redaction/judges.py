"""What speaks for a match being a secret of a known format, and where in it the secret stands."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import NamedTuple

from .values import MIXED, is_code, is_made_up, is_path, looks_random, stands_for_another

MAX_KEY = 20_000
"""Longest private key block, in characters."""


class Hit(NamedTuple):
    """Where a secret stands. One that is not sure looks made up by a person: a test's fixture may look so, too."""

    start: int
    end: int
    sure: bool = True


COLOURS = r"(?:(?:\x1b|\\{1,2}(?:u001b|x1b|033|e))\[[0-9;]{0,12}m){0,3}"
"""Pattern of what terminals read as colours, as it is or escaped, up to three in a row."""

Judge = Callable[[re.Match[str]], Hit | None]
"""Returns where in a match the secret stands, or None."""

_BASE64_LINE = re.compile(r"[A-Za-z0-9+/=]{32,}")
_CUT = r"(?:[A-Za-z0-9+/]{1,19}(?=[^A-Za-z0-9]{0,8}\Z))?"
_KEY_TEXT = re.compile(rf"""(?:[\s"'+,]|\\[nr]|[A-Za-z0-9+/=]{{20,}})*+{_CUT}""", re.ASCII)
# Backwards an escaped line end is `n\`, whose letter must not pass for base64.
_KEY_TEXT_REVERSED = re.compile(
    rf"""(?:\s|[nr]\\)*+(?:[A-Za-z0-9+/=](?!\\)){{1,100}}+
    (?:[\s"'+,]|[nr]\\|(?:[A-Za-z0-9+/=](?!\\)){{20,}})*+{_CUT}""",
    re.ASCII | re.VERBOSE,
)
_BEGUN = re.compile(r"PRIVATE KEY(?: BLOCK)?-----\Z")
_TUTORIAL = "IiOiIxMjM0NTY3ODkwIi"


def varied(match: re.Match[str]) -> Hit | None:
    """A known format: its ``body`` is no row of x, and nothing says that it is an example."""
    body = match["body"]
    return None if len(set(body)) < 5 or stands_for_another(body) else Hit(*match.span())


def anything(match: re.Match[str]) -> Hit | None:
    """The whole match."""
    return Hit(*match.span())


def random_value(match: re.Match[str]) -> Hit | None:
    """The value ``v`` looks random."""
    return Hit(*match.span("v")) if looks_random(match["v"]) else None


def mixed_value(match: re.Match[str]) -> Hit | None:
    """The value ``v`` has small letters, capitals and digits, which hashes in hexadecimal have not."""
    value = match["v"]
    mixed = all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return Hit(*match.span("v")) if mixed and looks_random(value) else None


def preceded(pattern: str, judge: Judge = varied) -> Judge:
    """What ``judge`` finds, with the part of the secret that stands before the keyword and matches ``pattern``."""
    before = re.compile(rf"(?:{pattern})\Z", re.ASCII)

    def judged(match: re.Match[str]) -> Hit | None:
        hit = judge(match)
        found = before.search(match.string, max(0, match.start() - 64), match.start())
        return None if hit is None or found is None else hit._replace(start=found.start())

    return judged


def web_token(match: re.Match[str]) -> Hit | None:
    """A JSON web token, but not the one of every tutorial, whose subject is 1234567890."""
    return None if _TUTORIAL in match[0] else Hit(*match.span())


def key_block(match: re.Match[str]) -> Hit | None:
    """A private key: what stands between its lines is mostly base64. One that is cut off ends with its base64."""
    body, (start, end) = match["body"], match.span()
    if match["end"] is None:
        cut = _KEY_TEXT.match(body)
        body = cut[0] if cut else ""
        end = match.start("body") + len(body)
    solid = sum(len(found) for found in _BASE64_LINE.findall(body))
    fits = len(body) <= MAX_KEY and solid >= 40 and 2 * solid >= sum(not c.isspace() for c in body)
    return Hit(start, end) if fits else None


def key_tail(match: re.Match[str]) -> Hit | None:
    """The end of a private key whose beginning was cut off."""
    text, end = match.string, match.start()
    start = max(0, end - MAX_KEY, text.rfind("-----", max(0, end - MAX_KEY), end) + 5)
    found = _KEY_TEXT_REVERSED.match(text[start:end][::-1])
    if found is None or _BASE64_LINE.search(found[0]) is None or _BEGUN.search(text, max(0, start - 60), start):
        return None
    return Hit(end - len(found[0]), match.end())


def in_url(match: re.Match[str]) -> Hit | None:
    """A password before the ``@`` of a URL, or a token that stands there alone."""
    alone = match["alone"]
    if alone is not None:
        return Hit(*match.span("alone")) if len(alone) >= 16 and looks_random(alone) else None
    value, user = match["v"], match["user"]
    if stands_for_another(value) or is_made_up(value) or is_code(value) or value.lower() == user.lower():
        return None
    if value.isdigit() and len(value) < 6:
        return None  # a port
    return Hit(*match.span("v"), sure=looks_random(value))


def credentials(match: re.Match[str]) -> Hit | None:
    """What an Authorization header carries."""
    value = match["v"]
    if (match["scheme"] or "").lower() == "basic":
        return login(match)
    if looks_random(value):
        return Hit(*match.span("v"))
    solid = match["scheme"] is not None and len(value) >= 20 and any(c.isdigit() for c in value)
    if not solid or stands_for_another(value) or is_made_up(value) or is_code(value):
        return None
    return Hit(*match.span("v"))


def login(match: re.Match[str]) -> Hit | None:
    """``user:password`` in base64."""
    value = match["v"]
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, _, password = decoded.partition(":")
    if not password or not decoded.isprintable() or password == user:
        return None
    if stands_for_another(password) or is_made_up(password):
        return None
    return Hit(*match.span("v"), sure=looks_random(password))


def cookies(match: re.Match[str]) -> Hit | None:
    """The cookies of a request, when one of them looks random."""
    values = (pair.partition("=")[2].strip() for pair in match["v"].split(";", 40))
    return Hit(*match.span("v")) if any(looks_random(value) for value in values) else None


def typed(match: re.Match[str]) -> Hit | None:
    """A password on a command line or in a file of logins."""
    value = match["v"]
    if stands_for_another(value) or is_made_up(value) or is_code(value) or is_path(value):
        return None
    random = looks_random(value)
    return Hit(*match.span("v"), sure=random) if random or MIXED.match(value) else None
