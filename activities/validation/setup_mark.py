"""Whether a worktree is set up: kept beside it, out of the agent's reach."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

_MAX_FILES = 1_000


class _Mark(BaseModel):
    command: str
    folder: int
    """Inode of the worktree that was set up: one made anew is another one."""
    files: list[str]
    """What the setup left that git neither tracks nor ignores; going back to a commit removes such files."""


class SetupMark:
    """Remembers that a command set up a worktree, for as long as what it left is there."""

    def __init__(self, path: Path, workspace: Path) -> None:
        self._path = path
        self._workspace = workspace

    def holds(self, command: str) -> bool:
        """Whether this command set up this very worktree and nothing of what it left is missing."""
        try:
            mark = _Mark.model_validate_json(self._path.read_text())
        except (OSError, ValidationError):
            return False
        same = mark.command == command and mark.folder == self._workspace.stat().st_ino
        return same and all((self._workspace / file).exists() for file in mark.files)

    def write(self, command: str, files: list[str]) -> None:
        """Remember that ``command`` succeeded and left ``files`` (paths from the workspace)."""
        mark = _Mark(command=command, folder=self._workspace.stat().st_ino, files=files[:_MAX_FILES])
        self._path.write_text(mark.model_dump_json())
