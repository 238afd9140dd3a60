"""One writer per session and host; of a vault on this host, who writes to it now."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from .git import _held_lock, _vault_lock

_POLL_S = 0.05


class LockTimeoutError(Exception):
    """Another process or task held the session for the whole time that the caller was willing to wait."""


@contextlib.asynccontextmanager
async def session_lock(folder: Path, *, limit_s: float = 60.0) -> AsyncIterator[None]:
    """Hold the session folder for one writer, waiting up to `limit_s` seconds without blocking the event loop.

    The lock is the kernel's: it goes when its holder dies. Git commands that run under it inherit it, so it stays
    taken while a git outlives a killed worker. Raises LockTimeoutError.
    """
    descriptor = await _opened(lambda: _open(folder))
    try:
        await _acquire(descriptor, folder, limit_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        token = _held_lock.set(descriptor)
        try:
            yield
        finally:
            _held_lock.reset(token)
    finally:
        os.close(descriptor)


def lock_is_held(folder: Path) -> bool:
    """Whether the running task is inside `session_lock` of this folder."""
    descriptor = _held_lock.get()
    if descriptor is None:
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), (folder / "lock").stat())
    except OSError:
        return False


@contextlib.asynccontextmanager
async def writing(git_dir: Path, *, sweep: Callable[[], None]) -> AsyncIterator[None]:
    """Write to a vault on this host, as many at once as like. Who comes when nobody else does sweeps it first.

    As with the session's, git inherits the lock: while one of ours still runs in the vault, even of a worker that is
    dead, nobody sweeps.
    """
    try:
        descriptor = os.open(git_dir / "overnight-writers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        # No vault, or none that can be written to: git says so better.
        yield
        return
    await _opened(lambda: _join(descriptor, sweep))
    try:
        token = _vault_lock.set(descriptor)
        try:
            yield
        finally:
            _vault_lock.reset(token)
    finally:
        os.close(descriptor)


async def _opened(work: Callable[[], int]) -> int:
    """The descriptor that a thread brings. Of whoever is cancelled meanwhile, it closes when the thread is done.

    Not before: what the thread does needs its lock, and the descriptor's number may soon be another file's.
    """
    thread = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        thread.add_done_callback(_close)
        raise


def _close(opened: asyncio.Task[int]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        os.close(opened.result())


def _join(descriptor: int, sweep: Callable[[], None]) -> int:
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep()
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


async def _acquire(descriptor: int, folder: Path, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                message = f"{folder.name} is in use on this host (process {holder}); gave up after {limit_s:g} seconds"
                raise LockTimeoutError(message) from error
            await asyncio.sleep(_POLL_S)
        else:
            return
