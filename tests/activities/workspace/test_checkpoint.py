import os
import socket
import tempfile
from pathlib import Path

import pytest

from activities.workspace import Checkpoint, GitError, Skipped, Worktree, checkpoint, materialise
from activities.workspace.message import read_commit
from activities.workspace.staging import MAX_REPORTED

from .support import SESSION, Session, contents, git, run_python, tree_of, write


async def take(worktree: Worktree, number: int = 1, *, max_file_bytes: int = 50 * 2**20) -> Checkpoint:
    return await checkpoint(
        worktree,
        session_id=SESSION,
        iteration=number,
        step="implement",
        subject="Fix the login",
        max_file_bytes=max_file_bytes,
    )


async def test_one_commit_with_trailers_on_the_recorded_parent(session: Session) -> None:
    write(session.tree, {"src/app.py": "print(2)\nprint(3)\n", "new.txt": "n\n"})
    (session.tree / "README.md").unlink()
    made = await checkpoint(
        session.worktree,
        session_id=SESSION,
        iteration=7,
        step="step-3",
        subject="Fix\nthe login",
        body="Because.\n\nOvernight-Step: forged\n",
        restores=session.base,
    )
    assert (made.parent, made.changed_files, made.insertions, made.deletions) == (session.base, 3, 3, 2)
    assert (made.nested, made.skipped) == ([], [])
    shown = git("log", "-1", "--format=%an <%ae>|%cn <%ce>|%P|%T|%s", made.commit, cwd=session.worktree.git_dir)
    who = "Overnight <overnight@localhost>"
    assert shown == f"{who}|{who}|{session.base}|{made.tree}|Fix the login"
    trailers = git("log", "-1", "--format=%(trailers:only,unfold)", made.commit, cwd=session.worktree.git_dir)
    assert trailers.splitlines() == [
        f"Overnight-Session: {SESSION}",
        "Overnight-Iteration: 7",
        "Overnight-Step: step-3",
        f"Overnight-Restores: {session.base}",
    ]
    assert (await read_commit(session.worktree.git_dir, made.commit)).is_step(SESSION, 7, "step-3")


async def test_nothing_changed_is_an_empty_commit(session: Session) -> None:
    made = await take(session.worktree)
    assert (made.changed_files, made.parent) == (0, session.base)
    assert made.commit != session.base


async def test_a_second_call_replaces_the_first(session: Session) -> None:
    await take(session.worktree)
    write(session.tree, {"later": "x"})
    again = await take(session.worktree)
    assert (again.parent, again.changed_files) == (session.base, 1)
    elsewhere = Worktree(session.worktree.folder, SESSION, "1" * 40)
    with pytest.raises(GitError, match="as recorded"):
        await take(elsewhere)
    with pytest.raises(ValueError, match="belongs to session"):
        await checkpoint(session.worktree, session_id="other", iteration=1, step="s", subject="x")


async def test_only_the_trees_own_ignore_files_count(session: Session) -> None:
    write(
        session.tree,
        {
            "node_modules/x/index.js": "1",
            "debug.log": "1",
            "notes.md": "ignored by the user's own git, not by the project",
            "src/.gitignore": "cache/\n",
            "src/cache/x": "1",
            "hidden.txt": "1",
            ".git/info/exclude": "hidden.txt\n",
            ".git/config": "[core]\n\texcludesFile = /dev/null\n",
            ".git/HEAD": "ref: refs/heads/x\n",
        },
    )
    made = await take(session.worktree)
    new = set(tree_of(session.worktree.git_dir, made.commit)) - set(tree_of(session.worktree.git_dir, session.base))
    assert new == {"notes.md", "src/.gitignore", "hidden.txt"}
    assert (session.tree / "node_modules" / "x" / "index.js").exists()


async def test_a_tracked_file_that_is_ignored_later_stays_tracked(session: Session) -> None:
    write(session.tree, {".gitignore": "*.py\nnode_modules/\n", "src/app.py": "changed\n", "src/new.py": "x"})
    made = await take(session.worktree)
    assert made.changed_files == 2
    assert "src/new.py" not in tree_of(session.worktree.git_dir, made.commit)


async def test_large_files_are_reported_not_committed(session: Session) -> None:
    write(
        session.tree,
        {"big.bin": b"x" * 2000, "edge.bin": b"x" * 1000, "src/app.py": b"y" * 3000, "big.log": b"x" * 5000},
    )
    made = await take(session.worktree, max_file_bytes=1000)
    assert made.skipped == [Skipped("big.bin", "too large", 2000), Skipped("src/app.py", "too large", 3000)]
    assert made.changed_files == 1
    tree = tree_of(session.worktree.git_dir, made.commit)
    assert "edge.bin" in tree
    assert "big.bin" not in tree
    assert git("show", f"{made.commit}:src/app.py", cwd=session.worktree.git_dir) == "print(1)"
    session.worktree = await session.at(made.commit)
    assert (await take(session.worktree, 2)).changed_files == 2


async def test_odd_names(session: Session) -> None:
    names = [
        b"-rf",
        b"--output=x",
        b":(exclude)src",
        b":",
        b":(top)",
        b"*",
        b"line\nbreak",
        b"tab\there",
        b'quote"',
        b"back\\slash",
        b"not-utf8-\xff\xfe",
        b" lead and trail ",
        "übergröße/日本".encode(),
        b"HEAD",
        b"a/-/b",
    ]
    for name in names:
        write(session.tree, {os.fsdecode(name): name})
    big = session.tree / os.fsdecode(b":(top)\n\xff big")
    big.write_bytes(b"x" * 3000)
    made = await take(session.worktree, max_file_bytes=1000)
    assert made.changed_files == len(names)
    assert [(s.path, s.size) for s in made.skipped] == [(":(top)\n\ufffd big", 3000)]
    folder = session.home / "clean"
    await materialise(session.worktree, made.commit, folder)
    big.unlink()
    assert contents(folder) == contents(session.tree)


async def test_links_are_committed_as_links(session: Session, tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret": "s3cret"})
    (session.tree / "out").symlink_to(tmp_path / "outside" / "secret")
    (session.tree / "dir").symlink_to(tmp_path / "outside")
    (session.tree / "broken").symlink_to("nowhere")
    (session.tree / "self").symlink_to("self")
    made = await take(session.worktree)
    tree = tree_of(session.worktree.git_dir, made.commit)
    assert {n: tree[n] for n in ("out", "dir", "broken", "self")} == dict.fromkeys(
        ("out", "dir", "broken", "self"), "120000"
    )
    assert not any(name.startswith("dir/") for name in tree)
    assert git("show", f"{made.commit}:out", cwd=session.worktree.git_dir) == str(tmp_path / "outside" / "secret")


async def test_a_tracked_folder_that_became_a_link_is_not_followed(session: Session, tmp_path: Path) -> None:
    write(tmp_path / "outside", {"app.py": "s3cret\n", "more.py": "s3cret\n"})
    for name in ("app.py", "util.py"):
        (session.tree / "src" / name).unlink()
    (session.tree / "src").rmdir()
    (session.tree / "src").symlink_to(tmp_path / "outside")
    made = await take(session.worktree)
    tree = tree_of(session.worktree.git_dir, made.commit)
    assert tree["src"] == "120000"
    assert "src/app.py" not in tree
    await session.at(session.base, keep_changes=False)
    assert (tmp_path / "outside" / "app.py").read_text() == "s3cret\n"
    assert (session.tree / "src" / "app.py").read_text() == "print(1)\n"


async def test_file_and_folder_swaps_and_modes(session: Session) -> None:
    (session.tree / "README.md").unlink()
    write(session.tree, {"README.md/inside": "x"})
    for name in ("app.py", "util.py"):
        (session.tree / "src" / name).unlink()
    (session.tree / "src").rmdir()
    (session.tree / "src").write_text("now a file")
    (session.tree / ".gitignore").chmod(0o755)
    made = await take(session.worktree)
    assert tree_of(session.worktree.git_dir, made.commit) == {
        ".gitignore": "100755",
        "README.md/inside": "100644",
        "src": "100644",
    }


async def test_pipes_and_sockets_are_skipped(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(session.tree / "pipe")
    (session.tree / "README.md").unlink()
    os.mkfifo(session.tree / "README.md")
    (session.tree / "src" / "app.py").unlink()
    monkeypatch.chdir(session.tree)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("src/app.py")
        made = await take(session.worktree)
    assert set(tree_of(session.worktree.git_dir, made.commit)) == {".gitignore", "src/util.py"}
    assert made.skipped == []
    await session.at(session.base, keep_changes=False)
    assert (session.tree / "README.md").read_text() == "hello\n"


async def test_names_that_git_refuses_are_reported(session: Session) -> None:
    write(session.tree, {"deep/.GIT/config": "x", "fine": "y"})
    made = await take(session.worktree)
    assert made.skipped == [Skipped("deep/.GIT/config", "refused", 0)]
    assert "fine" in tree_of(session.worktree.git_dir, made.commit)


@pytest.mark.parametrize("kind", ["link", "file", "folder", "pipe"])
async def test_whatever_the_top_git_is(session: Session, tmp_path: Path, kind: str) -> None:
    top = session.tree / ".git"
    if kind == "link":
        write(tmp_path / "elsewhere", {"HEAD": "ref: refs/heads/x\n", "config": "[core]\n\tbare = maybe\n"})
        top.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        top.write_text("gitdir: /nowhere\n")
    elif kind == "pipe":
        os.mkfifo(top)
    else:
        write(top, {"config": "[broken"})
    write(session.tree, {"x": "1"})
    made = await take(session.worktree)
    assert (made.changed_files, made.nested) == (1, [])
    # Nothing that could hold up our git stays.
    assert os.path.lexists(top) == (kind != "pipe")


async def test_what_a_list_has_no_room_for_is_counted(session: Session) -> None:
    write(session.tree, {f"large/{number}": "x" * 11 for number in range(MAX_REPORTED + 30)})
    made = await checkpoint(
        session.worktree, session_id=SESSION, iteration=1, step="s", subject="Large", max_file_bytes=10
    )
    assert (len(made.skipped), made.unlisted) == (MAX_REPORTED, 30)


_UNREADABLE = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
home = Path(sys.argv[1])
os.environ["HOME"] = str(home)
from activities.workspace import checkpoint, give_agent_git
from tests.activities.workspace.support import SESSION, start
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
async def main():
    s = await start(home / "s", {"keep": "1", "dir/in": "1", "open": "1", ".gitignore": "cache/"})
    (s.tree / "keep").write_text("2"); (s.tree / "keep").chmod(0)
    (s.tree / "open").write_text("2")
    (s.tree / "new").write_text("2"); (s.tree / "new").chmod(0)
    (s.tree / "dir").chmod(0)
    (s.tree / "junk" / "deep").mkdir(parents=True); (s.tree / "junk/deep/x").write_text("1")
    (s.tree / "junk" / "deep").chmod(0o500)
    (s.tree / "own" / ".git").mkdir(parents=True); (s.tree / "own").chmod(0o500)
    made = await checkpoint(s.worktree, session_id=SESSION, iteration=1, step="s", subject="x")
    print(made.changed_files, made.nested, sorted((x.path, x.reason) for x in made.skipped))
    (s.tree / ".git" / "locked").mkdir(parents=True); (s.tree / ".git/locked/x").write_text("")
    (s.tree / ".git" / "locked").chmod(0); s.tree.chmod(0o500)
    await give_agent_git(s.worktree, s.worktree.objects)
    await s.at(s.base, keep_changes=False)
    print(sorted(str(p.relative_to(s.tree)) for p in s.tree.rglob("*") if ".git/" not in str(p)))
asyncio.run(main())
"""


async def test_files_and_folders_without_permissions() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        if os.geteuid() == 0:
            os.chown(name, 65534, 65534)
        said, complaint = run_python(_UNREADABLE, name).communicate()
    assert complaint == ""
    first, second = said.splitlines()
    assert first == "2 ['own'] [('keep', 'unreadable'), ('new', 'unreadable')]"
    assert second == "['.git', '.gitignore', 'dir', 'dir/in', 'keep', 'open']"
