"""The few devices that a box has: they work, and what becomes of them becomes of nobody else's."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from activities.sandbox import Box, Launcher, find_isolation, run_command
from activities.sandbox.devices import NAMES, can_make_devices, make_devices, makes_devices
from overnight.base.settings import Settings


def modes() -> dict[str, int]:
    return {name: Path("/dev", name).stat().st_mode for name in NAMES}


async def run(tmp_path: Path, command: str) -> tuple[int | None, str]:
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    launcher = Launcher(Settings(home=tmp_path / "home"), find_isolation())
    log = tmp_path / "log"
    box = Box(workspace=tmp_path / "work")
    ended = await run_command(launcher, box, command, seconds=30, log=log, stop=asyncio.Event())
    return ended.exit_code, log.read_text()


async def test_modes_of_the_hosts_devices_are_out_of_reach(tmp_path: Path) -> None:
    before = modes()
    # Harmless where it works: others may still write with 0666, and this test puts back what was.
    paths = " ".join(f"/dev/{name}" for name in NAMES)
    try:
        await run(tmp_path, f"chmod 0667 {paths} /proc/self/fd/0; true")
        assert modes() == before
    finally:
        for name, mode in before.items():
            if Path("/dev", name).stat().st_mode != mode:
                Path("/dev", name).chmod(stat.S_IMODE(mode))


async def test_devices_work_inside(tmp_path: Path) -> None:
    command = (
        "set -e; echo x > /dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c;"
        " head -c 8 /dev/random | wc -c; ! echo full > /dev/full; cat; test -c /dev/stdin; ls -ld /dev/tty"
    )
    code, told = await run(tmp_path, command)
    assert code == 0, told
    assert told.split()[:6] == ["00", "00", "00", "00", "8", "8"]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user makes no devices, and owns none")
def test_root_makes_them_anew(tmp_path: Path) -> None:
    assert makes_devices()
    if not can_make_devices():
        pytest.skip("this host lets nobody make devices")
    made = make_devices(tmp_path / "dev")
    assert {device.name for device in made} == set(NAMES)
    for device in made:
        there, of_host = device.stat(), Path("/dev", device.name).stat()
        assert there.st_rdev == of_host.st_rdev
        assert there.st_ino != of_host.st_ino
