"""Finding secrets in text, and taking them out: known values first, then what looks like one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from .judges import MAX_KEY
from .known import MIN_LENGTH, forms
from .rules import RULES, Watch, patient

KNOWN_VALUE = "known-value"
"""Rule id of a secret that the process knows."""
NOT_EXAMINED = "not-examined"
"""What a marker says that stands for a whole text which took too long to examine."""

_NAMES = (KNOWN_VALUE, *(rule.id for rule in RULES))
_MARKER = re.compile(f"<redacted:(?P<rule>{'|'.join(sorted({*_NAMES, NOT_EXAMINED}))})>")
_OPENING = "<redacted:"
_LOOKUPS = [(rank, rule, keyword) for rank, rule in enumerate(RULES, 1) for keyword in rule.keywords or ("",)]
_FILLER = "\0"
_ROUNDS = 4

_OVERLAP = 2 * MAX_KEY
_BLOCK = 2**19


class SlowTextError(Exception):
    """A text took more processor time than its caller grants it: its author may have meant it to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a secret stands: its line, counted from 1, and its span in characters; never what it is.

    One that is not ``sure`` looks made up by a person: ``password = "kitten42"``, as tests are full of, too.
    """

    rule: str
    line: int
    start: int
    end: int
    sure: bool = True


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    rank: int
    sure: bool


def marker(rule: str) -> str:
    """What stands in a text in place of a secret of this kind."""
    return f"{_OPENING}{rule}>"


def markers(text: str) -> list[re.Match[str]]:
    """The markers that stand in a text; the group ``rule`` of each is its rule's id."""
    return list(_MARKER.finditer(text)) if _OPENING in text else []


class Redactor:
    """Takes secrets out of text. Immutable and safe to share between threads."""

    def __init__(self, known: Iterable[str] = (), allowed: Iterable[str] = ()) -> None:
        """Know these values, of which those of at least 8 characters are looked for.

        ``allowed`` are patterns of files that a person lets hold what only looks like a secret.
        """
        self.allowed = tuple(allowed)
        values = {value for value in known if len(value) >= MIN_LENGTH and len(set(value)) > 1 and _FILLER not in value}
        self._count = len(values)
        self._needles = sorted({form for value in values for form in forms(value)}, key=len, reverse=True)
        self._longest = max(map(len, self._needles), default=1)

    @classmethod
    def of(cls, known: Iterable[str], allowed: Iterable[str] = ()) -> Redactor:
        """A redactor that knows these values beside the table."""
        return cls(known, allowed)

    def __repr__(self) -> str:
        return f"Redactor({self._count} known values)"

    def text(self, text: str) -> str:
        """The text with ``<redacted:rule>`` for every secret, or as many ``*`` where that would be longer.

        It never grows, markers stay as they are, and doing it twice is doing it once.
        """
        for _ in range(_ROUNDS):
            spans = self._spans(text)
            if not spans:
                break
            text = _render(text, spans)
        return text

    def named(self, name: str, value: str) -> str:
        """The value of a field, redacted in the light of the field's name."""
        before = f'{name}="'
        shift = len(before)
        spans = [
            _Span(max(span.start - shift, 0), min(span.end - shift, len(value)), span.rank, span.sure)
            for span in self._spans(f'{before}{value}"')
            if span.end > shift
        ]
        return self.text(_render(value, spans)) if spans else value

    def findings(self, text: str, *, seconds: float | None = None) -> list[Finding]:
        """Where secrets stand, from the first to the last; they do not overlap.

        Raises ``SlowTextError`` when looking costs this thread more than ``seconds`` of processor time.
        """
        found, line, place = [], 1, 0
        for span in self._spans(text, patient if seconds is None else _limited(seconds)):
            line += text.count("\n", place, span.start)
            place = span.start
            found.append(Finding(_NAMES[span.rank], line, span.start, span.end, span.sure))
        return found

    def known_lines(self, source: IO[bytes], *, block: int = _BLOCK) -> list[int]:
        """In which lines, counted from 1, values stand that the process knows, in bytes of any kind and number.

        Zero bytes are passed over: a value is found in UTF-16 and UTF-32, too. Memory is bounded. Raises OSError.
        """
        found: set[int] = set()
        kept, line = "", 1
        while data := _read(source, block):
            window = kept + data.replace(b"\0", b"").decode("latin-1")
            for needle in self._needles:
                place = window.find(needle)
                while place >= 0:
                    found.add(line + window.count("\n", 0, place))
                    place = window.find(needle, place + len(needle))
            kept = window[max(0, len(window) - self._longest + 1) :]
            line += window.count("\n", 0, len(window) - len(kept))
        return sorted(found)

    def copy(self, source: IO[bytes], target: IO[bytes], *, block: int = _BLOCK) -> None:
        """Copy a stream of any size without its secrets, in bounded memory.

        Bytes that are no text survive as they are, and a secret is found wherever reading parts it. Raises OSError.
        """
        window, done = "", 0
        while True:
            data = _read(source, block)
            window += data.decode("latin-1")
            # A secret that begins before this place ends within the window.
            safe = len(window) - _OVERLAP if data else len(window)
            if safe > done:
                spans = [span for span in self._spans(window) if span.start < safe and span.end > done]
                until = max([safe, *(span.end for span in spans)])
                clipped = [_Span(max(s.start, done) - done, s.end - done, s.rank, s.sure) for s in spans]
                target.write(_render(window[done:until], clipped).encode("latin-1"))
                kept = max(0, until - _OVERLAP)
                window, done = window[kept:], until - kept
            if not data:
                return

    def _spans(self, text: str, watch: Watch = patient) -> list[_Span]:
        """Where secrets stand, in order and apart from each other.

        What is found is hidden, and the rest is searched again: a secret may have kept another one from being seen.
        """
        found: list[_Span] = []
        text = _MARKER.sub(lambda m: _FILLER * len(m[0]), text) if _OPENING in text else text
        for _ in range(_ROUNDS):
            new = _merge(self._once(text, watch))
            if not new:
                break
            found += new
            text = _hide(text, new)
        return _merge(found)

    def _once(self, text: str, watch: Watch) -> list[_Span]:
        found: list[_Span] = []
        for needle in self._needles:
            watch()
            place = text.find(needle)
            while place >= 0:
                found.append(_Span(place, place + len(needle), 0, True))
                place = text.find(needle, place + 1)
        lower = text.lower()
        if len(lower) != len(text):  # a few letters of other scripts become two
            lower = "".join(c.lower() if c.isascii() else c for c in text)
        for rank, rule, keyword in _LOOKUPS:
            watch()
            searched = lower if rule.folded else text
            if keyword in searched:
                hits = rule.hits(text, searched, keyword, watch) if keyword else rule.hits_anywhere(text, watch)
                found += [_Span(hit.start, hit.end, rank, hit.sure) for hit in hits]
        return found


def _limited(seconds: float) -> Watch:
    end = time.thread_time() + seconds

    def watch() -> None:
        if time.thread_time() > end:
            raise SlowTextError

    return watch


def _read(source: IO[bytes], size: int) -> bytes:
    """Read a whole block, however little a pipe gives at a time."""
    parts, missing = [], size
    while missing > 0 and (part := source.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _merge(spans: list[_Span]) -> list[_Span]:
    """The same places in order, those that overlap made one: the rule with the lowest rank names it."""
    merged: list[_Span] = []
    for span in sorted(spans, key=lambda s: (s.start, s.rank)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = _Span(last.start, max(last.end, span.end), min(last.rank, span.rank), last.sure or span.sure)
        else:
            merged.append(span)
    return merged


def _hide(text: str, spans: list[_Span]) -> str:
    parts, place = [], 0
    for span in spans:
        parts += [text[place : span.start], _FILLER * (span.end - span.start)]
        place = span.end
    return "".join([*parts, text[place:]])


def _render(text: str, spans: list[_Span]) -> str:
    parts, place = [], 0
    for span in spans:
        shown = marker(_NAMES[span.rank])
        size = span.end - span.start
        parts += [text[place : span.start], shown if len(shown) <= size else "*" * size]
        place = span.end
    return "".join([*parts, text[place:]])
