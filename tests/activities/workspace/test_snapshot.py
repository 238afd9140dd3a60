"""Work in progress: kept where another host finds it, and the right to publish that goes with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from activities.workspace import (
    GATHER,
    MAX_FILE_BYTES,
    Claim,
    Conflict,
    Snapshot,
    Vault,
    Worktree,
    branch_ref,
    checkpoint,
    claim,
    ensure_worktree,
    follow_up,
    gather_facts,
    open_vault,
    publish,
    restore_transcript,
    restore_work,
    session_tip,
    take_snapshot,
)
from activities.workspace.names import snapshot_ref
from overnight.base.redaction import Redactor

from .support import SESSION, Session, Tripwire, contents, fingerprint, git, make_repo, write

NONE = Redactor()
WORK = {
    "src/app.py": "print(2)\n",
    "src/new.py": "new = 1\n",
    "odd \u00e9 name": "x",
    "node_modules/big.js": "ignored",
    "run.log": "ignored",
}


def tip(vault: Vault) -> str:
    return git("rev-parse", snapshot_ref(SESSION), cwd=vault.git_dir)


async def claimed(worktree: Worktree, vault: Vault, host: str = "a", step: str = "s1") -> tuple[Claim, Snapshot | None]:
    return await claim(worktree, vault, iteration=1, step=step, host=host)


async def keep(
    held: Claim, *, transcript: Path | None, redactor: Redactor, max_file_bytes: int = MAX_FILE_BYTES
) -> Claim:
    """As the worker does it, but for the box."""
    place = Path(tempfile.mkdtemp(dir=held.worktree.folder.parent))
    await gather_facts(held.worktree, place / "facts")
    paths = [str(path) for path in (held.worktree.tree, held.worktree.objects, place / "facts")]
    command = [sys.executable, "-I", "-S", str(GATHER), held.worktree.commit, str(max_file_bytes), *paths]
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(place), "HOME": str(place)}
    done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, check=True)
    (place / "pack").write_bytes(done.stdout)
    return await take_snapshot(held, place / "pack", transcript=transcript, redactor=redactor)


async def elsewhere(session: Session, name: str = "other", vault: Vault | None = None) -> Worktree:
    return await ensure_worktree(session.home / name, vault or session.vault, SESSION, session.base)


@pytest.mark.parametrize("remote", [False, True])
async def test_another_host_goes_on_with_it(session: Session, tmp_path: Path, *, remote: bool) -> None:
    vault = session.vault
    if remote:
        vault = await open_vault(session.vault.git_dir.as_uri(), cache=tmp_path / "cache.git")
    held, left = await claimed(session.worktree, vault)
    assert left is None
    write(session.worktree.tree, WORK)
    (session.worktree.tree / "README.md").unlink()
    (session.worktree.tree / "link").symlink_to("src/app.py")
    (session.worktree.tree / "src/new.py").chmod(0o755)
    said = tmp_path / "said.jsonl"
    said.write_text('{"type":"user"}\n')
    await keep(held, transcript=said, redactor=NONE)

    there = await elsewhere(session, vault=vault)
    held, found = await claimed(there, vault, "b")
    assert found is not None
    assert (found.host, found.has_transcript) == ("a", True)
    await restore_work(there, vault, found)
    expected = {
        k: v for k, v in contents(session.worktree.tree).items() if k not in {b"node_modules/big.js", b"run.log"}
    }
    assert contents(there.tree) == expected
    await restore_transcript(vault, found, tmp_path / "again" / "said.jsonl")
    assert (tmp_path / "again" / "said.jsonl").read_bytes() == said.read_bytes()
    made = await checkpoint(there, session_id=SESSION, iteration=1, step="s1", subject="Done")
    assert made.parent == session.base
    await publish(there, vault, made.commit, session.base, held=held)
    assert await session_tip(vault, SESSION) == made.commit
    assert snapshot_ref(SESSION) not in git("for-each-ref", cwd=session.vault.git_dir)


async def test_nothing_changes_where_the_agent_works(session: Session) -> None:
    held, _ = await claimed(session.worktree, session.vault)
    tree = session.worktree.tree
    write(tree, WORK)
    git("init", "-q", "nested", cwd=tree)
    write(tree, {"nested/inside.py": "1"})
    index = (session.worktree.git_dir / "index").read_bytes()
    before = fingerprint(tree)
    await keep(held, transcript=None, redactor=NONE)
    assert fingerprint(tree) == before
    assert (session.worktree.git_dir / "index").read_bytes() == index
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s1", subject="Done")
    assert made.parent == session.base


async def test_who_claimed_before_neither_keeps_nor_publishes(session: Session) -> None:
    first, _ = await claimed(session.worktree, session.vault)
    there = await elsewhere(session)
    second, _ = await claimed(there, session.vault, "b")
    write(session.worktree.tree, {"zombie": "1"})
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s1", subject="Zombie")
    with pytest.raises(Conflict):
        await keep(first, transcript=None, redactor=NONE)
    with pytest.raises(Conflict) as raised:
        await publish(session.worktree, session.vault, made.commit, session.base, held=first)
    assert raised.value.ref == first.ref
    assert await session_tip(session.vault, SESSION) == session.base
    write(there.tree, {"mine": "1"})
    done = await checkpoint(there, session_id=SESSION, iteration=1, step="s1", subject="Mine")
    await publish(there, session.vault, done.commit, session.base, held=second)
    assert await session_tip(session.vault, SESSION) == done.commit


async def test_publishing_twice_is_fine(session: Session) -> None:
    held, _ = await claimed(session.worktree, session.vault)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s1", subject="Done")
    for _ in range(2):
        await publish(session.worktree, session.vault, made.commit, session.base, held=held)


async def test_an_unfinished_step_goes_on_from_its_checkpoint(session: Session, tmp_path: Path) -> None:
    said = tmp_path / "said.jsonl"
    said.write_text('{"type":"user"}\n')
    held, _ = await claimed(session.worktree, session.vault)
    write(session.worktree.tree, WORK)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s1.partial", subject="Half")
    follow = await follow_up(held, made.commit, transcript=said, redactor=NONE)
    await publish(session.worktree, session.vault, made.commit, session.base, held=held, follow=follow)
    assert tip(session.vault) == follow
    there = await ensure_worktree(session.home / "other", session.vault, SESSION, made.commit)
    _, found = await claimed(there, session.vault, "b")
    assert found is not None
    assert found.has_transcript


async def test_what_another_step_left_is_no_use(session: Session) -> None:
    held, _ = await claimed(session.worktree, session.vault)
    write(session.worktree.tree, WORK)
    await keep(held, transcript=None, redactor=NONE)
    _, found = await claimed(session.worktree, session.vault, step="s2")
    assert found is None


async def test_a_claim_alone_loses_nothing_that_was_kept(session: Session) -> None:
    """Its owner dies before it has done anything."""
    held, _ = await claimed(session.worktree, session.vault)
    write(session.worktree.tree, WORK)
    await keep(held, transcript=None, redactor=NONE)
    there = await elsewhere(session)
    await claimed(there, session.vault, "b")
    _, found = await claimed(await elsewhere(session, "third"), session.vault, "c")
    assert found is not None
    assert found.host == "a"
    third = await elsewhere(session, "third")
    await restore_work(third, session.vault, found)
    assert (third.tree / "src/new.py").read_text() == "new = 1\n"


async def test_what_has_not_changed_moves_nothing(session: Session) -> None:
    held, _ = await claimed(session.worktree, session.vault)
    write(session.worktree.tree, WORK)
    held = await keep(held, transcript=None, redactor=NONE)
    before = tip(session.vault)
    assert await keep(held, transcript=None, redactor=NONE) == held
    assert tip(session.vault) == before


async def test_large_files_and_secrets_stay_on_this_host(session: Session) -> None:
    secret = "hunter2-is-what-the-worker-knows"
    held, _ = await claimed(session.worktree, session.vault)
    write(
        session.worktree.tree, WORK | {"src/util.py": f"KEY = '{secret}'\n", "leak.txt": secret, "big.bin": "x" * 5_000}
    )
    said = session.home / "said.jsonl"
    said.write_text(f'{{"type":"user","text":"{secret}"}}\n')
    held = await keep(held, transcript=said, redactor=Redactor.of([secret]), max_file_bytes=4_000)
    shown = ("-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", f"{held.commit}:tree")
    listed = git(*shown, cwd=session.vault.git_dir).splitlines()
    assert "src/new.py" in listed
    assert not [name for name in listed if secret in name or "many" in name]
    assert not {"leak.txt", "big.bin"} & set(listed)
    assert "return 1" in git("show", f"{held.commit}:tree/src/util.py", cwd=session.vault.git_dir)
    assert secret not in git("show", f"{held.commit}:transcript.jsonl", cwd=session.vault.git_dir)
    assert secret.encode() in (session.worktree.tree / "leak.txt").read_bytes()


async def test_the_branch_of_a_person_who_moved_it_is_told_apart(session: Session) -> None:
    held, _ = await claimed(session.worktree, session.vault)
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s1", subject="Done")
    other = git("commit-tree", f"{session.base}^{{tree}}", "-p", session.base, "-m", "x", cwd=session.vault.git_dir)
    git("update-ref", branch_ref(SESSION), other, cwd=session.vault.git_dir)
    with pytest.raises(Conflict) as raised:
        await publish(session.worktree, session.vault, made.commit, session.base, held=held)
    assert raised.value.ref == branch_ref(SESSION)
    assert tip(session.vault) == held.commit, "the claim went though nothing was published"


async def test_a_submodule_and_pipes_of_the_agent_start_and_stop_nothing(session: Session, trip: Tripwire) -> None:
    """A repository at the place of a submodule, with a filter of its own, and pipes where git looks for its files."""
    library = session.home / "library"
    base = make_repo(library, {"lib.py": "1\n"})
    git("update-index", "--add", "--cacheinfo", f"160000,{base},lib", cwd=session.worktree.git_dir)
    tree = session.worktree.tree
    git("clone", "-q", library, tree / "lib", cwd=tree)
    git("config", "filter.x.clean", f"{trip.command}; cat", cwd=tree / "lib")
    write(tree, {"lib/.gitattributes": "* filter=x\n", "lib/lib.py": "2\n", "src/new.py": "1\n"})
    held, _ = await claimed(session.worktree, session.vault)
    held = await keep(held, transcript=None, redactor=NONE)
    assert not trip.path.exists()
    listed = git("ls-tree", "-r", "--name-only", f"{held.commit}:tree", cwd=session.vault.git_dir).splitlines()
    assert "src/new.py" in listed
    for name in ("src/.gitignore", "src/.gitattributes", "lib/.git/HEAD"):
        (tree / name).unlink(missing_ok=True)
        os.mkfifo(tree / name)
    async with asyncio.timeout(120):
        made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s1", subject="Done")
    assert not trip.path.exists()
    assert made.changed_files
