"""What the agent made of its folders leads nothing that is written anywhere else."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from activities.workspace.rewrite import rewrite

NOBODY = 65534


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "b").write_text("old")
    (tree / "a" / "b").chmod(0o741)
    assert rewrite(tree, b"a/b", b"new", tmp_path / "aside")
    assert (tree / "a" / "b").read_text() == "new"
    assert stat.S_IMODE((tree / "a" / "b").stat().st_mode) == 0o741
    assert not (tmp_path / "aside").exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "real").mkdir(parents=True)
    outside.mkdir()
    (outside / "file").write_text("kept")
    (tree / "real" / "link").symlink_to(outside)
    (tree / "file").symlink_to(outside / "file")
    with pytest.raises(OSError, match="Not a directory"):
        rewrite(tree, b"real/link/file", b"new", tmp_path / "aside")
    with pytest.raises(OSError, match="No such file"):
        rewrite(tree, b"real/gone/file", b"new", tmp_path / "aside")
    assert rewrite(tree, b"file", b"elsewhere", tmp_path / "aside")
    assert (tree / "file").readlink() == Path("elsewhere")
    assert (outside / "file").read_text() == "kept"


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not rewrite(tmp_path, b"pipe", b"x", tmp_path / "aside")
    assert not rewrite(tmp_path, b"gone", b"x", tmp_path / "aside")
    (tmp_path / "folder").mkdir()
    assert not rewrite(tmp_path, b"folder", b"x", tmp_path / "aside")


def test_a_left_over_of_a_crash_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "aside").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "f").write_text("old")
    assert rewrite(tmp_path, b"f", b"new", tmp_path / "aside")
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_folder_without_write_permission() -> None:
    """As an ordinary user: root may write anyway."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        folder = home / "tree" / "closed"
        folder.mkdir(parents=True)
        (folder / "f").write_text("old")
        folder.chmod(0o555)
        if os.geteuid() == 0:
            for path in (home, home / "tree", folder, folder / "f"):
                os.chown(path, NOBODY, NOBODY)
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                done = rewrite(home / "tree", b"closed/f", b"new", home / "aside")
            except BaseException:
                os._exit(2)
            os._exit(0 if done else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (folder / "f").read_text() == "new"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o555
        folder.chmod(0o755)
