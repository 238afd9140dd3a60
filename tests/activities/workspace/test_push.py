"""A vault that a killed git, a power cut or a person left in disorder; and one that is out of reach for a while."""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from activities.workspace import (
    Checkpoint,
    GitError,
    Vault,
    VaultAwayError,
    checkpoint,
    claim,
    ensure_worktree,
    import_base,
    open_vault,
    publish,
    session_tip,
)
from activities.workspace.names import snapshot_ref
from activities.workspace.vault import fetch_commit, tip

from .support import SESSION, Session, git, make_repo, write

NOWHERE = "dead" * 10
LOCKS = ["packed-refs.lock", "HEAD.lock", "config.lock", "shallow.lock", f"{snapshot_ref(SESSION)}.lock"]


async def _done(session: Session) -> Checkpoint:
    write(session.tree, {"work": "x"})
    return await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="Work")


def _leave(lock: Path, *, seconds_ago: float) -> Path:
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    then = time.time() - seconds_ago
    os.utime(lock, (then, then))
    return lock


async def test_stale_locks_of_every_kind_go_before_a_push(session: Session) -> None:
    held, _ = await claim(session.worktree, session.vault, iteration=1, step="s", host="h")
    made = await _done(session)
    left = [_leave(session.vault.git_dir / name, seconds_ago=3600) for name in LOCKS]
    await publish(session.worktree, session.vault, made.commit, session.base, held=held)
    assert await session_tip(session.vault, SESSION) == made.commit
    assert not [lock for lock in left if lock.exists()]


async def test_a_lock_that_somebody_may_hold_stays(session: Session) -> None:
    held, _ = await claim(session.worktree, session.vault, iteration=1, step="s", host="h")
    made = await _done(session)
    fresh = _leave(session.vault.git_dir / "packed-refs.lock", seconds_ago=1)
    with pytest.raises(GitError, match="remove the file manually"):
        await publish(session.worktree, session.vault, made.commit, session.base, held=held)
    assert fresh.exists()
    # One of ours is writing to the vault, for however long: an old lock may be its own.
    old = _leave(fresh, seconds_ago=3600)
    with (session.vault.git_dir / "overnight-writers").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with pytest.raises(GitError):
            await publish(session.worktree, session.vault, made.commit, session.base, held=held)
        assert old.exists()
    await publish(session.worktree, session.vault, made.commit, session.base, held=held)
    assert not old.exists()


def _break(session: Session, ref: str, how: str) -> None:
    """Put something at a ref that git would never put there."""
    place = session.vault.git_dir / ref
    place.parent.mkdir(parents=True, exist_ok=True)
    tree = git("rev-parse", f"{session.base}^{{tree}}", cwd=session.vault.git_dir)
    place.write_text({"gone": NOWHERE + "\n", "tree": tree + "\n", "noise": "noise\n", "empty": ""}[how])


@pytest.mark.parametrize("how", ["gone", "tree", "noise", "empty"])
async def test_a_work_ref_that_nobody_can_read_is_claimed_anew(session: Session, how: str) -> None:
    _break(session, snapshot_ref(SESSION), how)
    held, left = await claim(session.worktree, session.vault, iteration=1, step="s", host="h")
    assert (left, held.rebuilt) == (None, True)
    assert await tip(session.vault, held.ref) == held.commit
    made = await _done(session)
    await publish(session.worktree, session.vault, made.commit, session.base, held=held)
    assert await session_tip(session.vault, SESSION) == made.commit
    assert await tip(session.vault, held.ref) is None


@pytest.mark.parametrize("how", ["gone", "noise", "empty"])
async def test_a_work_ref_that_breaks_while_its_holder_works_costs_nothing(session: Session, how: str) -> None:
    held, _ = await claim(session.worktree, session.vault, iteration=1, step="s", host="h")
    made = await _done(session)
    _break(session, held.ref, how)
    _break(session, snapshot_ref("another"), how)
    await publish(session.worktree, session.vault, made.commit, session.base, held=held)
    assert await session_tip(session.vault, SESSION) == made.commit
    assert await tip(session.vault, held.ref) is None


async def test_a_work_ref_at_a_url_that_leads_nowhere(session: Session, tmp_path: Path) -> None:
    vault = await open_vault(session.vault.git_dir.as_uri(), cache=tmp_path / "cache.git")
    _break(session, snapshot_ref(SESSION), "gone")
    held, left = await claim(session.worktree, vault, iteration=1, step="s", host="h")
    assert (left, await tip(vault, held.ref)) == (None, held.commit)


async def test_a_vault_that_is_not_mounted_for_a_while_is_away(tmp_path: Path) -> None:
    git("init", "-q", "--bare", "remote.git", cwd=tmp_path)
    vault = await open_vault((tmp_path / "remote.git").as_uri(), cache=tmp_path / "cache.git")
    base = await import_base(vault, SESSION, tmp_path / "project", make_repo(tmp_path / "project"))
    worktree = await ensure_worktree(tmp_path / "host", vault, SESSION, base)
    write(worktree.tree, {"work": "x"})
    made = await checkpoint(worktree, session_id=SESSION, iteration=1, step="s", subject="Work")
    hidden = (tmp_path / "remote.git").rename(tmp_path / "not mounted")
    with pytest.raises(VaultAwayError, match="cannot be reached now"):
        await publish(worktree, vault, made.commit, base)
    with pytest.raises(VaultAwayError):
        await claim(worktree, vault, iteration=2, step="s", host="h")
    with pytest.raises(VaultAwayError):
        await ensure_worktree(tmp_path / "other", vault, SESSION, made.commit)
    hidden.rename(tmp_path / "remote.git")
    await publish(worktree, vault, made.commit, base)
    assert await session_tip(vault, SESSION) == made.commit


@contextmanager
def _service(status: int) -> Iterator[str]:
    """A server that has this one answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/vault.git"
        finally:
            server.shutdown()
            thread.join()


async def _fails_with(cache: Path, url: str) -> GitError:
    with pytest.raises(GitError) as caught:
        await tip(await open_vault(url, cache=cache), "refs/heads/main")
    with pytest.raises(type(caught.value)):
        await fetch_commit(cache, url, NOWHERE, transports="http:git:ssh:file")
    return caught.value


async def test_who_cannot_be_reached_is_away(tmp_path: Path) -> None:
    cache = tmp_path / "cache.git"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        port = taken.getsockname()[1]
        for scheme in ("http", "git", "ssh"):
            assert isinstance(await _fails_with(cache, f"{scheme}://127.0.0.1:{port}/vault.git"), VaultAwayError)
    assert isinstance(await _fails_with(cache, "http://no-such-host.invalid/vault.git"), VaultAwayError)
    for status, away in {500: True, 503: True, 401: False, 403: False, 404: False}.items():
        with _service(status) as url:
            assert isinstance(await _fails_with(cache, url), VaultAwayError) == away, status


async def test_who_says_no_is_not_away(session: Session, tmp_path: Path) -> None:
    made = await _done(session)
    vault = await open_vault(session.vault.git_dir.as_uri(), cache=tmp_path / "cache.git")
    hook = session.vault.git_dir / "hooks" / "pre-receive"
    write(hook.parent, {hook.name: "#!/bin/sh\necho fatal: Connection refused, connection timed out >&2\nexit 1\n"})
    hook.chmod(0o755)
    with pytest.raises(GitError, match="pre-receive hook declined") as caught:
        await publish(session.worktree, vault, made.commit, session.base)
    assert not isinstance(caught.value, VaultAwayError)
    # A vault on this host's own disk that is gone is damaged, and so is a folder with something else in it.
    session.vault.git_dir.rename(tmp_path / "gone")
    with pytest.raises(GitError) as caught:
        await publish(session.worktree, session.vault, made.commit, session.base)
    assert not isinstance(caught.value, VaultAwayError)
    session.vault.git_dir.mkdir()
    with pytest.raises(GitError) as caught:
        await publish(session.worktree, Vault(vault.git_dir, vault.remote), made.commit, session.base)
    assert not isinstance(caught.value, VaultAwayError)
