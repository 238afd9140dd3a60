import os
from pathlib import Path, PurePosixPath

import pytest

from activities.workspace import checkpoint, give_agent_git

from .support import SESSION, Session, git, write


async def test_the_agents_git_works_in_the_tree(session: Session) -> None:
    await give_agent_git(session.worktree, session.worktree.objects)
    tree = session.tree
    assert git("status", "--porcelain", cwd=tree) == ""
    assert git("branch", "--show-current", cwd=tree) == f"overnight/{SESSION}"
    assert git("log", "--format=%H", cwd=tree) == session.base
    write(tree, {"src/app.py": "print(2)\n", "debug.log": "x", "new": "x"})
    assert git("status", "--porcelain", cwd=tree).splitlines() == ["M src/app.py", "?? new"]
    assert "+print(2)" in git("diff", cwd=tree)
    git("commit", "-q", "-a", "-m", "mine", cwd=tree, nobody=True)
    git("stash", "-u", "-q", cwd=tree)
    git("stash", "pop", "-q", cwd=tree)
    git("checkout", "-q", "-b", "idea", cwd=tree)
    git("fsck", cwd=tree)
    # What the agent did to its own history is no business of the checkpoint.
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="x")
    assert (made.parent, made.changed_files) == (session.base, 2)
    worktree = await session.at(made.commit)
    await give_agent_git(worktree, worktree.objects)
    assert git("log", "--format=%H", cwd=tree).split() == [made.commit, session.base]
    assert git("status", "--porcelain", cwd=tree) == ""


async def test_it_holds_exactly_what_it_should(session: Session) -> None:
    await give_agent_git(session.worktree, PurePosixPath("/overnight/objects"))
    own = session.tree / ".git"
    files = {str(p.relative_to(own)) for p in own.rglob("*") if not p.is_dir()}
    links = {"objects/info/alternates", f"refs/heads/overnight/{SESSION}"}
    assert files == {"HEAD", "config", "index", "info/attributes", *links}
    assert (own / "objects" / "info" / "alternates").read_text() == "/overnight/objects\n"
    text = b"".join((own / name).read_bytes() for name in files)
    assert str(session.home).encode() not in text


async def test_work_in_progress_shows_as_such(session: Session) -> None:
    write(session.tree, {"src/app.py": "half\n"})
    await session.at(session.base)
    await give_agent_git(session.worktree, session.worktree.objects)
    assert git("status", "--porcelain", cwd=session.tree) == "M src/app.py"


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "pipe", "folder"])
async def test_whatever_was_there_is_replaced_and_links_are_not_followed(
    session: Session, tmp_path: Path, kind: str
) -> None:
    write(tmp_path / "outside", {"precious": "x"})
    own = session.tree / ".git"
    match kind:
        case "link":
            own.symlink_to(tmp_path / "outside")
        case "dangling":
            own.symlink_to(tmp_path / "not-yet")
        case "file":
            own.write_text("gitdir: /")
        case "pipe":
            os.mkfifo(own)
        case _:
            write(own, {"hooks/pre-commit": "x"})
            (own / "objects").symlink_to(tmp_path / "outside")
            (own / "refs").symlink_to(tmp_path / "outside")
    await give_agent_git(session.worktree, session.worktree.objects)
    assert [p.name for p in (tmp_path / "outside").iterdir()] == ["precious"]
    assert not (tmp_path / "not-yet").exists()
    assert not (own / "hooks").exists()
    assert git("status", "--porcelain", cwd=session.tree) == ""


async def test_an_objects_path_must_be_one_absolute_line(session: Session) -> None:
    for bad in ("objects", "/a\n/b"):
        with pytest.raises(ValueError, match="absolute path on one line"):
            await give_agent_git(session.worktree, PurePosixPath(bad))
