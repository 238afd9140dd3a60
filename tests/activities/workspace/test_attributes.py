"""A repository's attributes convert nothing: what is committed is what lies in the workspace, byte by byte."""

import os
from pathlib import Path

import pytest

from activities.workspace import checkpoint, give_agent_git, inspect_project, materialise
from activities.workspace.files import keep_bytes

from .support import SESSION, Session, Tripwire, contents, git, start, write

ODD = {
    "dos.txt": b"one\r\ntwo\r\n",
    "unix.txt": b"one\ntwo\n",
    "mixed.txt": b"one\r\ntwo\n",
    "ident.c": b"// $Id$ and $Id: abc $\n",
    "latin.txt": "grün\n".encode("latin-1"),
    "wide.txt": "grün\n".encode("utf-16"),
    "zero.bin": b"\0\r\n\n",
    "empty": b"",
}
RULES = [
    "* text",
    "* text=auto",
    "* text eol=crlf",
    "* text eol=lf",
    "* eol=crlf",
    "* crlf=input",
    "* ident",
    "* filter=lfs",
    "* filter",
    "* -filter",
    "* working-tree-encoding=UTF-16",
    "* working-tree-encoding=UTF-8",
    "* working-tree-encoding=NONSENSE",
    "* working-tree-encoding",
    "* -working-tree-encoding",
    "[attr]all text eol=crlf ident filter=x working-tree-encoding=UTF-16LE-BOM\n* all",
]


@pytest.mark.parametrize("where", ["", "deep/er/"])
@pytest.mark.parametrize("rules", RULES)
async def test_bytes_are_committed_as_they_are(session: Session, tmp_path: Path, rules: str, where: str) -> None:
    write(session.tree, {".gitattributes": "* text=auto\n"})
    write(session.tree, {f"{where}.gitattributes": f"{rules}\n"})
    write(session.tree, {f"{where}{name}": content for name, content in ODD.items()})
    before = contents(session.tree)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Odd")
    assert made.skipped == []
    assert contents(session.tree) == before
    await materialise(session.worktree, made.commit, tmp_path / "clean")
    assert {k: v for k, v in contents(tmp_path / "clean").items() if k in before} == before
    assert git("cat-file", "-s", f"{made.commit}:{where}dos.txt", cwd=session.worktree.git_dir) == "10"
    session.worktree = await session.at(made.commit)
    again = await checkpoint(session.worktree, session_id=SESSION, iteration=2, step="s", subject="Nothing")
    assert again.changed_files == 0


async def test_a_filter_does_not_run_and_is_not_missed(session: Session, trip: Tripwire) -> None:
    write(session.tree, {".gitattributes": "* filter=x\n", "a": "1\n"})
    config = session.worktree.git_dir / "config"
    config.write_text(config.read_text() + f'[filter "x"]\n\tclean = {trip.script}\n\trequired = true\n')
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Filtered")
    assert made.changed_files == 2
    assert not trip.fired


async def test_the_agent_s_own_git_sees_the_same(session: Session) -> None:
    write(session.tree, {".gitattributes": "* working-tree-encoding=UTF-16\n", "x": "1\n"})
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Odd")
    session.worktree = await session.at(made.commit)
    await give_agent_git(session.worktree, session.worktree.objects)
    assert git("status", "--porcelain", cwd=session.tree) == ""


async def test_a_shadow_of_before_is_mended(session: Session) -> None:
    rules = session.worktree.git_dir / "info" / "attributes"
    rules.unlink()
    await session.at(session.base)
    assert "-text" in rules.read_text()
    rules.write_text("* text\n")
    keep_bytes(session.worktree.git_dir)
    assert "-text" in rules.read_text()


async def test_a_person_s_checkout_is_compared_as_their_git_does(tmp_path: Path) -> None:
    await start(tmp_path, {".gitattributes": "*.txt text eol=crlf\n", "a.txt": "1\n2\n"})
    checkout = tmp_path / "project"
    (checkout / "a.txt").unlink()
    git("checkout", "a.txt", cwd=checkout)
    os.utime(checkout / "a.txt", (1, 1))
    assert (checkout / "a.txt").read_bytes() == b"1\r\n2\r\n"
    assert (await inspect_project(checkout)).dirty_files == 0
    (checkout / "a.txt").write_bytes(b"1\r\n3\r\n")
    assert (await inspect_project(checkout)).dirty_files == 1
