"""Trees of commits as lists of files, and a checkpoint with some of them put back as another commit has them."""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .checkpoint import Checkpoint, describe
from .contents import contents
from .git import LONG_S, git
from .names import check_commit
from .reading import Source, hold
from .worktree import Worktree, clean_to, set_head

_MANY_PATHS = 2**30
_NOTHING = "0" * 40
_MAX_READ = 256 * 2**20
_MAX_NAMING = 64 * 2**20
_MAX_LOOSE = 200_000
_MAX_NAMED = 20
_INSTALLED = frozenset({".git", "node_modules", "site-packages", "dist-packages", ".tox", ".nox"})


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file of a tree, as git has it: `mode` is 100644, 100755, 120000 for a link, 160000 for a submodule."""

    mode: str
    blob: str

    @property
    def is_submodule(self) -> bool:
        """Whether it names a commit of another repository, of which nothing is here."""
        return self.mode == "160000"


@dataclass(frozen=True, slots=True)
class TreeChange:
    """A path that differs between two trees; absent where it is not in one of them."""

    path: str
    before: TreeEntry | None
    after: TreeEntry | None


async def tree_of(source: Source, commit: str) -> dict[str, TreeEntry]:
    """Every file of the commit by its path. Raises GitError."""
    git_dir = await hold(source, check_commit(commit))
    out = await git(
        "ls-tree", "-r", "-z", "--full-tree", commit, git_dir=git_dir, max_output=_MANY_PATHS, limit_s=LONG_S
    )
    entries: dict[str, TreeEntry] = {}
    for line in out.fields:
        meta, _, path = line.partition(b"\t")
        mode, _, blob = meta.decode().split(" ")
        entries[os.fsdecode(path)] = TreeEntry(mode, blob)
    return entries


async def tree_changes(source: Source, base: str, commit: str) -> list[TreeChange]:
    """What differs between two commits, file by file, without guessing at renames. Raises GitError."""
    await hold(source, check_commit(base))
    git_dir = await hold(source, check_commit(commit))
    options = ("-r", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
    out = await git("diff-tree", *options, base, commit, "--", git_dir=git_dir, max_output=_MANY_PATHS, limit_s=LONG_S)
    changes: list[TreeChange] = []
    fields = iter(out.fields)
    for meta in fields:
        mode_before, mode_after, before, after, _ = meta.decode().lstrip(":").split(" ")
        changes.append(TreeChange(os.fsdecode(next(fields)), _entry(mode_before, before), _entry(mode_after, after)))
    return changes


def _entry(mode: str, blob: str) -> TreeEntry | None:
    return None if set(blob) == {"0"} else TreeEntry(mode, blob)


async def read_blobs(source: Source, commit: str, blobs: Iterable[str], *, max_bytes: int) -> dict[str, bytes]:
    """The contents of those blobs that have at most `max_bytes` bytes, 256 MB in all. Raises GitError."""
    git_dir = await hold(source, check_commit(commit))
    found: dict[str, bytes] = {}
    size = 0
    async for batch in contents(git_dir, sorted(set(blobs))):
        found |= {c.blob: c.raw for c in batch if not c.too_large and len(c.raw) <= max_bytes}
        size += sum(len(c.raw) for c in batch)
        if size > _MAX_READ:
            break
    return found


async def files_naming(source: Source, commit: str, words: Sequence[str]) -> dict[str, frozenset[str]]:
    """Which text files of the commit have which of these words in them, whatever their case; words in small letters.

    Of words that begin alike only the longest is seen where it stands. Raises GitError.
    """
    if not words:
        return {}
    git_dir = await hold(source, check_commit(commit))
    asked = [part for word in words for part in ("-e", word)]
    options = ("-I", "-F", "-i", "-o", "-z", "--full-name", "--no-color", "--threads=1")
    out = await git(
        "grep", *options, *asked, commit, "--",
        git_dir=git_dir, ok=(0, 1), max_output=_MAX_NAMING, truncate=True, limit_s=LONG_S,
    )  # fmt: skip
    found: dict[str, set[str]] = {}
    for line in out.stdout.split(b"\n"):
        where, _, word = line.partition(b"\0")
        found.setdefault(os.fsdecode(word).lower(), set()).add(os.fsdecode(where).partition(":")[2])
    return {word: frozenset(found[word]) for word in words if word in found}


async def put_back(worktree: Worktree, made: Checkpoint, entries: Mapping[str, TreeEntry | None]) -> Checkpoint:
    """The checkpoint with these paths as given (None: not there), in the place of `made`, in the workspace too.

    The caller holds the session lock, and nothing runs in the workspace any more. Raises GitError.
    """
    lines = b"".join(_line(path, entry) for path, entry in entries.items())
    with tempfile.TemporaryDirectory(prefix="overnight-put-back-") as name:
        place = _Index(worktree.git_dir, Path(name) / "index")
        await place.git("read-tree", made.tree)
        # Removals first: what took the place of a folder must be gone before its files come back.
        await place.git("update-index", "-z", "--index-info", stdin=lines)
        tree = await place.git("write-tree")
    shown = await git("show", "-s", "--format=%B", made.commit, git_dir=worktree.git_dir)
    message = _with_note(shown.text, list(entries)).encode()
    done = await git("commit-tree", tree, "-p", made.parent, "-F", "-", git_dir=worktree.git_dir, stdin=message)
    await set_head(worktree, done.text)
    await clean_to(worktree, done.text, head=done.text)
    again = await describe(worktree, done.text)
    return replace(again, nested=made.nested, skipped=made.skipped, secrets=made.secrets, unlisted=made.unlisted)


def _with_note(message: str, paths: list[str]) -> str:
    """The message with what was put back, above its trailers."""
    said, _, trailers = message.rpartition("\n\n")
    named = [f"- {path.encode('unicode_escape', 'replace').decode()}" for path in paths[:_MAX_NAMED]]
    more = [f"- and {len(paths) - _MAX_NAMED} more"] if len(paths) > _MAX_NAMED else []
    note = "\n".join(["Put back by Overnight, as the base commit has it:", "", *named, *more])
    return f"{said}\n\n{note}\n\n{trailers}\n"


def _line(path: str, entry: TreeEntry | None) -> bytes:
    mode, blob = (entry.mode, entry.blob) if entry else ("0", _NOTHING)
    return f"{mode} {blob}\t".encode() + os.fsencode(path) + b"\0"


@dataclass(frozen=True, slots=True)
class _Index:
    git_dir: Path
    index: Path

    async def git(self, *args: str, stdin: bytes | None = None) -> str:
        return (await git(*args, git_dir=self.git_dir, index=self.index, stdin=stdin, limit_s=LONG_S)).text


def loose_files(folder: Path, tracked: Iterable[str]) -> tuple[list[tuple[str, bool]], list[str]]:
    """Files and links (path, whether it is a link) of a checkout that are not `tracked`, ignored ones included.

    Beside them the folders of compiled Python modules. Installed packages are not looked into, and no link is
    followed. At most 200,000 files. Blocks.
    """
    known = set(tracked)
    found: list[tuple[str, bool]] = []
    compiled: list[str] = []
    pending = [""]
    while pending and len(found) < _MAX_LOOSE:
        below = pending.pop()
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    path = f"{below}/{entry.name}" if below else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name == "__pycache__":
                            compiled.append(path)
                        elif entry.name not in _INSTALLED:
                            pending.append(path)
                    elif path not in known:
                        found.append((path, entry.is_symlink()))
        except OSError:
            # What nobody can enter, too deep for a path's length, say, is imported by nobody either.
            continue
    return sorted(found), compiled
