"""The contents of what differs between two trees, as text that can be searched and written back."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from overnight.base.redaction import Redactor

from .git import LONG_S, git

MAX_READ = 64 * 2**20
"""Size in bytes up to which a file is read into memory; what Overnight commits is smaller."""

_BATCH = 16 * 2**20
_MANY = 2**30
_HEAD = 8000
_FILES = {"100644", "100755", "120000"}
_MARKS = ((b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be"))
_SHORT_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs, with its new mode, and its old and new blob where it is a file or a link."""

    path: bytes
    mode: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """What a blob holds. `text` has a character for each byte of UTF-8, and is None for what is no text.

    `codec` is what the text was decoded from, empty where it is as it was. `raw` is empty for what is too large.
    """

    blob: str
    raw: bytes
    text: str | None
    codec: str = ""
    too_large: bool = False

    def packed(self, text: str) -> bytes:
        """Another text as bytes, in the way that this one was written."""
        raw = text.encode("latin-1")
        return raw.decode("utf-8").encode(self.codec) if self.codec else raw


def unpack(blob: str, raw: bytes) -> Content:
    """What these bytes hold: UTF-16 and UTF-32 are text only when nothing is lost on the way back."""
    if codec := _wide(raw[:_HEAD]):
        try:
            text = raw.decode(codec)
            if text.encode(codec) == raw:
                return Content(blob, raw, text.encode().decode("latin-1"), codec)
        except UnicodeError:
            pass
    if b"\0" in raw[:_HEAD]:
        return Content(blob, raw, None)
    return Content(blob, raw, raw.decode("latin-1"))


def _wide(head: bytes) -> str:
    """The name of an encoding with more than one byte for every character, or nothing."""
    for mark, codec in (*_MARKS, *_SHORT_MARKS):
        if head.startswith(mark):
            return codec
    first, second = head[::2].count(0), head[1::2].count(0)
    enough = max(4, 0.6 * len(head) / 2)
    if second >= enough and not first:
        return "utf-16-le"
    return "utf-16-be" if first >= enough and not second else ""


async def changes(git_dir: Path, *command: str) -> list[Change]:
    """What a diff command lists, without submodules. Raises GitError."""
    options = ("--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=all")
    verb, *ends = command
    out = await git(verb, *options, *ends, "--", git_dir=git_dir, max_output=_MANY, limit_s=LONG_S)
    listed = []
    fields = iter(out.fields)
    for meta in fields:
        mode_before, mode_after, before, after, _ = meta.decode().lstrip(":").split(" ")
        change = Change(
            path=next(fields),
            mode=mode_after,
            before=before if mode_before in _FILES else None,
            after=after if mode_after in _FILES else None,
        )
        listed.append(change)
    return listed


async def contents(git_dir: Path, blobs: list[str]) -> AsyncIterator[list[Content]]:
    """What blobs hold, some at a time. Raises GitError."""
    if not blobs:
        return
    asked = "\n".join(blobs).encode() + b"\n"
    listed = await git("cat-file", "--batch-check", git_dir=git_dir, stdin=asked, max_output=_MANY, limit_s=LONG_S)
    batch: list[str] = []
    weight = 0
    for line in listed.stdout.decode().splitlines():
        blob, kind, size = [*line.split(" "), "0"][:3]
        if kind != "blob":
            continue
        if int(size) > MAX_READ:
            yield [Content(blob, b"", None, too_large=True)]
            continue
        if batch and weight + int(size) > _BATCH:
            yield await _read(git_dir, batch)
            batch, weight = [], 0
        batch.append(blob)
        weight += int(size) + 100
    if batch:
        yield await _read(git_dir, batch)


async def _read(git_dir: Path, blobs: list[str]) -> list[Content]:
    asked = "\n".join(blobs).encode() + b"\n"
    out = await git("cat-file", "--batch", git_dir=git_dir, stdin=asked, max_output=_MANY, limit_s=LONG_S)
    return await asyncio.to_thread(_parted, out.stdout)


def _parted(out: bytes) -> list[Content]:
    found: list[Content] = []
    place = 0
    while (end := out.find(b"\n", place)) >= 0:
        blob, _, size = out[place:end].decode().split(" ")
        found.append(unpack(blob, out[end + 1 : end + 1 + int(size)]))
        place = end + 1 + int(size) + 1
    return found


async def known_in_large(git_dir: Path, blob: str, redactor: Redactor) -> list[int]:
    """The lines with known values in a blob of any size, which never stands in memory. Raises GitError, OSError."""
    with tempfile.TemporaryDirectory(prefix="overnight-large-") as folder:
        name = (await git("unpack-file", blob, git_dir=git_dir, cwd=Path(folder), limit_s=LONG_S)).text
        return await asyncio.to_thread(_known_in_file, Path(folder) / name, redactor)


def _known_in_file(path: Path, redactor: Redactor) -> list[int]:
    with path.open("rb") as file:
        return redactor.known_lines(file)
