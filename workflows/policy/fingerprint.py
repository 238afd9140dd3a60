"""Fingerprints of failures: the same for the same failure, whatever folder, line, address or moment it happened at.

Three levels. ``exact``: the first key lines of what was printed, without what differs from run to run. ``template``:
also without quoted names, so that a missing module is one failure whatever its name. ``kind``: error codes and types
alone, a hint. The rules have a version, which every fingerprint carries; they are computed anew from stored output.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from workflows.contracts.evidence import Fingerprint
from workflows.contracts.text import printable

VERSION = "v1"
HEAD_BYTES, TAIL_BYTES = 16_000, 48_000
"""How much of the beginning and the end of some output is worth looking at."""
KEY_LINES = 3
_LAST_LINES = 6
_LONGEST_LINE = 400
"""Characters; what is behind them has no part. Every pattern below takes linear time on a line of this length."""

# What tools say in one line when something is wrong, each anchored at the line's beginning.
_KEYS = tuple(
    re.compile(pattern)
    for pattern in (
        r"E {2,}\S",  # pytest
        r"error(?:\[\w{1,20}\])?: (?!aborting due|could not compile|test failed)",  # rustc, cargo
        r"\S{1,200}(?:\(\d{1,9},\d{1,9}\):|:\d{1,9}:\d{1,9} -) error TS\d{1,6}: ",  # tsc
        r"\S{1,200}\.go:\d{1,9}(?::\d{1,9})?: ",  # go
        r"panic: ",
        r"thread '.{0,200}' .{0,40}panicked at",  # the next line says why
        r"(?:Uncaught )?[A-Za-z_][\w.$]{0,100}(?:Error|Exception|Interrupt)(?: \[\w{1,60}\])?(?::|$)",
        r"npm (?:error|ERR!) (?!A complete log|Lifecycle script|\s*/)",
        r"\s{0,12}not ok \d",  # TAP
        r"\s{0,12}--- FAIL: ",
    )
)
_PANIC = _KEYS[5]
_PYTEST = _KEYS[0]
_ERROR_WORD = re.compile(
    r"error|fail|fatal|cannot|can't|not found|undefined|denied|refused|missing|no such|invalid|unexpected|expected"
    r"|unable|exception|abort|panic|undeclared|unknown|unbound|assert|overflow|timed? ?out|no rule|not a |nothing to",
    re.IGNORECASE,
)
_EXCERPT = re.compile(r"\s*(?:\d{1,9} ?\||\||[~^]|at \S|[-=*_#]{3,}|>|\+ )")

_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d[:_]\d\d[:_]\d\d(?:[.,_]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?(?!\w)")
_CLOCK = re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{1,32}\b")
_HEX = re.compile(r"\b(?=[a-f]{0,40}\d)(?=\d{0,40}[a-f])[0-9a-f]{7,64}\b")
_PATH = re.compile(r"(?<![\w.<>/])(?:file://)?/(?:[\w.+@~-]{1,100}/){0,40}([\w.+@~-]{0,100})")
_TEMPORARY = re.compile(r"\b(?:tmp|temp|work|build|pytest)[-_.]?[a-z0-9_]*\d[a-z0-9_]*\b")
_RANDOM_NAME = re.compile(r"tmp\w{3,}|.*(?:<hex>|\d{3,}).*|pytest-\w+")
_PLACE = re.compile(r":\d{1,9}(?::\d{1,9})?(?=\W|$)|\(\d{1,9},\d{1,9}\)")
_LINE = re.compile(r"\b([Ll]ines?|[Cc]olumn|[Cc]ol|position|char|pos) \d{1,9}\b")
_HOST = re.compile(r"\b(localhost|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}):\d{1,5}\b")
_NUMBERED = re.compile(r"\b(pid|port|thread|process|PID|Thread)([ :=#(]{1,2})\d{1,9}\b")
_THREAD = re.compile(r"(thread '.{0,200}?') \(\d{1,9}\)")
_DURATION = re.compile(r"\b\d{1,9}(?:\.\d{1,9})? ?(?:ns|µs|us|ms|s|sec|secs|seconds|min|minutes)\b")
_BIG = re.compile(r"\b\d{5,30}\b")
_COUNTED = re.compile(r"\b(not ok) \d{1,9}\b")
_QUOTED = re.compile(r"""'[^']{0,200}'|"[^"]{0,200}"|`[^`]{0,200}`|\u2018[^\u2019]{0,200}\u2019""")
_KIND = re.compile(
    r"\b(?:E\d{4}|TS\d{3,6}|E[A-Z]{4,20}|ERR_[A-Z_]{2,40}|[A-Z]\w{0,60}?(?:Error|Exception)|[A-Z]{1,4}\d{3,4})\b"
)


def fingerprint(output: str) -> Fingerprint:
    """The fingerprint of what a command that failed has printed. Pure: the same output has the same one for ever."""
    exact = list(islice(_distinct(_normal(line) for line in key_lines(output)), KEY_LINES))
    template = list(dict.fromkeys(_QUOTED.sub("<q>", line) for line in exact))
    kinds = sorted({found for line in exact for found in _KIND.findall(line)})
    return Fingerprint(
        exact=_digest("exact", exact),
        template=_digest("template", template),
        kind=f"{VERSION}:class:{'+'.join(kinds[:2])}" if kinds else "",
    )


def key_lines(output: str) -> list[str]:
    """The lines that say what is wrong, as they were printed; the last lines where none does."""
    text = printable(
        output[:HEAD_BYTES] + "\n" + output[-TAIL_BYTES:] if len(output) > HEAD_BYTES + TAIL_BYTES else output
    )
    lines = [line[:_LONGEST_LINE].rstrip() for line in text.splitlines()]
    found: list[str] = []
    for n, line in enumerate(lines):
        if not any(key.match(line) for key in _KEYS):
            continue
        if _PYTEST.match(line) and n and _PYTEST.match(lines[n - 1]):
            continue  # what follows explains the first of them
        found.append(line)
        if _PANIC.match(line) and n + 1 < len(lines):
            found.append(lines[n + 1])
    if found:
        return found
    plain = [line for line in lines if line.strip()]
    telling = [line for line in plain if _ERROR_WORD.search(line) and not _EXCERPT.match(line)]
    return telling or plain[-_LAST_LINES:]


def _distinct(lines: Iterable[str]) -> Iterator[str]:
    seen = {""}
    for line in lines:
        if line not in seen:
            seen.add(line)
            yield line


def _normal(line: str) -> str:
    """``line`` without what differs from run to run."""
    line = _UUID.sub("<uuid>", line)
    line = _CLOCK.sub("<time>", _TIME.sub("<time>", line))
    line = _HEX.sub("<hex>", _ADDRESS.sub("<hex>", line))
    line = _HOST.sub(r"\1:<n>", line)
    line = _PATH.sub(_base, line)
    line = _TEMPORARY.sub("<tmp>", line)
    line = _PLACE.sub(":<at>", _LINE.sub(r"\1 <n>", line))
    line = _THREAD.sub(r"\1", _NUMBERED.sub(r"\1\2<n>", line))
    line = _DURATION.sub("<time>", line)
    line = _COUNTED.sub(r"\1", _BIG.sub("<n>", line))
    return " ".join(line.split())


def _base(path: re.Match[str]) -> str:
    """An absolute path as its last name; not even that when the name is one of the moment."""
    name = path[1]
    return "<dir>" if not name or ("." not in name and _RANDOM_NAME.fullmatch(name)) else f"<dir>/{name}"


def _digest(level: str, lines: list[str]) -> str:
    return f"{VERSION}:{level}:{hashlib.sha256(chr(10).join(lines).encode('utf-8', 'replace')).hexdigest()[:16]}"
