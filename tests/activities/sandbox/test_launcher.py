"""The box, played against from inside. Every line here is something that an agent's shell may try."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from activities.sandbox import Box, Isolation, Launcher, NotIsolatedError, run_command
from overnight.base.settings import Settings
from tests.activities.sandbox.conftest import Bench


def test_this_host_isolates(isolation: Isolation) -> None:
    assert isolation.bwrap is not None, isolation.problem


async def test_exit_codes_and_output_come_through(bench: Bench) -> None:
    ended, said = await bench.run("echo out; echo err >&2; exit 7")
    assert (ended.exit_code, ended.timed_out) == (7, False)
    assert said.splitlines() == ["out", "err"]


async def test_a_pipe_fails_when_its_first_part_fails(bench: Bench) -> None:
    ended, _ = await bench.run("false | cat")
    assert ended.exit_code == 1


async def test_it_may_write_its_workspace_and_tmp_and_nothing_else(bench: Bench) -> None:
    ended, said = await bench.run("touch here /tmp/there && pwd && ! touch /usr/x && ! touch /etc/x && ! mkdir /opt/x")
    assert ended.exit_code == 0, said
    assert (bench.work / "here").exists()
    assert not Path("/tmp/there").exists()
    assert said.splitlines()[0] == "/workspace"


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -o remount,rw,bind /usr",
        "mount -o remount,rw /",
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "mknod disk b 8 0",
        "chroot / true",
        "cat /etc/shadow",
        "nsenter -t 1 -m true",
        "su root -c true",
        "cd /proc/1/root && cat etc/shadow",
    ],
)
async def test_no_way_up(bench: Bench, attempt: str) -> None:
    ended, said = await bench.run(attempt)
    assert ended.exit_code != 0, said


async def test_home_checkout_and_engine_are_not_there(bench: Bench) -> None:
    checkout = Path(__file__).parents[3]
    hidden = [bench.home, bench.home / "state", checkout, Path.home() / ".ssh", Path.home() / ".claude"]
    listed = " ".join(str(p) for p in hidden)
    _, said = await bench.run(f"ls -d {listed} 2>/dev/null; cat {bench.home / 'state'} 2>/dev/null; true")
    assert said.strip() == ""


async def test_other_processes_are_not_there(bench: Bench) -> None:
    _, said = await bench.run(f"ls /proc | grep -c '^[0-9]*$'; kill -0 {os.getpid()} 2>&1; true")
    assert int(said.splitlines()[0]) < 10
    assert "No such process" in said


async def test_the_environment_is_an_allow_list(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("GITHUB_TOKEN", "gh-secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass-secret@proxy:8080")
    _, said = await bench.run("env; tr '\\0' '\\n' < /proc/1/environ")
    assert "secret" not in said
    assert "HOME=/home/agent" in said


async def test_it_is_an_ordinary_user(bench: Bench) -> None:
    _, said = await bench.run("id -u; whoami; grep CapEff /proc/self/status")
    assert said.split() == ["1000", "agent", "CapEff:", "0000000000000000"]


async def test_a_read_only_workspace(bench: Bench) -> None:
    (bench.work / "file").write_text("as it was")
    ended, _ = await bench.run("echo changed > file", box=Box(workspace=bench.work, writable=False))
    assert ended.exit_code != 0
    assert (bench.work / "file").read_text() == "as it was"


DAEMON = (
    "python3 -c 'import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        time.sleep(617)\n"
    "    os._exit(0)\n'"
)


def daemons() -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if "time.sleep(617)" in " ".join(process.info["cmdline"] or []) and process.info["status"] != "zombie"
    ]


async def test_a_time_limit_ends_the_whole_tree(bench: Bench) -> None:
    ended, _ = await bench.run(f"{DAEMON}; python3 -c 'import time; time.sleep(617)'", seconds=1.5)
    assert ended.timed_out
    assert ended.exit_code is None
    assert daemons() == []


async def test_a_daemon_ends_with_its_command(bench: Bench) -> None:
    ended, _ = await bench.run(DAEMON)
    assert ended.exit_code == 0
    assert daemons() == []


async def test_it_dies_with_the_worker(bench: Bench, tmp_path: Path) -> None:
    """A worker that is killed -9 leaves nothing behind, daemons included."""
    program = tmp_path / "worker.py"
    program.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from activities.sandbox import Box, Launcher, find_isolation, run_command\n"
        "from overnight.base.settings import Settings\n"
        f"launcher = Launcher(Settings(home={str(bench.home)!r}), find_isolation())\n"
        f"box = Box(workspace=Path({str(bench.work)!r}))\n"
        f"command = {DAEMON + '; touch ready; sleep 617'!r}\n"
        f"asyncio.run(run_command(launcher, box, command, seconds=300, log=Path({str(bench.log)!r}),"
        " stop=asyncio.Event()))\n"
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable, program, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    try:
        while not (bench.work / "ready").exists():
            assert worker.returncode is None
            await asyncio.sleep(0.05)
        assert daemons()
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        while daemons():
            await asyncio.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


async def test_a_flood_of_output_is_kept_at_both_ends(bench: Bench) -> None:
    ended, said = await bench.run("echo first; head -c 20000000 /dev/zero | tr '\\0' 'x'; echo; echo last")
    assert ended.bytes_seen > 20_000_000
    assert said.startswith("first")
    assert said.endswith("last\n")
    assert "bytes left out" in said
    assert len(said) < 9_000_000


async def test_without_isolation_it_refuses_unless_a_person_says_so(tmp_path: Path) -> None:
    nothing = Isolation(None, "no bubblewrap here", network=False)
    with pytest.raises(NotIsolatedError, match=r"no bubblewrap here.*OVERNIGHT_ALLOW_UNSANDBOXED"):
        async with Launcher(Settings(home=tmp_path), nothing).open(Box(workspace=tmp_path)):
            raise AssertionError("it opened")
    launcher = Launcher(Settings(home=tmp_path, allow_unsandboxed=True), nothing)
    work = tmp_path / "work"
    work.mkdir()
    ended = await run_command(
        launcher, Box(workspace=work), "touch here", seconds=10, log=tmp_path / "log", stop=asyncio.Event()
    )
    assert ended.exit_code == 0
    assert (work / "here").exists()


async def test_a_host_without_network_namespaces_is_not_full_isolation(tmp_path: Path, isolation: Isolation) -> None:
    half = replace(isolation, network=False, problem="no network namespace here")
    assert not half.full
    assert any("network is the host's" in lack for lack in half.lacks)
    with pytest.raises(NotIsolatedError, match=r"no network namespace here.*OVERNIGHT_ALLOW_UNSANDBOXED"):
        async with Launcher(Settings(home=tmp_path), half).open(Box(workspace=tmp_path)):
            raise AssertionError("it opened")


async def test_nothing_of_a_box_stays_on_disk(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended, said = await bench.run(
        "mkdir -p /tmp/a/b ~/deep && touch /tmp/a/b/c ~/deep/file && chmod 000 /tmp/a/b /tmp/a && chmod 500 ~/deep"
    )
    assert ended.exit_code == 0, said
    assert list(tmp_path.glob("box-*")) == []


async def test_the_first_process_tells_nothing_of_the_host(bench: Bench) -> None:
    _, said = await bench.run("tr '\\0' ' ' < /proc/1/cmdline; tr '\\0' ' ' < /proc/1/environ; ls -la /proc/1/fd")
    assert str(bench.home) not in said
    assert str(bench.work) not in said


async def test_the_door_is_gone_when_the_command_runs(bench: Bench) -> None:
    knock = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/overnight/door')"
    ended, said = await bench.run(f'python3 -c "{knock}"')
    assert ended.exit_code != 0
    assert "refused" in said.lower()


async def test_signals_are_as_a_command_expects_them(bench: Bench) -> None:
    """Python ignores SIGPIPE and SIGXFSZ; what it starts must not."""
    _, said = await bench.run("grep SigIgn /proc/self/status")
    # Those from 32 on are the C library's own, and whoever started the tests may have ignored one.
    assert int(said.split()[1], 16) & 0x7FFF_FFFF == 0


async def test_starting_a_box_is_quick(bench: Bench) -> None:
    """A benchmark holds the figure (50 ms); this only guards against an accident."""
    began = time.monotonic()
    for _ in range(5):
        await bench.run("true")
    assert (time.monotonic() - began) / 5 < 2
