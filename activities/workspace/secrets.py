"""Secrets in what the agent wrote: taken out before they get into a commit, and looked for between two commits.

Only what is certain counts (`certain.py`), and what stood in the parent's tree is nobody's doing now.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from overnight.base.redaction import NOT_EXAMINED, Redactor, SlowTextError, marker

from .before import Before
from .certain import is_certain, place_of
from .contents import Change, changes
from .examine import Budget, Examined, by_blob, certain_in, examine
from .git import git
from .names import check_commit
from .reading import Source, hold
from .rewrite import rewrite
from .worktree import Worktree, on_sound_shadow

MAX_FOUND = 100
"""Most secrets that a report lists."""

_MANY = 2**30
_LINKS = "120000"
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class SecretFound:
    """Where a secret stands, or with `marked` the marker that took its place: never what it is.

    `line` counts from 1 in the file as it is committed, and is 0 for a secret in the file's name and for a file that
    was not examined. `rule` says what it looks like.
    """

    path: str
    line: int
    rule: str
    marked: bool = False


async def take_out(worktree: Worktree, redactor: Redactor) -> list[SecretFound]:
    """Replace each new secret by its marker, in the shadow's index and in the workspace; return the first 100.

    The marker is always the readable one, however short the secret was. Of a file that cannot be mended nothing but
    a marker stays: one that is no text and holds a value that the worker knows, and one that took too long to
    examine. A new file whose name holds a secret leaves the index. Nothing may run in the workspace any more. Raises
    GitError, OSError.
    """
    git_dir = worktree.git_dir
    changed = await changes(git_dir, "diff-index", "--cached", worktree.commit)
    found = await _drop_names(worktree, changed, redactor)
    before, places = Before(git_dir, worktree.commit, changed, redactor), by_blob(changed)
    entries: list[bytes] = []
    budget = Budget()
    async for examined in examine(git_dir, changed, before, redactor, budget):
        content, lines = await asyncio.to_thread(_mend, examined, before, redactor, budget)
        blob = (await git("hash-object", "-w", "--stdin", git_dir=git_dir, stdin=content)).text
        for change in places[examined.content.blob]:
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

    A marker means that a secret was taken out and that the code still needs mending. What is no text is searched for
    the values that `redactor` knows. Time is bounded: what cannot be examined in it is among the findings, under the
    rule `not-examined`. Raises GitError, OSError.
    """

    async def search() -> list[SecretFound]:
        return await _secrets_between(repository, check_commit(base), check_commit(commit), redactor)

    return await (on_sound_shadow(repository, search) if isinstance(repository, Worktree) else search())


async def _secrets_between(repository: Source, base: str, commit: str, redactor: Redactor) -> list[SecretFound]:
    await hold(repository, base)
    git_dir = await hold(repository, commit)
    changed = await changes(git_dir, "diff-tree", "-r", base, commit)
    telling = await asyncio.to_thread(_telling_names, changed, redactor)
    found = [SecretFound(_show(change.path, redactor), 0, rule) for change, rule in telling[:MAX_FOUND]]
    before, places = Before(git_dir, base, changed, redactor), by_blob(changed)
    async for examined in examine(git_dir, changed, before, redactor, Budget(), left_over=True):
        lines = {(secret.line, secret.rule, False) for secret in examined.secrets}
        lines |= {(number, rule, True) for number, _, rule in examined.markers}
        lines |= {(line, rule, False) for line, rule in examined.whole}
        for change in places[examined.content.blob]:
            found += [SecretFound(_show(change.path, redactor), *line) for line in sorted(lines)[:MAX_FOUND]]
        if len(found) >= MAX_FOUND:
            break
    return found[:MAX_FOUND]


async def telling_paths(git_dir: Path, base: str, commit: str, redactor: Redactor) -> set[bytes]:
    """All paths of `commit` with a secret that `base` had not, in content or name, or that could not be examined.

    Raises GitError, OSError.
    """
    changed = await changes(git_dir, "diff-tree", "-r", base, commit)
    found = {change.path for change, _ in await asyncio.to_thread(_telling_names, changed, redactor)}
    before, places = Before(git_dir, base, changed, redactor), by_blob(changed)
    async for examined in examine(git_dir, changed, before, redactor, Budget()):
        if examined.secrets or examined.whole:
            found |= {change.path for change in places[examined.content.blob]}
    return found


def _mend(
    examined: Examined, before: Before, redactor: Redactor, budget: Budget
) -> tuple[bytes, list[tuple[int, str]]]:
    """The content with markers for its secrets, and where they are now."""
    if examined.whole:
        return _nothing_but(examined.whole[0][1])
    text, secrets = examined.content.text or "", examined.secrets
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
        try:
            again = certain_in(text, examined.place, redactor, budget)
        except SlowTextError:
            return _nothing_but(NOT_EXAMINED)
        secrets = [found for found in again if not before.had(text[found.start : found.end])]
        if not secrets:
            break
    try:
        return examined.content.packed(text), sorted(lines)
    except UnicodeError:  # the secret was cut out of the middle of a character
        return _nothing_but(lines[0][1])


def _nothing_but(rule: str) -> tuple[bytes, list[tuple[int, str]]]:
    return f"{marker(rule)}\n".encode(), [(1, rule)]


async def _write(worktree: Worktree, change: Change, blob: str, content: bytes) -> None:
    """Put a blob's content into the workspace, as a check-out would write it."""
    tree = worktree.tree
    if change.mode != _LINKS:
        how = ("cat-file", "--filters", b"--path=" + change.path, blob)
        content = (await git(*how, git_dir=worktree.git_dir, work_tree=tree, max_output=_MANY)).stdout
    await asyncio.to_thread(rewrite, tree, change.path, content, worktree.folder / "rewritten")


async def _drop_names(worktree: Worktree, changes: list[Change], redactor: Redactor) -> list[SecretFound]:
    """Keep new files whose names hold secrets out of the commit: there is no other name to give them."""
    telling = await asyncio.to_thread(_telling_names, changes, redactor)
    if telling:
        dropped = {change.path for change, _ in telling}
        removal = ("update-index", "-z", "--force-remove", "--stdin")
        paths = b"".join(path + b"\0" for path in sorted(dropped))
        await git(*removal, git_dir=worktree.git_dir, work_tree=worktree.tree, stdin=paths)
        changes[:] = [change for change in changes if change.path not in dropped]
    return [SecretFound(_show(change.path, redactor), 0, rule) for change, rule in telling[:MAX_FOUND]]


def _telling_names(changes: list[Change], redactor: Redactor) -> list[tuple[Change, str]]:
    telling = []
    for change in changes:
        if change.after and not change.before:
            name = change.path.decode("utf-8", "surrogateescape")
            place = place_of([change.path], redactor)
            certain = (f for f in redactor.findings(name) if is_certain(f, name[f.start : f.end], place))
            telling += [(change, found.rule) for found in certain][:1]
    return telling


def _show(path: bytes, redactor: Redactor) -> str:
    return redactor.text(path.decode(errors="replace"))
