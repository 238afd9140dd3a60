"""Writes that must not happen: every way to change a file or a folder of the host."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.escape.attacker.kit import RefusedError, attempt, first, told

MARK = b"the attacker was here\n"
_numbers = count()


def append(path: str) -> None:
    """The plain way."""
    with open(path, "ab") as file:
        file.write(MARK)


def by_own_root(path: str) -> None:
    """By the root folder of this process, which may be another view."""
    append(f"/proc/self/root{path}")


def by_first_root(path: str) -> None:
    """By the root folder of the first process."""
    append(f"/proc/{first(told())}/root{path}")


def by_link(path: str) -> None:
    """Through a symbolic link in the workspace."""
    link = Path(f"link-{next(_numbers)}")
    link.symlink_to(path)
    try:
        append(str(link))
    finally:
        link.unlink()


def by_dots(path: str) -> None:
    """Up from the workspace, and down again."""
    append(f"{os.getcwd()}/{'../' * 20}{path.lstrip('/')}")


def by_hard_link(path: str) -> None:
    """A second name in the workspace, where writing is allowed."""
    name = f"hard-{next(_numbers)}"
    os.link(path, name)
    try:
        append(name)
    finally:
        os.unlink(name)


def over(path: str) -> None:
    """Another file is moved over it."""
    fresh = f"fresh-{next(_numbers)}"
    Path(fresh).write_bytes(MARK)
    try:
        os.replace(fresh, path)
    finally:
        Path(fresh).unlink(missing_ok=True)


def mode(path: str) -> None:
    """Everybody may write it from now on."""
    os.chmod(path, 0o777)


def times(path: str) -> None:
    """Its times change."""
    os.utime(path, (1, 1))


def attributes(path: str) -> None:
    """An extended attribute."""
    os.setxattr(path, "user.attacker", MARK)


def shorten(path: str) -> None:
    """Emptied."""
    os.truncate(path, 0)


def remove(path: str) -> None:
    """Removed. Last: nothing comes after it."""
    os.unlink(path)


def create(folder: str) -> None:
    """A new file in a folder."""
    handle = os.open(f"{folder}/was-here-{os.getpid()}-{next(_numbers)}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(handle, MARK)
    os.close(handle)


def unnamed(folder: str) -> None:
    """A file without a name, to be given one."""
    handle = os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
    os.write(handle, MARK)
    os.link(f"/proc/self/fd/{handle}", f"{folder}/was-here-{next(_numbers)}", src_dir_fd=handle, follow_symlinks=True)
    os.close(handle)


def subfolder(folder: str) -> None:
    os.mkdir(f"{folder}/was-here-{next(_numbers)}")


def move_in(folder: str) -> None:
    """A file of the workspace is moved there."""
    fresh = f"fresh-{next(_numbers)}"
    Path(fresh).write_bytes(MARK)
    try:
        shutil.move(fresh, f"{folder}/{fresh}")
    finally:
        Path(fresh).unlink(missing_ok=True)


def rename(folder: str) -> None:
    """The folder gets another name. Last."""
    os.rename(folder, f"{folder}-was")


def same_again(path: str) -> None:
    """What the kernel reads there, written back: it changes nothing when it works."""
    handle = os.open(path, os.O_RDWR)
    try:
        now = os.read(handle, 4_096)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, now or b"h")
    finally:
        os.close(handle)


def write_only(path: str) -> None:
    """For triggers, which nobody can read: ``h`` asks for help in a log."""
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, b"h")
    except OSError as error:
        if error.errno != errno.EINVAL:  # the kernel took it, and does not understand
            raise
    finally:
        os.close(handle)


def device(path: str) -> None:
    """To open one is enough."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.close(handle)


def same_mode(path: str) -> None:
    """Its mode, set to what it is: it changes nothing when it works, and could have been 000."""
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def content(path: str) -> None:
    """Open it for writing, and write nothing."""
    os.close(os.open(path, os.O_WRONLY))


FILE_WAYS: list[Callable[[str], None]] = [
    append, by_own_root, by_first_root, by_link, by_dots, by_hard_link, mode, times, attributes, shorten, over, remove,
]  # fmt: skip
FOLDER_WAYS: list[Callable[[str], None]] = [create, unnamed, subfolder, move_in, rename]
ROOT_FOLDER_WAYS: list[Callable[[str], None]] = [create, unnamed, subfolder, move_in]


def main() -> None:
    known = told()
    for kind, ways in (
        ("file", FILE_WAYS),
        ("folder", FOLDER_WAYS),
        ("system folder", ROOT_FOLDER_WAYS),
        ("kernel", [same_again]),
        ("trigger", [write_only]),
        ("device", [device]),
        ("node", [same_mode]),
        ("program", [same_mode, content]),
    ):
        for label, path in known["write"].get(kind, {}).items():
            for way in ways:
                attempt(f"write:{label}:{way.__name__}", _aimed(way, path))


def _aimed(way: Callable[[str], None], path: str) -> Callable[[], None]:
    def aimed() -> None:
        if not path:
            raise RefusedError("there is no such place")
        way(path)

    return aimed


if __name__ == "__main__":
    main()
