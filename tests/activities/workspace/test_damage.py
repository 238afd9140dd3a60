"""A shadow in which objects are broken: the vault has everything, so that neither the session nor its work is lost."""

import os
from pathlib import Path

import pytest

from activities.workspace import (
    GitError,
    Worktree,
    checkpoint,
    claim,
    materialise,
    open_vault,
    publish,
    restore_tracked,
    restore_work,
    session_tip,
)
from activities.workspace.salvage import save_sound

from .support import SESSION, Session, git, start, write

DONE = {"src/app.py": "print(2)\n", "src/new.py": "new = 1\n"}


@pytest.fixture
async def second(session: Session) -> Session:
    """A session after its first checkpoint: its objects are loose, each in a file of its own."""
    write(session.tree, {"src/app.py": "print('one')\n", "deep/er/file": "deep\n"})
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="One")
    await publish(session.worktree, session.vault, made.commit, session.base)
    await session.at(made.commit)
    return session


def _damage(worktree: Worktree, name: str, content: bytes = b"") -> None:
    """Break the loose object that this name leads to."""
    found = git("rev-parse", name, cwd=worktree.git_dir)
    place = worktree.objects / found[:2] / found[2:]
    assert place.is_file(), f"{name} is not a loose object"
    place.chmod(0o600)
    place.write_bytes(content)


async def _step(session: Session, worktree: Worktree) -> str:
    """All that an execute does with git, after its workspace was taken up."""
    held, _ = await claim(worktree, session.vault, iteration=2, step="s", host="h")
    made = await checkpoint(worktree, session_id=SESSION, iteration=2, step="s", subject="Two")
    await publish(worktree, session.vault, made.commit, worktree.commit, held=held)
    return made.commit


BROKEN = ["HEAD^{tree}", "HEAD:src", "HEAD:src/app.py", "HEAD:deep/er/file", "HEAD"]


@pytest.mark.parametrize("content", [b"", b"noise"], ids=["empty", "noise"])
@pytest.mark.parametrize("name", BROKEN)
async def test_work_is_kept_and_published_from_a_shadow_with_a_broken_object(
    second: Session, tmp_path: Path, name: str, content: bytes
) -> None:
    here = second.worktree.commit
    write(second.tree, DONE)
    _damage(second.worktree, name, content)
    worktree = await second.at(here)
    assert worktree.kept
    commit = await _step(second, worktree)
    assert await session_tip(second.vault, SESSION) == commit
    assert git("show", f"{commit}:src/new.py", cwd=second.vault.git_dir) == "new = 1"
    assert git("show", f"{commit}:deep/er/file", cwd=second.vault.git_dir) == "deep"
    await second.at(commit, keep_changes=False)
    await materialise(second.worktree, commit, tmp_path / "clean")
    assert (tmp_path / "clean" / "src" / "app.py").read_text() == "print(2)\n"
    git("fsck", cwd=second.vault.git_dir)


@pytest.mark.parametrize("content", [b"", b"noise"], ids=["empty", "noise"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_clean_checkout_from_a_shadow_with_a_broken_object(
    second: Session, tmp_path: Path, name: str, content: bytes
) -> None:
    worktree = await second.at(second.worktree.commit, keep_changes=False)
    _damage(worktree, name, content)
    await materialise(worktree, worktree.commit, tmp_path / "clean")
    assert (tmp_path / "clean" / "deep" / "er" / "file").read_text() == "deep\n"
    assert (tmp_path / "clean" / "src" / "app.py").read_text() == "print('one')\n"
    write(worktree.tree, {"src/app.py": "forged\n"})
    await restore_tracked(worktree, worktree.commit, worktree.tree)
    assert (worktree.tree / "src" / "app.py").read_text() == "print('one')\n"


async def test_an_object_that_breaks_before_it_was_published_is_made_again(second: Session) -> None:
    here = second.worktree.commit
    held, _ = await claim(second.worktree, second.vault, iteration=2, step="s", host="h")
    write(second.tree, DONE)
    made = await checkpoint(second.worktree, session_id=SESSION, iteration=2, step="s", subject="Two")
    _damage(second.worktree, f"{made.commit}:src/new.py")
    with pytest.raises(GitError):
        await publish(second.worktree, second.vault, made.commit, here, held=held)
    worktree = await second.at(here)
    assert worktree.kept
    commit = await _step(second, worktree)
    assert git("show", f"{commit}:src/new.py", cwd=second.vault.git_dir) == "new = 1"


async def test_a_commit_that_was_made_but_not_recorded_may_break_too(second: Session) -> None:
    here = second.worktree.commit
    write(second.tree, DONE)
    await checkpoint(second.worktree, session_id=SESSION, iteration=2, step="s", subject="Two")
    _damage(second.worktree, "HEAD")
    worktree = await second.at(here)
    assert worktree.kept
    assert (worktree.tree / "src" / "new.py").exists()
    commit = await _step(second, worktree)
    assert git("show", f"{commit}:src/new.py", cwd=second.vault.git_dir) == "new = 1"


@pytest.mark.parametrize("content", [b"", b"\0" * 41])
async def test_a_branch_or_an_index_that_a_power_cut_emptied(second: Session, content: bytes) -> None:
    here = second.worktree.commit
    write(second.tree, DONE)
    (second.worktree.git_dir / "refs" / "heads" / "overnight" / SESSION).write_bytes(content)
    (second.worktree.git_dir / "index").write_bytes(content)
    worktree = await second.at(here)
    assert worktree.kept
    commit = await _step(second, worktree)
    assert git("show", f"{commit}:src/new.py", cwd=second.vault.git_dir) == "new = 1"


async def test_what_another_host_left_is_taken_up_into_a_broken_shadow(second: Session) -> None:
    here = second.worktree.commit
    await claim(second.worktree, second.vault, iteration=2, step="s", host="h")
    other = await second.at(here, host="other")
    held, left = await claim(other, second.vault, iteration=2, step="s", host="other")
    assert left is not None
    for place in other.objects.rglob("*"):
        if place.is_file():
            place.chmod(0o600)
            place.write_bytes(b"noise")
    await restore_work(other, second.vault, left)
    assert (other.tree / "deep" / "er" / "file").read_text() == "deep\n"
    write(other.tree, DONE)
    made = await checkpoint(other, session_id=SESSION, iteration=2, step="s", subject="Two")
    await publish(other, second.vault, made.commit, here, held=held)
    assert await session_tip(second.vault, SESSION) == made.commit


async def test_a_shadow_keeps_what_it_had_while_its_vault_cannot_mend_it(second: Session, tmp_path: Path) -> None:
    write(second.tree, DONE)
    _damage(second.worktree, "HEAD^{tree}")
    before = sorted(path for path in second.worktree.objects.rglob("*") if path.is_file())
    hidden = second.vault.git_dir.rename(tmp_path / "away")
    with pytest.raises(GitError):
        await second.at(second.worktree.commit)
    assert sorted(path for path in second.worktree.objects.rglob("*") if path.is_file()) == before
    hidden.rename(second.vault.git_dir)
    assert (await second.at(second.worktree.commit)).kept
    assert (second.tree / "src" / "new.py").exists()


async def test_only_what_is_what_its_name_says_is_saved(tmp_path: Path) -> None:
    session = await start(tmp_path)
    write(session.tree, {"large": os.urandom(2_000_000), "small": "s\n", "zeros": b"\0" * 3_000_000})
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="One")
    wrong = git("rev-parse", f"{made.commit}:small", cwd=session.worktree.git_dir)
    other = git("rev-parse", f"{made.commit}:large", cwd=session.worktree.git_dir)
    target = await open_vault(tmp_path / "target.git")
    place = session.worktree.objects / wrong[:2] / wrong[2:]
    place.unlink()
    place.write_bytes((session.worktree.objects / other[:2] / other[2:]).read_bytes())
    save_sound(session.worktree.objects, target.git_dir / "objects")
    missing = git("rev-list", "--objects", "--missing=print", made.commit, cwd=target.git_dir).splitlines()
    assert [line for line in missing if line.startswith("?")] == [f"?{wrong}"]
    for name in ("large", "zeros"):
        assert git("cat-file", "-t", f"{made.commit}:{name}", cwd=target.git_dir) == "blob"
