import asyncio
import shutil
import time
from pathlib import Path

import pytest

from activities.workspace import GitError, checkpoint, ensure_worktree, publish, session_lock
from activities.workspace.worktree import shadow_head

from .support import SESSION, Session, contents, git, write


async def _step(session: Session, number: int, files: dict[str, str]) -> str:
    write(session.tree, files)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=number, step="s", subject=f"Step {number}")
    await publish(session.worktree, session.vault, made.commit, session.worktree.commit)
    await session.at(made.commit)
    return made.commit


async def test_the_first_time_makes_the_workspace(session: Session) -> None:
    assert set(contents(session.tree)) == {b".gitignore", b"README.md", b"src/app.py", b"src/util.py"}
    assert not (session.tree / ".git").exists()
    assert await shadow_head(session.worktree) == session.base
    assert not (session.worktree.objects / "info" / "alternates").exists()


async def test_again_is_fast_and_changes_nothing(session: Session) -> None:
    write(session.tree, {"README.md": "half done\n", "new.txt": "x"})
    started = time.monotonic()
    for _ in range(5):
        await session.at(session.base)
    assert (time.monotonic() - started) / 5 < 0.5
    assert (session.tree / "README.md").read_text() == "half done\n"
    assert (session.tree / "new.txt").exists()


async def test_without_keeping_changes_only_ignored_files_stay(session: Session) -> None:
    write(
        session.tree, {"README.md": "x", "new/a": "x", "node_modules/m/i.js": "1", "d.log": "1", "sub/.git/HEAD": "x"}
    )
    (session.tree / "src" / "app.py").unlink()
    (session.tree / "src" / "util.py").unlink()
    (session.tree / "src").rmdir()
    (session.tree / "src").symlink_to("/etc")
    await session.at(session.base, keep_changes=False)
    assert (session.tree / "README.md").read_text() == "hello\n"
    assert set(contents(session.tree)) == {
        b".gitignore",
        b"README.md",
        b"src/app.py",
        b"src/util.py",
        b"node_modules/m/i.js",
        b"d.log",
    }


async def test_another_host_fetches_the_commit(session: Session) -> None:
    commit = await _step(session, 1, {"src/app.py": "print(2)\n"})
    here = contents(session.tree)
    worktree = await session.at(commit, host="other")
    assert contents(worktree.tree) == here
    # Host one goes on, host two comes back later: changes there give way to the recorded commit.
    await session.at(commit)
    later = await _step(session, 2, {"src/app.py": "print(3)\n"})
    write(worktree.tree, {"src/app.py": "stale\n", "left.over": "x"})
    back = await session.at(later, host="other")
    assert (back.tree / "src" / "app.py").read_text() == "print(3)\n"
    assert not (back.tree / "left.over").exists()


async def test_a_commit_that_was_never_recorded_counts_as_work(session: Session) -> None:
    write(session.tree, {"src/app.py": "print(2)\n"})
    lost = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Lost")
    worktree = await session.at(session.base)
    assert (worktree.tree / "src" / "app.py").read_text() == "print(2)\n"
    again = await checkpoint(worktree, session_id=SESSION, iteration=1, step="s", subject="Again")
    assert (again.tree, again.parent) == (lost.tree, session.base)
    await session.at(session.base, keep_changes=False)
    assert (session.tree / "src" / "app.py").read_text() == "print(1)\n"


async def test_a_move_that_was_cut_off_is_done_again(session: Session) -> None:
    second = await _step(session, 1, {"src/app.py": "print(2)\n"})
    session.worktree.moving.touch()
    write(session.tree, {"src/app.py": "half of something else\n"})
    await session.at(second)
    assert (session.tree / "src" / "app.py").read_text() == "print(2)\n"
    assert not session.worktree.moving.exists()


async def test_only_this_sessions_objects_are_in_the_shadow(session: Session) -> None:
    secret = git("hash-object", "-w", "--stdin", cwd=session.vault.git_dir, check=False)
    tree = git("write-tree", cwd=session.vault.git_dir)
    other = git("commit-tree", tree, "-m", "other session", cwd=session.vault.git_dir)
    git("update-ref", "refs/heads/overnight/other", other, cwd=session.vault.git_dir)
    await session.at(session.base, host="third")
    for commit in (other, secret):
        assert git("cat-file", "-t", commit, cwd=session.worktree.git_dir, check=False) != "commit"
    assert git("for-each-ref", "--format=%(refname)", cwd=session.worktree.git_dir) == f"refs/heads/overnight/{SESSION}"


async def test_a_damaged_shadow_is_made_anew_and_ignored_files_stay(session: Session) -> None:
    second = await _step(session, 1, {"src/app.py": "print(2)\n"})
    write(session.tree, {"node_modules/x": "kept"})
    for pack in (session.worktree.objects).rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(b"")
    await session.at(second, keep_changes=False)
    assert (session.tree / "src" / "app.py").read_text() == "print(2)\n"
    assert (session.tree / "node_modules" / "x").exists()
    (session.worktree.git_dir / "index").write_bytes(b"garbage")
    await session.at(second, keep_changes=False)
    git("fsck", cwd=session.worktree.git_dir)


async def test_an_unreachable_vault_costs_nothing(session: Session) -> None:
    hidden = session.vault.git_dir.rename(session.vault.git_dir.with_suffix(".away"))
    with pytest.raises(GitError):
        await session.at("0" * 39 + "1")
    hidden.rename(session.vault.git_dir)
    assert await shadow_head(session.worktree) == session.base
    await session.at(session.base)


async def test_stale_lock_files_go_when_the_session_is_locked(session: Session) -> None:
    (session.worktree.git_dir / "index.lock").touch()
    (session.worktree.git_dir / "refs" / "heads" / "overnight" / f"{SESSION}.lock").touch()
    with pytest.raises(GitError, match=r"index\.lock|File exists"):
        await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="x")
    async with session_lock(session.worktree.folder):
        worktree = await session.at(session.base)
        await checkpoint(worktree, session_id=SESSION, iteration=1, step="s", subject="x")


async def test_a_workspace_that_was_deleted_or_swapped(session: Session, tmp_path: Path) -> None:
    shutil.rmtree(session.tree)
    await session.at(session.base)
    assert (session.tree / "README.md").exists()
    shutil.rmtree(session.tree)
    write(tmp_path / "outside", {"precious": "x"})
    session.tree.symlink_to(tmp_path / "outside")
    await session.at(session.base)
    assert not session.tree.is_symlink()
    assert (session.tree / "README.md").exists()
    assert (tmp_path / "outside" / "precious").exists()


async def test_ignored_things_in_the_way_give_way(session: Session) -> None:
    second = await _step(session, 1, {"build": "a file\n"})
    await _step(session, 2, {".gitignore": "build/\n"})
    (session.tree / "build").unlink()
    third = await _step(session, 3, {"src/z": "1"})
    write(session.tree, {"build/out/a.o": "1", "build/.git/HEAD": "ref: x"})
    await session.at(second)
    assert (session.tree / "build").read_text() == "a file\n"
    await session.at(third)
    assert not (session.tree / "build").exists()


async def test_two_hosts_at_once(session: Session) -> None:
    folders = [session.home / f"h{n}" / SESSION for n in range(4)]
    made = await asyncio.gather(*(ensure_worktree(f, session.vault, SESSION, session.base) for f in folders))
    assert all(contents(w.tree) == contents(session.tree) for w in made)
