import asyncio
from pathlib import Path

import pytest

from activities.workspace import (
    Checkpoint,
    Conflict,
    GitError,
    Vault,
    Worktree,
    branch_ref,
    checkpoint,
    diff,
    ensure_worktree,
    find_published,
    import_base,
    log,
    open_vault,
    publish,
    read_text,
    session_tip,
)

from .support import SESSION, Session, git, make_repo, start_from, write


async def _take(worktree: Worktree, text: str, *, iteration: int = 1, step: str = "s") -> Checkpoint:
    write(worktree.tree, {"work": text})
    return await checkpoint(worktree, session_id=SESSION, iteration=iteration, step=step, subject=f"Do {text}")


async def test_publishing_moves_the_branch_and_may_be_repeated(session: Session) -> None:
    made = await _take(session.worktree, "a")
    assert await session_tip(session.vault, SESSION) == session.base
    for _ in range(2):
        await publish(session.worktree, session.vault, made.commit, session.base)
        assert await session_tip(session.vault, SESSION) == made.commit
    refs = git("for-each-ref", "--format=%(refname)", cwd=session.vault.git_dir).split()
    assert refs == [branch_ref(SESSION), f"refs/overnight/{SESSION}/base"]


@pytest.mark.parametrize("remote", [False, True])
async def test_of_two_at_once_one_loses(tmp_path: Path, *, remote: bool) -> None:
    commit = make_repo(tmp_path / "project")
    vault = await open_vault(tmp_path / "v.git")
    vaults = [vault, vault]
    if remote:
        url = vault.git_dir.as_uri()
        vaults = [await open_vault(url, cache=tmp_path / f"cache{n}.git") for n in range(2)]
    await import_base(vaults[0], SESSION, tmp_path / "project", commit)
    worktrees = [await ensure_worktree(tmp_path / f"h{n}", vaults[n], SESSION, commit) for n in range(2)]
    for round_number in range(3):
        made = [await _take(w, f"{n}-{round_number}") for n, w in enumerate(worktrees)]
        done = await asyncio.gather(
            *(publish(worktrees[n], vaults[n], made[n].commit, worktrees[n].commit) for n in range(2)),
            return_exceptions=True,
        )
        lost = [result for result in done if result is not None]
        assert len(lost) == 1
        assert isinstance(lost[0], Conflict)
        winner = made[done.index(None)].commit
        assert lost[0].tip == winner == await session_tip(vault, SESSION)
        worktrees = [
            await ensure_worktree(tmp_path / f"h{n}", vaults[n], SESSION, winner, keep_changes=False) for n in range(2)
        ]


async def test_a_zombie_cannot_publish(session: Session) -> None:
    zombie = await ensure_worktree(session.home / "zombie", session.vault, SESSION, session.base)
    old = await _take(zombie, "zombie")
    made = await _take(session.worktree, "a")
    await publish(session.worktree, session.vault, made.commit, session.base)
    with pytest.raises(Conflict):
        await publish(zombie, session.vault, old.commit, session.base)
    assert await session_tip(session.vault, SESSION) == made.commit


async def test_only_one_commit_on_the_expected_parent(session: Session) -> None:
    first = await _take(session.worktree, "a")
    worktree = await session.at(first.commit)
    second = await _take(worktree, "b", iteration=2)
    with pytest.raises(ValueError, match="not one commit on top"):
        await publish(worktree, session.vault, second.commit, session.base)
    with pytest.raises(ValueError, match="not a full commit id"):
        await publish(worktree, session.vault, "HEAD", first.commit)


async def test_a_lost_completion_is_adopted(session: Session) -> None:
    assert await find_published(session.vault, SESSION, 1, "s", session.base) is None
    made = await _take(session.worktree, "a")
    await publish(session.worktree, session.vault, made.commit, session.base)
    found = await find_published(session.vault, SESSION, 1, "s", session.base)
    assert found == made
    assert await find_published(session.vault, SESSION, 2, "s", session.base) is None
    assert await find_published(session.vault, SESSION, 1, "t", session.base) is None
    assert await find_published(session.vault, SESSION, 1, "s", made.commit) is None
    assert await find_published(session.vault, "unknown", 1, "s", session.base) is None
    worktree = await session.at(made.commit)
    second = await _take(worktree, "b", iteration=2)
    await publish(worktree, session.vault, second.commit, made.commit)
    assert await find_published(session.vault, SESSION, 1, "s", session.base) is None


async def test_a_vault_that_is_gone_is_an_error_not_a_conflict(session: Session) -> None:
    made = await _take(session.worktree, "a")
    hidden = session.vault.git_dir.rename(session.home / "away")
    with pytest.raises(GitError):
        await publish(session.worktree, session.vault, made.commit, session.base)
    hidden.rename(session.vault.git_dir)
    await publish(session.worktree, session.vault, made.commit, session.base)


async def test_a_fleet_with_a_vault_at_a_url(tmp_path: Path) -> None:
    git("init", "-q", "--bare", "remote.git", cwd=tmp_path)
    url = (tmp_path / "remote.git").as_uri()
    commit = make_repo(tmp_path / "project")
    one = await open_vault(url, cache=tmp_path / "one.git")
    two = await open_vault(url, cache=tmp_path / "two.git")
    await import_base(one, SESSION, tmp_path / "project", commit)
    here = await ensure_worktree(tmp_path / "h1", one, SESSION, commit)
    made = await _take(here, "a")
    await publish(here, one, made.commit, commit)
    assert await find_published(two, SESSION, 1, "s", commit) == made
    there = await ensure_worktree(tmp_path / "h2", two, SESSION, made.commit)
    assert (there.tree / "work").read_text() == "a"
    three = await open_vault(url, cache=tmp_path / "three.git")
    assert "+a" in (await diff(three, commit, made.commit)).patch
    assert [entry.commit for entry in await log(three, SESSION, commit)] == [made.commit]
    assert await read_text(Vault(three.git_dir, url), made.commit, "work") == "a"


async def test_a_new_project_from_nothing_to_published(tmp_path: Path) -> None:
    session = await start_from(tmp_path, None, None)
    assert list(session.tree.iterdir()) == []
    made = await _take(session.worktree, "first words")
    await publish(session.worktree, session.vault, made.commit, session.base)
    assert (made.changed_files, made.insertions) == (1, 1)
    git("clone", "-q", "-b", f"overnight/{SESSION}", session.vault.git_dir, tmp_path / "clone", cwd=tmp_path)
    assert (tmp_path / "clone" / "work").read_text() == "first words"
