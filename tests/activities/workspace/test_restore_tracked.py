"""Before each check tracked files have the commit's content; what has it already is left alone."""

import os
from pathlib import Path

import pytest

from activities.workspace import restore_tracked

from .support import Session, contents, start, write

FILES = {"a.txt": "one\n", "src/b.py": "two\n", "src/deep/c.py": "three\n", "run.sh": "#!/bin/sh\n", "same": "one\n"}
OLD = 1_000_000_000


@pytest.fixture
async def set_up(tmp_path: Path) -> Session:
    session = await start(tmp_path, FILES)
    for path in session.tree.rglob("*"):
        os.utime(path, (OLD, OLD))
    return session


def mended(session: Session) -> list[str]:
    """The files that were written."""
    return sorted(n for n in FILES if (session.tree / n).lstat().st_mtime != OLD)


async def restored(session: Session) -> None:
    await restore_tracked(session.worktree, session.base, session.tree)
    found = contents(session.tree)
    for name, content in FILES.items():
        assert found[name.encode()] == ("file", content.encode()), name


async def test_unchanged_files_keep_their_times(set_up: Session) -> None:
    write(set_up.tree, {"untracked": "x"})
    await restored(set_up)
    assert mended(set_up) == []
    assert (set_up.tree / "untracked").read_text() == "x"


async def test_a_change_with_forged_size_and_times_is_undone(set_up: Session) -> None:
    await restored(set_up)
    path = set_up.tree / "src" / "b.py"
    before = path.stat()
    with path.open("r+b") as file:  # in place: the same inode
        file.write(b"TWO\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    await restored(set_up)
    assert mended(set_up) == ["src/b.py"]


async def test_whatever_took_a_file_s_place_goes(set_up: Session) -> None:
    tree = set_up.tree
    (tree / "a.txt").unlink()
    (tree / "a.txt").symlink_to("same")
    (tree / "run.sh").chmod(0o755)
    (tree / "same").unlink()
    (tree / "same").mkdir()
    (tree / "src" / "deep").rename(tree / "elsewhere")
    (tree / "src" / "deep").symlink_to("../elsewhere")
    await restored(set_up)
    assert not (tree / "src" / "deep").is_symlink()
    assert mended(set_up) == ["a.txt", "run.sh", "same", "src/deep/c.py"]


async def test_a_file_that_is_gone_comes_back_and_the_others_stay(set_up: Session) -> None:
    (set_up.tree / "a.txt").unlink()
    await restored(set_up)
    assert mended(set_up) == ["a.txt"]


async def test_a_whole_folder_behind_a_link_is_not_written_through(set_up: Session, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (set_up.tree / "src").rename(outside)
    (outside / "b.py").write_text("mine\n")
    (set_up.tree / "src").symlink_to(outside)
    await restored(set_up)
    assert (outside / "b.py").read_text() == "mine\n"
