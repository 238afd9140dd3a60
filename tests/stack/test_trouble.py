"""What cannot work is told in words that help, and nothing is deleted or left running."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from overnight.base.settings import Settings
from overnight.connection import open_connection
from overnight.errors import UnreachableError
from overnight.stack import Process, Stack, StackError, down, ensure_up, find
from overnight.stack.errors import MARK, log_tail
from overnight.stack.home import prepare, try_lock
from overnight.stack.ports import answers
from overnight.stack.processes import identify, is_alive
from tests.stack.conftest import ROOT, Site, eventually, pids

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture
def foreign() -> Iterator[subprocess.Popen[bytes]]:
    """A live process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def listener() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


@pytest.mark.parametrize("name", ["port", "ui_port"])
def test_port_in_use_is_named(site: Site, name: str) -> None:
    with listener() as taken:
        port = taken.getsockname()[1]
        # The whole public path, as no worker gets to start.
        with pytest.raises(StackError) as caught:
            ensure_up(Settings(home=site.home, **{name: port}))
    text = str(caught.value)
    assert f"Port {port} (OVERNIGHT_{name.upper()}) is in use by" in text
    assert f"pid {os.getpid()}" in text
    assert "unset it" in text
    assert site.processes() == []
    assert find(site.settings) is None
    assert site.up().up  # and without the setting all is well


def test_chosen_ports_are_used(site: Site) -> None:
    with listener() as one, listener() as two:
        port, ui_port = one.getsockname()[1], two.getsockname()[1]
    stack = site.up(port=port, ui_port=ui_port)
    assert (stack.address, stack.ui_url) == (f"127.0.0.1:{port}", f"http://127.0.0.1:{ui_port}")


def test_worker_that_ends_before_it_is_ready(site: Site) -> None:
    with pytest.raises(StackError) as caught:
        site.up("crash")
    text = str(caught.value)
    assert "The worker ended with exit code 1. No sandbox on this host." in text
    assert "| the stand-in fails on purpose" in text
    assert str(site.home / "logs" / "worker.log") in text
    assert len((site.home / "starts").read_text().split()) == 3
    eventually(lambda: site.processes() == [], what="nothing left running")
    assert site.up().up


def test_failure_reaches_all_who_wait(site: Site) -> None:
    starters = [site.starter("crash") for _ in range(3)]
    assert [starter.wait(60) for starter in starters] == [1, 1, 1]


def test_worker_that_never_becomes_ready(site: Site) -> None:
    with pytest.raises(StackError, match="has not said that it is ready") as caught:
        site.up("hang", wait_seconds=6)
    assert "| the stand-in hangs on purpose" in str(caught.value)
    assert down(site.settings) is True


def test_garbage_in_worker_json(site: Site) -> None:
    with pytest.raises(StackError, match=r"worker\.json cannot be read"):
        site.up("garbage", wait_seconds=6)


def test_garbage_in_stack_json(site: Site) -> None:
    site.home.mkdir()
    for garbage in (b"{not json", b'{"supervisor": 5}', b"\xff\xfe\x00", b"[" * 100_000):
        (site.home / "stack.json").write_bytes(garbage)
        assert find(site.settings) is None
    assert site.up().up


def test_damaged_database(site: Site) -> None:
    site.home.mkdir()
    database = site.home / "temporal.db"
    database.write_bytes(os.urandom(20_000))
    before = database.read_bytes()
    with pytest.raises(StackError) as caught:
        site.up()
    text = str(caught.value)
    assert f"Move {database} away" in text
    assert "| Error: failed starting server" in text
    assert database.read_bytes() == before
    assert site.workers() == []
    database.rename(site.home / "aside")
    assert site.up().up


def test_home_that_is_a_file(site: Site) -> None:
    site.home.write_text("precious")
    with pytest.raises(StackError, match="is not a folder"):
        site.up()
    assert find(site.settings) is None
    assert down(site.settings) is False
    assert site.home.read_text() == "precious"


def test_home_that_cannot_be_made() -> None:
    settings = Settings(home=Path("/proc/overnight"))
    with pytest.raises(StackError, match=r"cannot be written.*OVERNIGHT_HOME"):
        ensure_up(settings)
    assert find(settings) is None
    assert down(settings) is False


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_home_that_is_not_writable(site: Site) -> None:
    site.home.mkdir(mode=0o500)
    with pytest.raises(StackError, match="cannot be written"):
        site.up()
    site.home.chmod(0o700)


def test_no_temporal_program(site: Site) -> None:
    program = (
        "import sys; from overnight.stack import server, supervisor; server.find_program = lambda: None;"
        "sys.exit(supervisor.supervise(['--home', sys.argv[1]], worker=['true']))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(site.home)], cwd=ROOT, timeout=30)
    assert done.returncode == 1
    assert "pip install 'overnight[embedded]'" in (site.home / "stack.json").read_text()


def record_of(home: Path, process: Process, **changes: object) -> Stack:
    return Stack(
        home=home,
        version="1",
        supervisor=process,
        server=process,
        worker=process,
        address="127.0.0.1:1",
        ui_url="http://127.0.0.1:2",
        started_at=datetime.now(UTC),
        ready=True,
    ).model_copy(update=changes)


def test_after_a_reboot_pids_of_others_are_left_alone(site: Site, foreign: subprocess.Popen[bytes]) -> None:
    site.home.mkdir()
    mine = identify(foreign.pid)
    assert mine is not None
    reused = mine.model_copy(update={"birth": "another-boot:1"})
    (site.home / "stack.json").write_text(record_of(site.home, reused).model_dump_json())
    assert find(site.settings) is None
    assert down(site.settings) is False
    assert foreign.poll() is None

    (site.home / "stack.json").write_text(record_of(site.home, reused).model_dump_json())
    stack = site.up()
    assert foreign.pid not in pids(stack)
    down(site.settings)
    assert foreign.poll() is None


def test_copied_home_is_another_home(site: Site, foreign: subprocess.Popen[bytes]) -> None:
    site.home.mkdir()
    theirs = identify(foreign.pid)
    assert theirs is not None
    (site.home / "stack.json").write_text(record_of(site.home.with_name("original"), theirs).model_dump_json())
    assert find(site.settings) is None
    assert down(site.settings) is False
    assert foreign.poll() is None


def test_home_in_use_where_its_processes_cannot_be_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overnight.stack.control.SERVER_STOP_SECONDS", 0.1)
    monkeypatch.setattr("overnight.stack.control.WORKER_STOP_MARGIN_SECONDS", 0.1)
    home = prepare(site.home)
    lock = try_lock(home.lock)  # as a supervisor in a container would hold it
    assert lock is not None
    try:
        with pytest.raises(StackError, match="container or another machine"):
            site.up(wait_seconds=0.5)
        with pytest.raises(StackError, match="Stop Overnight there"):
            down(Settings(home=site.home, grace_seconds=0), wait_seconds=0.1)
    finally:
        os.close(lock)


def test_second_supervisor_leaves_quietly(site: Site) -> None:
    stack = site.up()
    line = [sys.executable, "-m", "overnight.stack.supervisor", "--home", str(site.home)]
    done = subprocess.run(line, capture_output=True, cwd=ROOT, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert pids(site.healthy()) == pids(stack)


def test_clock_step_changes_nobodys_identity(foreign: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    process = identify(foreign.pid)
    monkeypatch.setattr(psutil.Process, "create_time", lambda _self: 1.0)
    assert is_alive(process)


def test_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = identify(child.pid)
        assert is_alive(process)
        os.kill(child.pid, 9)
        eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, what="a zombie")
        assert not is_alive(process)
        assert identify(child.pid) is None
    finally:
        child.wait()


def test_tail_is_of_the_last_run(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(f"old failure\n{MARK}server at noon\nnew failure\n" + "y" * 5000 + "\n")
    assert log_tail(log).splitlines() == ["new failure", "y" * 5000]
    assert str(StackError("It ended.", log=log)).splitlines()[2:] == ["  | new failure", f"  | {'y' * 400}"]
    assert log_tail(tmp_path / "none") == ""


def test_logs_are_set_aside_when_large(site: Site) -> None:
    logs = site.home / "logs"
    logs.mkdir(parents=True)
    for name in ("server", "worker", "supervisor"):
        with (logs / f"{name}.log").open("wb") as log:
            log.truncate(11 * 1024 * 1024)
    site.up()
    for name in ("server", "worker", "supervisor"):
        assert (logs / f"{name}.log.1").stat().st_size == 11 * 1024 * 1024
        assert (logs / f"{name}.log").stat().st_size < 100_000


def test_supervisor_log_is_json_lines(site: Site) -> None:
    site.up()
    lines = (site.home / "logs" / "supervisor.log").read_text().splitlines()[1:]
    assert {"supervisor started", "server is up", "worker says"} <= {json.loads(line)["event"] for line in lines}


def test_server_that_hangs_is_not_up(site: Site) -> None:
    """The kernel still accepts connections for it."""
    stack = site.up()
    server = psutil.Process(pids(stack)[1])
    server.suspend()
    try:
        # On a busy machine its other threads go on until the one that gets the signal has its turn.
        eventually(lambda: server.status() == psutil.STATUS_STOPPED, what="a server that stands still")
        assert answers(stack.port)
        with pytest.raises(StackError, match=r"runs but does not answer.*overnight down && overnight up"):
            site.up(wait_seconds=0.5)
        with pytest.raises(UnreachableError, match="runs but does not answer"):
            # Whoever only looks is told before the supervisor has started another server.
            asyncio.run(open_connection(site.settings, wait_seconds=120, need_worker=False))
    finally:
        server.resume()
    assert pids(site.up()) == pids(stack)
