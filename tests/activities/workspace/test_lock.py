import asyncio
import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.workspace import LockTimeoutError, lock, session_lock
from activities.workspace.git import git
from activities.workspace.lock import lock_is_held, writing

from .support import run_python

_HOLD = """
import asyncio, sys
from pathlib import Path
from activities.workspace import session_lock
async def main():
    async with session_lock(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


async def test_a_second_process_waits_and_then_is_told(tmp_path: Path) -> None:
    holder = run_python(_HOLD, tmp_path / "s")
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        with pytest.raises(LockTimeoutError, match=f"process {holder.pid}"):
            async with session_lock(tmp_path / "s", limit_s=0.3):
                pass
        ticking.cancel()
        assert ticks > 10
        waiting = asyncio.create_task(_hold_briefly(tmp_path / "s"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        holder.kill()
        assert await waiting
    finally:
        holder.kill()
        holder.communicate()


async def _hold_briefly(folder: Path) -> bool:
    async with session_lock(folder, limit_s=10):
        return lock_is_held(folder)


async def test_tasks_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with session_lock(tmp_path / "s", limit_s=20):
            inside += 1
            assert inside == 1
            assert lock_is_held(tmp_path / "s")
            assert not lock_is_held(tmp_path)
            await asyncio.sleep(0.02)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(8)))
    assert not lock_is_held(tmp_path / "s")


async def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with session_lock(tmp_path / "s"):
            raise KeyError
    async with session_lock(tmp_path / "s", limit_s=0):
        pass


async def test_a_git_that_outlives_its_worker_keeps_the_session(tmp_path: Path) -> None:
    code = _HOLD.replace(
        "sys.stdin.read()",
        "from activities.workspace.git import git; await git('-c', 'alias.nap=!sleep 1.5', 'nap')",
    )
    worker = run_python(code, tmp_path / "s")
    assert worker.stdout is not None
    worker.stdout.readline()
    await asyncio.sleep(0.4)
    worker.kill()
    worker.communicate()
    started = time.monotonic()
    async with session_lock(tmp_path / "s", limit_s=10):
        waited = time.monotonic() - started
    assert 0.3 < waited < 5


async def test_git_outside_the_lock_does_not_hold_it(tmp_path: Path) -> None:
    nap = asyncio.create_task(git("-c", "alias.nap=!sleep 0.5", "nap"))
    await asyncio.sleep(0.1)
    async with session_lock(tmp_path / "s", limit_s=0):
        pass
    await nap


async def test_who_stops_while_a_vault_is_swept_lets_nobody_in_before_that_is_done(tmp_path: Path) -> None:
    begun, go_on, swept = threading.Event(), threading.Event(), threading.Event()

    def sweep() -> None:
        begun.set()
        go_on.wait(60)
        swept.set()

    async def write(sweep: Callable[[], None]) -> bool:
        async with writing(tmp_path, sweep=sweep):
            return swept.is_set()

    first = asyncio.create_task(write(sweep))
    await asyncio.to_thread(begun.wait, 60)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    # Whatever is opened next must not get the number of what the sweeper is about to unlock.
    numbers = [os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT) for _ in range(3)]
    second = asyncio.create_task(write(lambda: None))
    await asyncio.sleep(0.2)
    assert not second.done()
    fcntl.flock(numbers[0], fcntl.LOCK_EX)
    go_on.set()
    assert await second
    with pytest.raises(BlockingIOError):
        fcntl.flock(numbers[1], fcntl.LOCK_SH | fcntl.LOCK_NB)
    for number in numbers:
        os.close(number)


async def test_a_lock_that_nobody_waits_for_any_more_is_not_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, opening = threading.Event(), lock._open

    def slowly(folder: Path) -> int:
        go_on.wait(60)
        return opening(folder)

    monkeypatch.setattr(lock, "_open", slowly)

    async def hold() -> None:
        async with session_lock(tmp_path):
            pass

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.1)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    go_on.set()
    while not (tmp_path / "lock").exists() or _is_open(tmp_path / "lock"):
        await asyncio.sleep(0.01)


def _is_open(file: Path) -> bool:
    """Whether this process has the file open."""
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if one.readlink() == file:
                return True
    return False
