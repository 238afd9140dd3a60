"""Writing over a file that an agent wrote: by folder descriptors, so that no link leads anywhere else."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def rewrite(tree: Path, path: bytes, content: bytes, aside: Path) -> bool:
    """Give a regular file below `tree` this content, or a link this target; False when there is neither.

    The old file stays whole until the new one takes its place, with the same mode. `aside` is a path on the same file
    system that only Overnight uses. Blocks. Raises OSError, also when a folder on the way is a link.
    """
    *folders, name = path.split(b"/")
    with _folder(tree, folders) as folder:
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            return False
        aside.unlink(missing_ok=True)
        if stat.S_ISLNK(mode):
            os.symlink(content, os.fsencode(aside))  # noqa: PTH211 - bytes: a target need not be UTF-8
        else:
            descriptor = os.open(aside, _FRESH, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                os.fchmod(descriptor, stat.S_IMODE(mode))
        try:
            _put(aside, name, folder)
        finally:
            aside.unlink(missing_ok=True)
        return True


@contextlib.contextmanager
def _folder(tree: Path, folders: list[bytes]) -> Iterator[int]:
    descriptor = os.open(tree, _FOLDER)
    try:
        for name in folders:
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _put(source: Path, name: bytes, folder: int) -> None:
    try:
        os.rename(source, name, dst_dir_fd=folder)
    except PermissionError:
        # A folder without write permission. Its mode is the agent's and comes back.
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        os.chmod(b".", mode | stat.S_IRWXU, dir_fd=folder)
        try:
            os.rename(source, name, dst_dir_fd=folder)
        finally:
            os.chmod(b".", mode, dir_fd=folder)
