"""What a session changed: the list of files and the patch, both bounded."""

from dataclasses import dataclass, field

from .git import LONG_S, git
from .names import check_commit
from .reading import Source, hold

MAX_BYTES = 200_000
"""Default size in bytes of a patch."""
MAX_FILES = 500
"""Most files that a result lists."""
SEARCHED_BYTES = 20 * 2**20
"""How far into a patch one can go by lines."""

_TEXT_BELOW = "16m"
_STATUS = {"A": "added", "D": "deleted", "M": "modified", "T": "type changed", "R": "renamed", "C": "copied"}


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed file. Lines are None for a binary one; `old_path` is set for a renamed one."""

    path: str
    status: str
    added: int | None
    removed: int | None
    old_path: str | None = None


@dataclass(frozen=True, slots=True)
class DiffResult:
    """Changed files (at most 500 of `total_files`) and the patch; `truncated` when either goes on."""

    files: list[FileChange] = field(default_factory=list)
    patch: str = ""
    truncated: bool = False
    total_files: int = 0
    patch_goes_on: bool = False


async def diff(
    source: Source,
    base: str,
    head: str,
    *,
    path: str | None = None,
    stat: bool = False,
    max_bytes: int = MAX_BYTES,
    first_file: int = 0,
    first_line: int = 0,
) -> DiffResult:
    """Compare two commits, within `path` (a file or folder) if given; with `stat` without the patch.

    The patch has at most `max_bytes` bytes from the line `first_line` (counted from 0) on and ends with a whole line,
    or with the head of one that is longer than that. Paths are UTF-8 with replacement characters.
    No program of the repository's choosing runs. Raises GitError.
    """
    await hold(source, check_commit(base))
    git_dir = await hold(source, check_commit(head))
    config = {"core.bigFileThreshold": _TEXT_BELOW, "diff.renameLimit": "1000"}
    common = ["diff-tree", "-r", "-M", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"]
    ends = [base, head, "--", *([f":(top,literal){path.rstrip('/')}"] if path and path.strip("/") else [])]
    names = await git(*common, "--raw", "-z", *ends, git_dir=git_dir, config=config, limit_s=LONG_S)
    counts = await git(*common, "--numstat", "-z", *ends, git_dir=git_dir, config=config, limit_s=LONG_S)
    files = _merge(names.fields, counts.fields)
    kept = files[first_file : first_file + MAX_FILES]
    more = len(files) > first_file + len(kept)
    if stat:
        return DiffResult(kept, "", more, len(files))
    room = SEARCHED_BYTES if first_line else max_bytes
    out = await git(
        *common, "--patch", *ends, git_dir=git_dir, config=config, max_output=room, truncate=True, limit_s=LONG_S
    )
    patch, cut = _from_line(out.stdout, first_line, max_bytes, goes_on=out.truncated)
    return DiffResult(kept, patch.decode(errors="replace"), cut or more, len(files), cut)


def _from_line(patch: bytes, first: int, most: int, *, goes_on: bool) -> tuple[bytes, bool]:
    """At most `most` bytes of whole lines from the line `first` on, and whether there is more of them."""
    begin = 0
    for _ in range(first):
        begin = patch.find(b"\n", begin) + 1
        if begin == 0:
            return b"", goes_on
    page = patch[begin : begin + most]
    cut = goes_on or begin + most < len(patch)
    if not cut:
        return page, False
    return page[: page.rfind(b"\n") + 1] or page[:-1] + b"\n", True


def _merge(names: list[bytes], counts: list[bytes]) -> list[FileChange]:
    lines = _read_counts(counts)
    changes: list[FileChange] = []
    fields = iter(names)
    for meta in fields:
        letter = meta.rsplit(b" ", 1)[-1][:1].decode()
        first = next(fields)
        path, old = (next(fields), first) if letter in {"R", "C"} else (first, None)
        added, removed = lines.get(path, (None, None))
        shown = None if old is None else _show(old)
        changes.append(FileChange(_show(path), _STATUS.get(letter, "modified"), added, removed, shown))
    return changes


def _read_counts(counts: list[bytes]) -> dict[bytes, tuple[int | None, int | None]]:
    lines: dict[bytes, tuple[int | None, int | None]] = {}
    fields = iter(counts)
    for record in fields:
        added, removed, path = record.split(b"\t", 2)
        if not path:
            next(fields)
            path = next(fields)
        lines[path] = (_number(added), _number(removed))
    return lines


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


def _show(path: bytes) -> str:
    return path.decode(errors="replace")
