import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.workspace import (
    GitError,
    checkpoint,
    checkpoint_of_iteration,
    ensure_worktree,
    find_published,
    import_base,
    materialise,
    publish,
    restore,
)
from activities.workspace.files import remove

from .support import SESSION, Session, contents, git, start_from, write


async def _publish_step(session: Session, number: int, files: dict[str, str]) -> str:
    write(session.tree, files)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=number, step="s", subject=f"Step {number}")
    await publish(session.worktree, session.vault, made.commit, session.worktree.commit)
    await session.at(made.commit)
    return made.commit


async def test_going_back_is_a_new_commit_with_the_old_tree(session: Session) -> None:
    first = await _publish_step(session, 1, {"src/app.py": "print(2)\n", "good": "1"})
    then = contents(session.tree)
    second = await _publish_step(session, 2, {"src/app.py": "worse\n", "bad/file": "1"})
    write(session.tree, {"node_modules/x": "kept", "half.done": "lost"})
    back = await restore(session.worktree, session.vault, first, session_id=SESSION, iteration=3, step="back")
    assert (back.parent, back.changed_files) == (second, 2)
    assert git("rev-parse", f"{first}^{{tree}}", cwd=session.worktree.git_dir) == back.tree
    assert contents(session.tree) == then | {b"node_modules/x": ("file", b"kept")}
    trailer = git(
        "log",
        "-1",
        "--format=%s|%(trailers:key=Overnight-Restores,valueonly)",
        back.commit,
        cwd=session.worktree.git_dir,
    )
    assert trailer == f"Restore {first[:10]}: Step 1|{first}"
    await publish(session.worktree, session.vault, back.commit, second)
    assert await find_published(session.vault, SESSION, 3, "back", second) == back
    await session.at(back.commit)
    assert await session.at(back.commit) is not None


async def test_the_winning_approach_becomes_the_session(session: Session) -> None:
    approach = f"{SESSION}.a2"
    await import_base(session.vault, approach, None, session.base)
    other = await ensure_worktree(session.home / "host" / approach, session.vault, approach, session.base)
    write(other.tree, {"idea": "better"})
    made = await checkpoint(other, session_id=approach, iteration=1, step="try", subject="Another way")
    await publish(other, session.vault, made.commit, session.base)
    won = await restore(
        session.worktree, session.vault, made.commit, session_id=SESSION, iteration=1, step="win", subject="Take a2"
    )
    assert won.tree == made.tree
    assert (session.tree / "idea").read_text() == "better"


async def test_restoring_something_unknown_changes_nothing(session: Session) -> None:
    before = contents(session.tree)
    with pytest.raises(GitError):
        await restore(session.worktree, session.vault, "0" * 39 + "1", session_id=SESSION, iteration=1, step="s")
    assert contents(session.tree) == before


async def test_a_clean_checkout_has_the_commit_and_nothing_else(session: Session, tmp_path: Path) -> None:
    made = await _publish_step(session, 1, {"src/app.py": "print(2)\n"})
    write(session.tree, {"src/app.py": "uncommitted\n", "untracked": "x", "node_modules/x": "1", "a.log": "1"})
    clean = tmp_path / "clean"
    await materialise(session.worktree, made, clean, objects_path=session.worktree.objects)
    assert (clean / "src" / "app.py").read_text() == "print(2)\n"
    assert set(contents(clean)) == {b".gitignore", b"README.md", b"src/app.py", b"src/util.py"}
    assert git("status", "--porcelain", cwd=clean) == ""
    assert git("log", "--format=%s", cwd=clean).splitlines() == ["Step 1", "First words"]
    (clean / "src" / "app.py").write_text("x")
    assert (session.tree / "src" / "app.py").read_text() == "uncommitted\n"
    with pytest.raises(FileExistsError):
        await materialise(session.worktree, made, clean)
    await materialise(session.vault, session.base, tmp_path / "bare")
    assert not (tmp_path / "bare" / ".git").exists()
    assert (tmp_path / "bare" / "src" / "app.py").read_text() == "print(1)\n"
    with pytest.raises(ValueError, match="session id"):
        await materialise(session.vault, made, tmp_path / "x", objects_path=session.worktree.objects)
    index = git("rev-parse", f"{made}^{{tree}}", cwd=session.worktree.git_dir)
    assert git("write-tree", cwd=session.worktree.git_dir) == index


_NAME = st.binary(min_size=1, max_size=12).filter(
    lambda b: (
        b"/" not in b and b"\0" not in b and b not in {b".", b".."} and not b.lower().startswith((b".git", b"git~"))
    )
)
_LEAF = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=40)),
    st.tuples(st.just("exec"), st.binary(max_size=5)),
    st.tuples(st.just("link"), st.binary(min_size=1, max_size=20).filter(lambda b: b"\0" not in b)),
)
_TREE = st.dictionaries(
    _NAME, st.recursive(_LEAF, lambda inner: st.dictionaries(_NAME, inner, max_size=3), max_leaves=6), max_size=4
)

Tree = dict[bytes, "tuple[str, bytes] | Tree"]


def _grow(folder: Path, tree: Tree) -> None:
    for name, node in tree.items():
        path = folder / os.fsdecode(name)
        if isinstance(node, dict):
            path.mkdir()
            _grow(path, node)
        elif node[0] == "link":
            os.symlink(node[1], os.fsencode(path))  # noqa: PTH211 - a path would be normalised
        else:
            path.write_bytes(node[1])
            path.chmod(0o755 if node[0] == "exec" else 0o644)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=_TREE, second=_TREE)
async def test_any_two_trees_survive_checkpoint_checkout_and_restore(first: Tree, second: Tree) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        session = await start_from(home, None, None)
        made = []
        for number, tree in enumerate((first, second)):
            for entry in list(session.tree.iterdir()):
                remove(entry)
            _grow(session.tree, tree)
            took = await checkpoint(session.worktree, session_id=SESSION, iteration=number, step="s", subject="x")
            assert took.skipped == []
            wanted = contents(session.tree)
            await materialise(session.worktree, took.commit, home / f"clean{number}")
            assert contents(home / f"clean{number}") == wanted
            made.append((took.commit, wanted))
            await session.at(took.commit)
        await restore(session.worktree, session.vault, made[0][0], session_id=SESSION, iteration=3, step="s")
        assert contents(session.tree) == made[0][1]


async def test_the_checkpoint_of_an_iteration_is_its_own_last_one(session: Session) -> None:
    """Found by trailers: neither by what a message only quotes, nor by a way back made in that iteration."""
    commits = {}
    for number in (1, 2, 11):
        write(session.tree, {"note": str(number)})
        body = "Overnight-Iteration: 1\n\nsaid the agent"
        made = await checkpoint(
            session.worktree, session_id=SESSION, iteration=number, step=f"s{number}", subject="Step", body=body
        )
        await publish(session.worktree, session.vault, made.commit, session.worktree.commit)
        await session.at(made.commit)
        commits[number] = made.commit
    back = await restore(
        session.worktree, session.vault, commits[2], session_id=SESSION, iteration=11, step="restore-11"
    )
    await publish(session.worktree, session.vault, back.commit, commits[11])

    async def of(number: int) -> str | None:
        return await checkpoint_of_iteration(session.vault, SESSION, number, base=session.base, head=back.commit)

    assert [await of(n) for n in (1, 2, 11)] == [commits[n] for n in (1, 2, 11)]
    assert await of(3) is None
    assert await checkpoint_of_iteration(session.vault, "another", 1, base=session.base, head=back.commit) is None
