import asyncio
import os
import time
from pathlib import Path

import pytest

from activities.workspace import (
    Conflict,
    GitError,
    ProjectError,
    base_ref,
    branch_ref,
    checkpoint,
    give_agent_git,
    import_base,
    open_vault,
    publish,
    session_tip,
    tidy,
)
from activities.workspace.message import SESSION as SESSION_TRAILER
from activities.workspace.message import read_commit
from activities.workspace.names import check_session_id, is_other_transport, is_url

from .support import SESSION, Session, commit_all, fingerprint, git, make_repo, run_python, start_from, write


async def test_a_missing_vault_is_made_once(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "project.git"
    vaults = await asyncio.gather(*(open_vault(place) for _ in range(20)))
    assert {v.git_dir for v in vaults} == {place}
    assert [p.name for p in place.parent.iterdir()] == ["project.git"]
    assert git("rev-parse", "--is-bare-repository", cwd=place) == "true"
    assert not (place / "hooks").exists()


async def test_two_processes_make_one_vault(tmp_path: Path) -> None:
    code = (
        "import asyncio\nfrom activities.workspace import open_vault\n"
        f"print(asyncio.run(open_vault({str(tmp_path / 'new' / 'v.git')!r})).git_dir)"
    )
    running = [run_python(code) for _ in range(4)]
    assert {p.communicate()[0].strip() for p in running} == {str(tmp_path / "new" / "v.git")}
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["v.git"]


async def test_a_place_that_is_taken_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "new" / "taken", {"file": "x"})
    with pytest.raises(GitError, match="exists and is not a vault"):
        await open_vault(tmp_path / "new" / "taken")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["taken"]
    with pytest.raises(ValueError, match="'ext' is not a transport"):
        await open_vault("ext::sh -c true")
    with pytest.raises(ValueError, match="local copy"):
        await open_vault("https://example.org/vault.git")


async def test_import_makes_branch_and_hidden_base_and_touches_nothing(tmp_path: Path) -> None:
    project = tmp_path / "p"
    commit = make_repo(project)
    write(project, {"README.md": "not committed\n", "untracked": "x"})
    git("add", "README.md", cwd=project)
    before = fingerprint(project)
    vault = await open_vault(tmp_path / "v.git")
    for _ in range(2):
        assert await import_base(vault, SESSION, project, commit) == commit
    assert git("rev-parse", base_ref(SESSION), branch_ref(SESSION), cwd=vault.git_dir).split() == [commit, commit]
    assert git("for-each-ref", cwd=vault.git_dir).count("\n") == 1
    assert fingerprint(project) == before


async def test_concurrent_imports_agree(tmp_path: Path) -> None:
    commit = make_repo(tmp_path / "p")
    vault = await open_vault(tmp_path / "v.git")
    done = await asyncio.gather(*(import_base(vault, SESSION, tmp_path / "p", commit) for _ in range(5)))
    assert set(done) == {commit}


async def test_a_retry_leaves_a_branch_that_has_grown(session: Session, tmp_path: Path) -> None:
    grown = git("commit-tree", "-p", session.base, "-m", "x", f"{session.base}^{{tree}}", cwd=session.vault.git_dir)
    git("update-ref", branch_ref(SESSION), grown, cwd=session.vault.git_dir)
    assert await import_base(session.vault, SESSION, tmp_path / "project", session.base) == session.base
    assert await session_tip(session.vault, SESSION) == grown


async def test_another_base_is_a_conflict(session: Session, tmp_path: Path) -> None:
    write(tmp_path / "project", {"more": "1"})
    other = commit_all(tmp_path / "project", "More")
    with pytest.raises(Conflict) as caught:
        await import_base(session.vault, SESSION, tmp_path / "project", other)
    assert caught.value.tip == session.base


async def test_a_new_project_is_the_same_empty_commit_every_time(tmp_path: Path) -> None:
    one = await open_vault(tmp_path / "one.git")
    two = await open_vault(tmp_path / "two.git")
    commit = await import_base(one, SESSION, None, None)
    assert await import_base(one, SESSION, None, None) == commit
    await asyncio.sleep(1.1)
    assert await import_base(two, SESSION, None, None) == commit
    info = await read_commit(one.git_dir, commit)
    assert info.parents == ()
    assert info.trailers == {SESSION_TRAILER: SESSION}
    assert git("ls-tree", commit, cwd=one.git_dir) == ""
    assert await import_base(one, "another", None, None) != commit


async def test_an_approach_starts_from_a_commit_of_the_vault(session: Session) -> None:
    assert await import_base(session.vault, f"{SESSION}.a1", None, session.base) == session.base
    assert await session_tip(session.vault, f"{SESSION}.a1") == session.base
    with pytest.raises(ProjectError, match="does not hold"):
        await import_base(session.vault, f"{SESSION}.a2", None, "0" * 39 + "1")


async def test_a_commit_that_the_source_lacks(tmp_path: Path) -> None:
    make_repo(tmp_path / "p")
    vault = await open_vault(tmp_path / "v.git")
    with pytest.raises(ProjectError, match=r"could not be copied from .*/p"):
        await import_base(vault, SESSION, tmp_path / "p", "0" * 39 + "1")
    with pytest.raises(ProjectError, match="could not be copied"):
        await import_base(vault, SESSION, tmp_path / "gone", "0" * 39 + "1")
    assert await session_tip(vault, SESSION) is None


async def test_a_shallow_clone_works_to_the_end(tmp_path: Path) -> None:
    project = tmp_path / "full"
    make_repo(project)
    for number in range(3):
        write(project, {"n": str(number)})
        commit_all(project, f"Change {number}")
    git("clone", "-q", "--depth=2", project.as_uri(), tmp_path / "p", cwd=tmp_path)
    commit = git("rev-parse", "HEAD", cwd=tmp_path / "p")
    before = fingerprint(tmp_path / "p")
    session = await start_from(tmp_path, tmp_path / "p", commit)
    write(session.tree, {"n": "done"})
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Done")
    await publish(session.worktree, session.vault, made.commit, commit)
    await session.at(made.commit)
    await give_agent_git(session.worktree, session.worktree.objects)
    assert len(git("log", "--format=%H", cwd=session.tree).split()) == 3
    other = await session.at(made.commit, host="other")
    assert (other.tree / "n").read_text() == "done"
    assert fingerprint(tmp_path / "p") == before


async def test_a_vault_at_a_url(tmp_path: Path) -> None:
    git("init", "-q", "--bare", "remote.git", cwd=tmp_path)
    url = (tmp_path / "remote.git").as_uri()
    vault = await open_vault(url, cache=tmp_path / "cache.git")
    commit = make_repo(tmp_path / "p")
    done = await asyncio.gather(*(import_base(vault, SESSION, tmp_path / "p", commit) for _ in range(3)))
    assert set(done) == {commit}
    assert git("rev-parse", branch_ref(SESSION), base_ref(SESSION), cwd=tmp_path / "remote.git").split() == [commit] * 2
    other = await open_vault(url, cache=tmp_path / "elsewhere.git")
    assert await session_tip(other, SESSION) == commit
    assert await import_base(other, SESSION, tmp_path / "p", commit) == commit


async def test_a_vault_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = (tmp_path / "no-such.git").as_uri()
    vault = await open_vault(url, cache=tmp_path / "copy.git")
    with pytest.raises(GitError, match=f"vault {url}: "):
        await session_tip(vault, SESSION)


async def test_a_lock_file_that_a_killed_git_left_does_not_block_for_ever(session: Session, tmp_path: Path) -> None:
    lock = session.vault.git_dir / (branch_ref("other") + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    with pytest.raises(GitError, match=r"\.lock"):
        await import_base(session.vault, "other", tmp_path / "project", session.base)
    old = time.time() - 3600
    os.utime(lock, (old, old))
    assert await import_base(session.vault, "other", tmp_path / "project", session.base) == session.base


async def test_tidy_packs_what_has_piled_up(session: Session) -> None:
    git_dir = session.vault.git_dir
    assert not await tidy(git_dir)
    parent = session.base
    lines = []
    for number in range(1500):
        text = f"number {number}"
        lines.append(f"commit refs/heads/pile\ncommitter A <a@b> {number} +0000\ndata {len(text)}\n{text}\n")
    git("-c", "fastimport.unpackLimit=100000", "fast-import", "--quiet", cwd=git_dir, stdin="\n".join(lines))
    assert int(git("count-objects", cwd=git_dir).split()[0]) > 1400
    assert await tidy(git_dir)
    assert int(git("count-objects", cwd=git_dir).split()[0]) < 10
    assert not await tidy(git_dir)
    git("fsck", "--connectivity-only", cwd=git_dir)
    assert await session_tip(session.vault, SESSION) == parent


def test_names() -> None:
    for good in ("https://h/x", "ssh://git@h/x", "git@github.com:o/r.git", "host:path", "file:///x"):
        assert is_url(good)
    for path in ("/abs:x", "./a:b", "plain", "ext::sh -c x", "a/b:c", "-oProxyCommand=x:y", "ftp://h/x"):
        assert not is_url(path)
    assert is_other_transport("ext::sh -c x")
    assert is_other_transport("ftp://h/x")
    assert check_session_id("a.b-c_1") == "a.b-c_1"
    for bad in ("", "a/b", "..", "a..b", ".a", "-a", "a.lock", "a b", "a\n", "x" * 101):
        with pytest.raises(ValueError, match="cannot be a session id"):
            check_session_id(bad)
