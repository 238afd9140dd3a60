"""What workers that are gone left running is ended, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from overnight.base.parts import MARK, end_left_behind, marked

DEAD = "4194305"
"""Higher than any pid."""
Start = Callable[[dict[str, str]], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program with these variables."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(variables: dict[str, str]) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(["sleep", "600"], env=os.environ | variables))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def test_only_what_dead_workers_left_is_ended(tmp_path: Path, start: Start) -> None:
    left = start(marked(tmp_path / "tmp" / DEAD))
    mine = start(marked(tmp_path / "tmp" / str(os.getpid())))
    assert end_left_behind(tmp_path) == 1
    assert left.wait(timeout=60) == -signal.SIGTERM
    assert mine.poll() is None


def test_a_worker_whose_pids_are_not_ours_may_live(tmp_path: Path, start: Start) -> None:
    # That of a container, whose home has the same path: its pid says nothing here.
    theirs = start({MARK: f"pid:[1]{tmp_path}/tmp/{DEAD}"})
    assert end_left_behind(tmp_path) == 0
    assert theirs.poll() is None


@pytest.mark.parametrize("name", ["\u00b2", "9" * 5_000, "../tmp", "none"])
def test_a_name_that_is_no_pid_harms_nobody(name: str, tmp_path: Path, start: Start) -> None:
    # Whatever runs on this machine, an agent's programs too, may set the variable.
    forged = start(marked(f"{tmp_path}/tmp/{name}/box"))
    left = start(marked(tmp_path / "tmp" / DEAD))
    assert end_left_behind(tmp_path) == 1
    assert left.wait(timeout=60) == -signal.SIGTERM
    assert forged.poll() is None
