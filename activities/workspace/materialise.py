"""A clean checkout of one commit, for confirming results where nothing uncommitted can help."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from .agent_git import write_agent_git
from .files import absolute, tame
from .git import LONG_S, git
from .names import check_commit
from .reading import Source, hold
from .worktree import Worktree, on_sound_shadow


async def materialise(
    source: Source, commit: str, folder: Path, *, session_id: str | None = None, objects_path: PurePath | None = None
) -> None:
    """Write exactly the files of `commit` into `folder`, which is missing or empty.

    With `objects_path` (where a process in the sandbox will see the objects) the folder gets a `.git` as the agent
    has it, on the branch of `session_id` (default: the worktree's own session). Raises GitError, ValueError,
    FileExistsError when the folder has something in it.
    """
    session = session_id or (source.session_id if isinstance(source, Worktree) else None)
    if objects_path is not None and session is None:
        message = "a checkout from a vault with a .git needs the session id"
        raise ValueError(message)
    git_dir = await hold(source, check_commit(commit))
    folder = absolute(folder)
    await asyncio.to_thread(_make_empty, folder)
    with tempfile.TemporaryDirectory(prefix="overnight-checkout-") as name:
        index = Path(name) / "index"
        place = _Place(git_dir, folder, index)
        await _on_sound(source, lambda: place.write(commit))
        if objects_path is not None and session is not None:
            await asyncio.to_thread(
                write_agent_git,
                folder,
                session_id=session,
                commit=commit,
                index=index,
                shallow=git_dir / "shallow",
                objects_path=objects_path,
            )


async def restore_tracked(source: Source, commit: str, folder: Path) -> None:
    """Give every tracked file of a checkout the content that it has in the commit; other files stay.

    For checks: what a setup command or an earlier check did to tracked files must not decide the next one. A file that
    has the commit's content is not written, so that it keeps its times and builds stay incremental; that it has is
    seen by its content alone, since times and sizes can be forged. Raises GitError.
    """
    git_dir = await hold(source, check_commit(commit))
    await asyncio.to_thread(tame, absolute(folder))
    with tempfile.TemporaryDirectory(prefix="overnight-restore-") as name:
        place = _Place(git_dir, absolute(folder), Path(name) / "index")
        await _on_sound(source, lambda: place.write(commit, again=True))


async def _on_sound(source: Source, work: Callable[[], Awaitable[None]]) -> None:
    await (on_sound_shadow(source, work) if isinstance(source, Worktree) else work())


@dataclass(frozen=True, slots=True)
class _Place:
    git_dir: Path
    folder: Path
    index: Path

    async def write(self, commit: str, *, again: bool = False) -> None:
        await asyncio.to_thread(self.index.unlink, missing_ok=True)
        if again:
            await self.git("read-tree", commit)
            # The index knows no times yet: each file is read. Those that fit are written down, the others are replaced.
            await self.git("update-index", "-q", "--ignore-submodules", "--really-refresh", ok=(0, 1))
        await self.git("read-tree", "--reset", "-u", commit)

    async def git(self, *args: str, ok: tuple[int, ...] = (0,)) -> None:
        await git(*args, git_dir=self.git_dir, work_tree=self.folder, index=self.index, ok=ok, limit_s=LONG_S)


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or any(folder.iterdir()):
        message = f"{folder} is not an empty folder"
        raise FileExistsError(message)
