"""What was to become a box and did not leaves nothing behind, and nobody waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

import worker
from activities.sandbox import launcher
from activities.starting import started
from overnight.base.parts import end_parts, marked
from tests.activities.sandbox.conftest import Bench


@pytest.fixture
def stuck(bench: Bench, tmp_path: Path) -> Iterator[tuple[Bench, Path]]:
    """A bubblewrap whose second process waits for ever, with the output in its hands; and the file with its pid."""
    pid = tmp_path / "second"
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(f"#!/bin/sh\nsetsid sh -c 'echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600' &\nwait\n")
    bwrap.chmod(0o700)
    yield Bench(tmp_path, replace(bench.launcher.isolation, bwrap=bwrap)), pid
    with suppress(OSError, ValueError, psutil.Error):
        psutil.Process(int(pid.read_text())).kill()


async def _born(pid: Path) -> psutil.Process:
    while not pid.exists():
        await asyncio.sleep(0.01)
    return psutil.Process(int(pid.read_text()))


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


async def test_a_box_that_is_given_up_in_its_start_leaves_nobody(stuck: tuple[Bench, Path]) -> None:
    bench, pid = stuck
    running = asyncio.create_task(bench.run("true"))
    second = await _born(pid)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not _lives(second)


async def test_a_box_that_does_not_come_up_is_ended(stuck: tuple[Bench, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "COMING_SECONDS", 1.0)
    bench, pid = stuck
    ended, _ = await bench.run("true")
    assert ended.exit_code not in (0, None)
    assert not _lives(await _born(pid))


async def test_a_start_that_is_given_up_at_any_moment_comes_to_an_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for milliseconds in range(40):
        running = asyncio.create_task(bench.run("sleep 600"))
        await asyncio.sleep(milliseconds / 1000)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert end_parts(tmp_path) == 0


@pytest.mark.parametrize("steps", range(4))
async def test_what_is_not_to_start_any_more_is_ended_with_its_children(steps: int, tmp_path: Path) -> None:
    name = f"start-{uuid4().hex}"
    starting = asyncio.create_task(
        started("sh", "-c", "sleep 600 & sleep 600", name, stdout=asyncio.subprocess.PIPE, cwd=tmp_path)
    )
    for _ in range(steps):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    while any(_is_in(process, tmp_path) for process in psutil.process_iter()):
        await asyncio.sleep(0.01)


def _is_in(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return process.cwd() == str(folder)
    return False


def test_the_next_worker_ends_what_a_dead_one_left_half_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    folder = bench.home / "tmp" / "4194305" / "box-one"
    folder.mkdir(parents=True)
    another = f"{bench.home}/tmp-of-another/box-one"
    stray = subprocess.Popen(["sleep", "600"], env=os.environ | marked(folder))
    other = subprocess.Popen(["sleep", "600"], env=os.environ | marked(another))
    try:
        (bench.home.parent / "link").symlink_to(bench.home)
        worker._own_temporary_folder(bench.settings.model_copy(update={"home": bench.home.parent / "link"}))
        assert stray.wait(timeout=60) == -signal.SIGTERM
        assert other.poll() is None
        assert not folder.exists()
    finally:
        for process in (stray, other):
            process.kill()
            process.wait()
