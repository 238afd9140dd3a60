"""A worker that is an ordinary user: the same box, on a Python that such a user can reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534
CHECKOUT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
from activities.sandbox import Box, Launcher, find_isolation, run_command
from overnight.base.settings import Settings

place = Path(sys.argv[1])
for name in ("home", "work"):
    (place / name).mkdir()
isolation = find_isolation()
launcher = Launcher(Settings(home=place / "home", box_processes=64), isolation)

async def run(command):
    ended = await run_command(
        launcher, Box(workspace=place / "work"), command, seconds=20, log=place / "log", stop=asyncio.Event()
    )
    return {"code": ended.exit_code, "notes": ended.notes, "said": (place / "log").read_text()}

async def main():
    commands = json.loads(sys.argv[2])
    print(json.dumps({
        "uid": os.getuid(), "isolation": isolation.name, "full": isolation.full, "lacks": isolation.lacks,
        "ran": [await run(command) for command in commands],
    }))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def reachable_python() -> Iterator[Path]:
    """A Python that everybody may run: the one of the tests may lie in root's own home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix)
    place = Path(tempfile.mkdtemp(prefix="overnight-python-", dir="/tmp"))
    place.chmod(0o755)
    try:
        (place / "bin").mkdir()
        shutil.copy2((prefix / "bin" / version).resolve(), place / "bin" / version)
        ignored = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "idlelib", "config-*")
        shutil.copytree(prefix / "lib" / version, place / "lib" / version, ignore=ignored)
        for library in (prefix / "lib").glob("libpython*.so*"):
            shutil.copy2(library, place / "lib" / library.name)
        yield place / "bin" / version
    finally:
        shutil.rmtree(place)


@pytest.fixture
def nobodys_place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="overnight-nobody-", dir="/tmp"))
    try:
        if os.getuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        yield place
    finally:
        shutil.rmtree(place)


@pytest.mark.chaos
def test_the_box_works_for_an_ordinary_user(reachable_python: Path, nobodys_place: Path) -> None:
    commands = [
        "id -u; touch here /tmp/there; grep CapEff /proc/self/status",
        "touch /etc/x || mount -o remount,rw / || unshare -U true || cat /etc/shadow || chroot / true",
        f"cat {nobodys_place}/home/x || ls {nobodys_place}",
        "for i in $(seq 200); do sleep 5 & done; wait",
        "curl -sS --max-time 5 http://169.254.169.254/",
    ]
    site = next(p for p in sys.path if p.endswith("site-packages"))
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.getuid() == 0 else []
    ended = subprocess.run(
        [*drop, str(reachable_python), "-c", PROGRAM, str(nobodys_place), json.dumps(commands)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(nobodys_place),
            "TMPDIR": str(nobodys_place),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), site]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["full"], told
    if os.getuid() == 0:
        assert told["uid"] == NOBODY
    works, up, out, forks, network = told["ran"]
    assert works["code"] == 0, works
    assert works["said"].split() == ["1000", "CapEff:", "0000000000000000"]
    assert (nobodys_place / "work" / "here").exists()
    assert up["code"] != 0
    assert out["code"] != 0
    assert forks["code"] != 0 or forks["notes"], forks
    assert "Resource temporarily unavailable" in forks["said"] or forks["notes"]
    assert any("169.254.169.254" in note for note in network["notes"])
