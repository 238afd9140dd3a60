"""Secrets in what the agent wrote: taken out before they get into a commit, and looked for between two commits.

Only what is sure counts: a password that a person made up may as well be a test's fixture. What stood in the parent's
version of a changed or deleted file is nobody's doing now.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from overnight.base.redaction import Finding, Redactor, marker, markers

from .git import LONG_S, git
from .names import check_commit
from .reading import Source, hold
from .rewrite import rewrite
from .worktree import Worktree

MAX_EXAMINED = 5 * 2**20
"""Size in bytes up to which a text file is examined."""
MAX_FOUND = 100
"""Most secrets that a report lists."""

_MAX_BEFORE = 50 * 2**20
_BATCH = 16 * 2**20
_MANY = 2**30
_TEXT_HEAD = 8000
_LINKS = "120000"
_GUESSED = {"generic-api-key", "generic-password", "jwt"}
_FILES = {"100644", "100755", _LINKS}
_MAX_SEARCHED = 200
_SEARCHES = 3
_ROUNDS = 10


def _is_certain(found: Finding) -> bool:
    """Whether code may be changed for it. What only its name makes a secret is as often none: a public key's token."""
    return found.sure and found.rule not in _GUESSED


@dataclass(frozen=True, slots=True)
class SecretFound:
    """Where a secret stands, or with `marked` the marker that took its place: never what it is.

    `line` counts from 1 in the file as it is committed, and is 0 for a secret in the file's name. `rule` says what it
    looks like.
    """

    path: str
    line: int
    rule: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class _Change:
    path: bytes
    mode: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class _Examined:
    """A text that has something: secrets, and markers with the number of their line, the line and their rule."""

    blob: str
    text: str
    secrets: list[Finding] = field(default_factory=list)
    markers: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def values(self) -> set[str]:
        return {self.text[found.start : found.end] for found in self.secrets}


async def take_out(worktree: Worktree, redactor: Redactor) -> list[SecretFound]:
    """Replace each new secret by its marker, in the shadow's index and in the workspace; return the first 100.

    The marker is always the readable one, however short the secret was. A new file whose name holds a secret leaves
    the index. Nothing may run in the workspace any more. Raises GitError, OSError.
    """
    git_dir = worktree.git_dir
    changes = await _changes(git_dir, "diff-index", "--cached", worktree.commit)
    found = await _drop_names(worktree, changes, redactor)
    before, places = _Before(git_dir, changes, redactor), _by_blob(changes)
    entries: list[bytes] = []
    async for examined in _examine(git_dir, changes, before, redactor):
        text, lines = await asyncio.to_thread(_mend, examined, before, redactor)
        content = text.encode("utf-8", "surrogateescape")
        blob = (await git("hash-object", "-w", "--stdin", git_dir=git_dir, stdin=content)).text
        for change in places[examined.blob]:
            await _write(worktree, change, blob, content)
            entries.append(f"{change.mode} {blob}\t".encode() + change.path + b"\0")
            found += [SecretFound(_show(change.path, redactor), line, rule, marked=True) for line, rule in lines]
            del found[MAX_FOUND:]
    if entries:
        tree = worktree.tree
        await git("update-index", "-z", "--index-info", git_dir=git_dir, work_tree=tree, stdin=b"".join(entries))
        # So that the next step need not read these files again to see that they are as committed.
        await git("update-index", "-q", "--refresh", git_dir=git_dir, work_tree=tree, ok=(0, 1))
    return found


async def secrets_between(repository: Source, base: str, commit: str, redactor: Redactor) -> list[SecretFound]:
    """Return at most 100 secrets that `commit` has and `base` had not, and markers in lines that it added.

    A marker means that a secret was taken out and that the code still needs mending. Files that are binary or larger
    than 5 MB are not examined. Memory is bounded, and time by the size of what differs. Raises GitError.
    """
    await hold(repository, check_commit(base))
    git_dir = await hold(repository, check_commit(commit))
    changes = await _changes(git_dir, "diff-tree", "-r", base, commit)
    telling = await asyncio.to_thread(_telling_names, changes, redactor)
    found = [SecretFound(_show(change.path, redactor), 0, rule) for change, rule in telling[:MAX_FOUND]]
    before, places = _Before(git_dir, changes, redactor), _by_blob(changes)
    async for examined in _examine(git_dir, changes, before, redactor, left_over=True):
        lines = {(secret.line, secret.rule, False) for secret in examined.secrets}
        lines |= {(number, rule, True) for number, _, rule in examined.markers}
        for change in places[examined.blob]:
            found += [SecretFound(_show(change.path, redactor), *line) for line in sorted(lines)[:MAX_FOUND]]
        if len(found) >= MAX_FOUND:
            break
    return found[:MAX_FOUND]


class _Before:
    """What stood in the old versions of what changed or went; read when it is first asked for."""

    def __init__(self, git_dir: Path, changes: list[_Change], redactor: Redactor) -> None:
        self._git_dir = git_dir
        self._blobs = sorted({change.before for change in changes if change.before})
        self._redactor = redactor
        self._known: set[int] = set()
        self._lines: set[int] = set()
        self._read = False
        self._searches = 0

    def had(self, value: str) -> bool:
        """Whether this stood there, as far as `look_for` found out."""
        return hash(value) in self._known

    def had_line(self, line: str) -> bool:
        """Whether this line stood there with its marker."""
        return hash(line.strip()) in self._lines

    async def look_for(self, values: set[str]) -> None:
        """Find out which of these stood there: as a secret, or a few of them as any text."""
        if not self._read:
            self._read = True
            async for texts in _texts(self._git_dir, self._blobs, _MAX_BEFORE):
                await asyncio.to_thread(self._learn, texts)
        missing = {value for value in values if not self.had(value)}
        if 0 < len(missing) <= _MAX_SEARCHED and self._searches < _SEARCHES:
            self._searches += 1
            async for texts in _texts(self._git_dir, self._blobs, _MAX_BEFORE):
                self._known |= await asyncio.to_thread(_standing, missing, list(texts.values()))

    def _learn(self, texts: dict[str, str]) -> None:
        for text in texts.values():
            self._known.update(hash(text[found.start : found.end]) for found in self._redactor.findings(text))
            self._lines.update(hash(line.strip()) for _, line, _ in _marked_lines(text))


def _standing(values: set[str], texts: list[str]) -> set[int]:
    return {hash(value) for value in values if any(value in text for text in texts)}


async def _examine(
    git_dir: Path, changes: list[_Change], before: _Before, redactor: Redactor, *, left_over: bool = False
) -> AsyncIterator[_Examined]:
    """The texts with new secrets, and with new markers if they are asked for."""
    old = {change.before for change in changes}
    new = sorted({change.after for change in changes if change.after and change.after not in old})
    async for texts in _texts(git_dir, new, MAX_EXAMINED):
        seen = await asyncio.to_thread(_look_at, texts, redactor, left_over)
        if not seen:
            continue
        await before.look_for(set().union(*(examined.values for examined in seen)))
        for examined in seen:
            text = examined.text
            secrets = [found for found in examined.secrets if not before.had(text[found.start : found.end])]
            rest = [marked for marked in examined.markers if not before.had_line(marked[1])]
            if secrets or rest:
                yield _Examined(examined.blob, text, secrets, rest)


def _look_at(texts: dict[str, str], redactor: Redactor, left_over: bool) -> list[_Examined]:
    seen = []
    for blob, text in texts.items():
        secrets = [found for found in redactor.findings(text) if _is_certain(found)]
        lines = _marked_lines(text) if left_over else []
        if secrets or lines:
            seen.append(_Examined(blob, text, secrets, lines))
    return seen


def _marked_lines(text: str) -> list[tuple[int, str, str]]:
    """Number and text of each line with a marker, and the marker's rule."""
    found = []
    number, place = 1, 0
    for match in markers(text):
        number += text.count("\n", place, match.start())
        place = match.start()
        end = text.find("\n", place)
        line = text[text.rfind("\n", 0, place) + 1 : end if end >= 0 else len(text)]
        found.append((number, line, match["rule"]))
    return found


def _mend(examined: _Examined, before: _Before, redactor: Redactor) -> tuple[str, list[tuple[int, str]]]:
    """The text with markers for its secrets, and where they are now."""
    text, secrets = examined.text, examined.secrets
    lines: list[tuple[int, str]] = []
    for _ in range(_ROUNDS):
        parts: list[str] = []
        place, number = 0, 1
        for found in secrets:
            between = text[place : found.start]
            number += between.count("\n")
            parts += [between, marker(found.rule)]
            lines.append((number, found.rule))
            place = found.end
        text = "".join([*parts, text[place:]])
        # A secret may have kept another one from being seen.
        again = (found for found in redactor.findings(text) if _is_certain(found))
        secrets = [found for found in again if not before.had(text[found.start : found.end])]
        if not secrets:
            break
    return text, sorted(lines)


async def _write(worktree: Worktree, change: _Change, blob: str, content: bytes) -> None:
    """Put a blob's content into the workspace, as a check-out would write it."""
    tree = worktree.tree
    if change.mode != _LINKS:
        how = ("cat-file", "--filters", b"--path=" + change.path, blob)
        content = (await git(*how, git_dir=worktree.git_dir, work_tree=tree, max_output=_MANY)).stdout
    await asyncio.to_thread(rewrite, tree, change.path, content, worktree.folder / "rewritten")


async def _drop_names(worktree: Worktree, changes: list[_Change], redactor: Redactor) -> list[SecretFound]:
    """Keep new files whose names hold secrets out of the commit: there is no other name to give them."""
    telling = await asyncio.to_thread(_telling_names, changes, redactor)
    if telling:
        dropped = {change.path for change, _ in telling}
        removal = ("update-index", "-z", "--force-remove", "--stdin")
        paths = b"".join(path + b"\0" for path in sorted(dropped))
        await git(*removal, git_dir=worktree.git_dir, work_tree=worktree.tree, stdin=paths)
        changes[:] = [change for change in changes if change.path not in dropped]
    return [SecretFound(_show(change.path, redactor), 0, rule) for change, rule in telling[:MAX_FOUND]]


def _telling_names(changes: list[_Change], redactor: Redactor) -> list[tuple[_Change, str]]:
    telling = []
    for change in changes:
        if change.after and not change.before:
            name = change.path.decode("utf-8", "surrogateescape")
            telling += [(change, found.rule) for found in redactor.findings(name) if _is_certain(found)][:1]
    return telling


def _by_blob(changes: list[_Change]) -> dict[str | None, list[_Change]]:
    places: dict[str | None, list[_Change]] = {}
    for change in changes:
        places.setdefault(change.after, []).append(change)
    return places


def _show(path: bytes, redactor: Redactor) -> str:
    return redactor.text(path.decode(errors="replace"))


async def _changes(git_dir: Path, *command: str) -> list[_Change]:
    """What a diff command lists, without submodules."""
    options = ("--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=all")
    verb, *ends = command
    out = await git(verb, *options, *ends, "--", git_dir=git_dir, max_output=_MANY, limit_s=LONG_S)
    changes = []
    fields = iter(out.fields)
    for meta in fields:
        mode_before, mode_after, before, after, _ = meta.decode().lstrip(":").split(" ")
        change = _Change(
            path=next(fields),
            mode=mode_after,
            before=before if mode_before in _FILES else None,
            after=after if mode_after in _FILES else None,
        )
        changes.append(change)
    return changes


async def _texts(git_dir: Path, blobs: list[str], limit: int) -> AsyncIterator[dict[str, str]]:
    """The contents of those blobs that are text and not above `limit` bytes, some at a time."""
    if not blobs:
        return
    asked = "\n".join(blobs).encode() + b"\n"
    listed = await git("cat-file", "--batch-check", git_dir=git_dir, stdin=asked, max_output=_MANY, limit_s=LONG_S)
    batch: list[str] = []
    weight = 0
    for line in listed.stdout.decode().splitlines():
        blob, kind, size = [*line.split(" "), "0"][:3]
        if kind != "blob" or int(size) > limit:
            continue
        if batch and weight + int(size) > _BATCH:
            yield await _read(git_dir, batch)
            batch, weight = [], 0
        batch.append(blob)
        weight += int(size) + 100
    if batch:
        yield await _read(git_dir, batch)


async def _read(git_dir: Path, blobs: list[str]) -> dict[str, str]:
    asked = "\n".join(blobs).encode() + b"\n"
    out = await git("cat-file", "--batch", git_dir=git_dir, stdin=asked, max_output=_MANY, limit_s=LONG_S)
    texts: dict[str, str] = {}
    place = 0
    while (end := out.stdout.find(b"\n", place)) >= 0:
        blob, _, size = out.stdout[place:end].decode().split(" ")
        content = out.stdout[end + 1 : end + 1 + int(size)]
        place = end + 1 + int(size) + 1
        if b"\0" not in content[:_TEXT_HEAD]:
            texts[blob] = content.decode("utf-8", "surrogateescape")
    return texts
