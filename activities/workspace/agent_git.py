"""The agent's own `.git`: made by plain file operations, so that no git of ours ever runs in it.

It has the session's branch, a copy of the index, and no objects: those come from one fixed folder, which the sandbox
binds read-only to the shadow's. What the agent does with it stays in the workspace; checkpoints never look at it.
"""

import asyncio
import os
import stat
from pathlib import Path, PurePath

from .files import copy_regular, is_real_folder, remove, write_git_dir
from .names import branch_ref, check_commit
from .worktree import Worktree

_IDENTITY = (
    "[user]\n\tname = Overnight agent\n\temail = agent@localhost\n[gc]\n\tauto = 0\n[commit]\n\tgpgsign = false\n"
)


async def give_agent_git(worktree: Worktree, objects_path: PurePath) -> None:
    """Give the agent a fresh `.git` in `tree/`, at the worktree's commit; what was there is removed.

    `objects_path` is where the agent's process will see the shadow's objects: an absolute path. Raises ValueError,
    OSError.
    """
    await asyncio.to_thread(
        write_agent_git,
        worktree.tree,
        session_id=worktree.session_id,
        commit=worktree.commit,
        index=worktree.git_dir / "index",
        shallow=worktree.git_dir / "shallow",
        objects_path=objects_path,
    )


def write_agent_git(
    folder: Path, *, session_id: str, commit: str, index: Path, shallow: Path, objects_path: PurePath
) -> None:
    """Write `folder/.git` as if the session's branch were checked out there. Blocks; raises ValueError, OSError."""
    objects = os.fsencode(objects_path)
    if not objects_path.is_absolute() or b"\n" in objects:
        message = f"{objects_path} cannot be the folder of the agent's objects: an absolute path on one line is needed"
        raise ValueError(message)
    if not is_real_folder(folder):
        raise NotADirectoryError(str(folder))
    folder.chmod(stat.S_IMODE(folder.lstat().st_mode) | stat.S_IRWXU)
    own = folder / ".git"
    remove(own)
    ref = branch_ref(session_id)
    write_git_dir(own, head=f"ref: {ref}", bare=False, more_config=_IDENTITY)
    (own / "objects" / "info" / "alternates").write_bytes(objects + b"\n")
    (own / ref).parent.mkdir(parents=True, exist_ok=True)
    (own / ref).write_text(check_commit(commit) + "\n")
    copy_regular(shallow, own / "shallow")
    copy_regular(index, own / "index")
