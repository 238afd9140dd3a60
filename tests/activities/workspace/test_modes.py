"""What the agent leaves in its workspace stands for nobody's rights on the host."""

import os
from pathlib import Path

from activities.workspace import checkpoint, tame

from .support import SESSION, Session, tree_of, write

_BITS = 0o7000


async def test_a_checkpoint_takes_the_special_modes_of_files(session: Session) -> None:
    modes = {"tool": 0o6755, "node_modules/helper": 0o4711, "-e x\n$(y)": 0o2640, "src/app.py": 0o1644}
    write(session.tree, dict.fromkeys(modes, "print(3)\n"))
    for name, mode in modes.items():
        (session.tree / name).chmod(mode)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Modes")
    for name, mode in modes.items():
        assert (session.tree / name).stat().st_mode & 0o7777 == mode & 0o777, name
    assert tree_of(session.worktree.git_dir, made.commit)["tool"] == "100755"


def test_links_are_not_followed_and_depth_does_not_matter(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("1")
    outside.chmod(0o4755)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "away").symlink_to(tmp_path)
    here = os.open(tree, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.chmod("deep", 0o4755, dir_fd=here)  # noqa: S103 - that is the attack
    tame(tree)
    assert outside.stat().st_mode & _BITS == 0o4000
    assert os.stat("deep", dir_fd=here).st_mode & _BITS == 0
    os.close(here)
