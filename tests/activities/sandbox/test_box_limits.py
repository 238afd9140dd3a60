"""Limits of a box, hit on purpose: each is kept, each is told by name and with the setting that changes it."""

from __future__ import annotations

import asyncio
import os
import time

import psutil
import pytest

from tests.activities.sandbox.conftest import Bench

GROW = 'python3 -c "kept = [bytearray(20_000_000) for _ in range(400)]"'
FORKS = (
    "python3 -c 'import os, time\n"
    "made = 0\n"
    "while made < 3000:\n"
    "    try:\n"
    "        pid = os.fork()\n"
    "    except OSError:\n"
    '        print("no more", flush=True); break\n'
    "    if pid == 0:\n"
    "        time.sleep(611)\n"
    "    made += 1\n"
    "    time.sleep(0.005)\n"  # where they are counted twice a second, whoever counts has several chances
    "print(made, flush=True); time.sleep(3)'"
)


def told(notes: list[str], setting: str) -> bool:
    return any("limit hit" in note and setting in note for note in notes)


@pytest.mark.parametrize("by_kernel", [True, False])
async def test_memory(bench: Bench, by_kernel: bool) -> None:
    small = bench.with_settings(box_memory_gb=0.3)
    if by_kernel and small.launcher.isolation.cgroups is None:
        pytest.skip("this host lets nobody make a control group")
    ended, said = await (small if by_kernel else small.without_cgroups()).run(GROW)
    assert ended.exit_code != 0
    if by_kernel:
        assert told(ended.notes, "OVERNIGHT_BOX_MEMORY_GB")
        assert "0.3 GB of memory (OVERNIGHT_BOX_MEMORY_GB)" in said
    else:
        assert "MemoryError" in said


async def test_memory_of_many_processes_without_the_kernels_help(bench: Bench) -> None:
    """No single process is over the limit; all together are."""
    small = bench.with_settings(box_memory_gb=0.5).without_cgroups()
    began = time.monotonic()
    ended, _ = await small.run(
        "for i in 1 2 3 4 5 6; do python3 -c 'import time; x = b\"x\" * 150_000_000; time.sleep(20)' & done; wait"
    )
    assert time.monotonic() - began < 15
    assert told(ended.notes, "OVERNIGHT_BOX_MEMORY_GB")


@pytest.mark.parametrize("by_kernel", [True, False])
async def test_processes(bench: Bench, by_kernel: bool) -> None:
    small = bench.with_settings(box_processes=60)
    if by_kernel and small.launcher.isolation.cgroups is None:
        pytest.skip("this host lets nobody make a control group")
    ended, said = await (small if by_kernel else small.without_cgroups()).run(FORKS)
    assert told(ended.notes, "OVERNIGHT_BOX_PROCESSES") or "no more" in said
    assert "3000" not in said
    while [p for p in psutil.process_iter(["cmdline"]) if "time.sleep(611)" in " ".join(p.info["cmdline"] or [])]:
        await asyncio.sleep(0.05)  # killed, and some hundred take a moment to go


async def test_cpu_time(bench: Bench) -> None:
    ended, said = await bench.with_settings(box_cpu_minutes=1 / 60).run("python3 -c 'while True: pass'")
    assert ended.exit_code not in {0, None}
    assert told(ended.notes, "OVERNIGHT_BOX_CPU_MINUTES"), said


async def test_cpu_time_of_a_program_that_nobody_waits_for(bench: Bench) -> None:
    """As in the agent's box, where the command goes on and ends well."""
    command = "python3 -c 'while True: pass' & while kill -0 $! 2>/dev/null; do sleep 0.1; done; sleep 1.5"
    ended, _ = await bench.with_settings(box_cpu_minutes=2 / 60).run(command)
    assert ended.exit_code == 0
    assert any("minutes of CPU time" in note for note in ended.notes)


async def test_cpu_time_that_is_not_used_up_is_no_hit(bench: Bench) -> None:
    ended, _ = await bench.with_settings(box_cpu_minutes=1).run("timeout 1 python3 -c 'while True: pass'; true")
    assert ended.notes == []


async def test_file_size(bench: Bench) -> None:
    ended, _ = await bench.with_settings(box_file_gb=0.001).run("head -c 3000000 /dev/zero > big")
    assert ended.exit_code != 0
    assert told(ended.notes, "OVERNIGHT_BOX_FILE_GB")
    assert (bench.work / "big").stat().st_size <= 1_000_000


async def test_open_files(bench: Bench) -> None:
    command = "python3 -c \"kept = [open('/dev/null') for _ in range(200)]\""
    ended, _ = await bench.with_settings(box_open_files=100).run(command)
    assert ended.exit_code != 0
    assert told(ended.notes, "OVERNIGHT_BOX_OPEN_FILES")


async def test_output(bench: Bench) -> None:
    ended, said = await bench.with_settings(box_output_mb=10).run("yes")
    assert (ended.exit_code, ended.timed_out) == (None, False)
    assert told(ended.notes, "OVERNIGHT_BOX_OUTPUT_MB")
    assert "OVERNIGHT_BOX_OUTPUT_MB" in said


async def test_disk(bench: Bench) -> None:
    small = bench.with_settings(box_disk_gb=0.1)
    fill = "for i in $(seq 200); do head -c 20000000 /dev/zero > /tmp/f$i; sync /tmp/f$i; sleep 0.05; done"
    ended, _ = await small.run(fill)
    assert ended.exit_code != 0
    assert told(ended.notes, "OVERNIGHT_BOX_DISK_GB")


async def test_shared_memory_and_devices_hold_little(bench: Bench) -> None:
    _, said = await bench.run("head -c 600000000 /dev/zero > /dev/shm/x; ls -l /dev/shm/x; touch /dev/y /y /run/y")
    assert "No space left" in said
    assert said.count("Read-only file system") == 3


async def test_limits_cannot_be_raised_from_inside(bench: Bench) -> None:
    _, said = await bench.with_settings(box_open_files=100).run("ulimit -Hn; ulimit -n 5000")
    assert said.splitlines()[0] == "100"
    assert "cannot modify limit" in said


async def test_the_wall_time_is_told_as_such(bench: Bench) -> None:
    ended, _ = await bench.run("sleep 30", seconds=1)
    assert ended.timed_out
    assert ended.notes == []


async def test_limits_that_were_not_hit_are_not_told(bench: Bench) -> None:
    ended, said = await bench.run("echo fine; exit 3")
    assert (ended.notes, said) == ([], "fine\n")


async def test_what_is_inside_yields_to_the_worker(bench: Bench) -> None:
    _, said = await bench.run("nice; cat /proc/self/oom_score_adj")
    assert [int(word) for word in said.split()] == [5, 900]


async def test_no_control_group_is_left_behind(bench: Bench) -> None:
    cgroups = bench.launcher.isolation.cgroups
    if cgroups is None:
        pytest.skip("this host lets nobody make a control group")
    await bench.run("true")
    assert [g for parent in cgroups.parents for g in parent.glob(f"overnight-{os.getpid()}-*")] == []
