"""Where on this host a person's project lies: the checkout, and what git keeps of it elsewhere."""

from pathlib import Path

_MOST_BYTES = 65_536
_MOST_FOLDERS = 20


def repository_folders(checkout: Path) -> tuple[Path, ...]:
    """Return the folders that hold a project: the checkout, and git's own where they lie outside of it.

    Those are the common git directory of a linked worktree or a submodule, one that was set apart, and repositories
    whose objects are borrowed. Only looks at a few small files; starts no git. Blocks, below a millisecond.
    """
    checkout = _real(checkout)
    found: dict[Path, None] = {}
    pending = _git_dirs(checkout)
    while pending and len(found) < _MOST_FOLDERS:
        git_dir = _real(pending.pop(0))
        if git_dir in found or not _is_git_dir(git_dir):
            continue
        found[git_dir] = None
        if common := _line(git_dir / "commondir"):
            pending.append(git_dir / common)
        pending += [(git_dir / "objects" / name).parent for name in _lines(git_dir / "objects" / "info" / "alternates")]
    # What lies in a folder that is hidden needs no hiding of its own.
    places = dict.fromkeys([checkout, *found])
    return tuple(p for p in places if not any(p != other and p.is_relative_to(other) for other in places))


def _git_dirs(checkout: Path) -> list[Path]:
    own = checkout / ".git"
    if own.is_file():
        kind, _, place = _line(own).partition(":")
        return [checkout / place.strip()] if kind == "gitdir" and place.strip() else []
    return [own if own.is_dir() else checkout]


def _is_git_dir(folder: Path) -> bool:
    """Whether git keeps something here. A worktree's own part has no objects; both say where their HEAD is."""
    try:
        return (folder / "HEAD").is_file() and ((folder / "objects").is_dir() or (folder / "commondir").is_file())
    except OSError:
        return False


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _line(file: Path) -> str:
    return next(iter(_lines(file)), "")


def _lines(file: Path) -> list[str]:
    try:
        if not file.is_file():
            return []
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES).decode(errors="surrogateescape")
    except OSError:
        return []
    return [line for line in text.split("\n") if line and "\0" not in line and not line.startswith("#")]
