"""Whatever is killed comes back; what lives on is adopted, never doubled."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from overnight.stack import StackError, down, find
from overnight.stack.home import Home
from overnight.stack.model import read_stack
from overnight.stack.ports import answers, why_not
from overnight.stack.processes import is_alive
from overnight.stack.server import environment, find_program
from tests.stack.conftest import HERE, ROOT, Site, eventually, kill, pids

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def start_workflow(address: str) -> None:
    program = find_program()
    assert program
    line = [program, "workflow", "start", "--type", "T", "--task-queue", "q", "--workflow-id", "kept"]
    subprocess.run([*line, "--address", address], env=environment(), check=True, capture_output=True)


def knows_workflow(address: str) -> bool:
    program = find_program()
    assert program
    line = [program, "workflow", "describe", "--workflow-id", "kept", "--address", address]
    return subprocess.run(line, env=environment(), capture_output=True).returncode == 0


def test_killed_worker_is_mended_soon(site: Site) -> None:
    before = site.up()
    kill(before.worker)
    begun = time.monotonic()
    after = site.healthy()
    assert time.monotonic() - begun < 10  # a second, and room for a busy machine
    assert pids(after)[:2] == pids(before)[:2]
    assert after.worker
    assert after.worker.restarts == 1
    assert after.problem == "The worker was ended by SIGKILL."
    assert len(site.workers()) == 1


def test_killed_server_is_mended_on_the_same_port_with_its_database(site: Site) -> None:
    before = site.up()
    start_workflow(before.address)
    kill(before.server)
    after = site.healthy()
    assert after.server
    assert before.server
    assert (after.server.pid, after.server.restarts) != (before.server.pid, 0)
    assert (after.address, after.ui_url, after.worker) == (before.address, before.ui_url, before.worker)
    assert knows_workflow(after.address)


def test_hung_server_is_started_anew_with_its_database(site: Site) -> None:
    before = site.up()
    start_workflow(before.address)
    psutil.Process(pids(before)[1]).suspend()
    after = eventually(
        lambda: seen if (seen := find(site.settings)) and seen.up and seen.server != before.server else None,
        seconds=120,
        what="another server",
    )
    assert after is not None
    assert (after.address, after.worker) == (before.address, before.worker)
    assert (after.problem or "").startswith("The Temporal server hung")
    assert knows_workflow(after.address)


def test_taken_port_moves_server_and_worker(site: Site) -> None:
    before = site.up()
    assert before.supervisor
    os.kill(before.supervisor.pid, signal.SIGSTOP)  # so that the port can be taken before it is mended
    kill(before.server)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            eventually(lambda: not answers(before.port) and why_not(before.port) is None, what="the free port")
            thief.bind(("127.0.0.1", before.port))
            thief.listen()
        finally:
            os.kill(before.supervisor.pid, signal.SIGCONT)
        after = eventually(
            lambda: seen if (seen := find(site.settings)) and seen.up and seen.address != before.address else None,
            what="a new port",
        )
    assert after is not None
    assert after.worker != before.worker
    assert len(site.workers()) == 1
    assert after.address in (site.home / "environment.json").read_text()
    assert pids(site.up()) == pids(after)


def test_killed_supervisor_is_replaced_and_adopts(site: Site) -> None:
    before = site.up()
    kill(before.supervisor)
    seen = find(site.settings)
    assert seen is not None
    assert seen.supervisor is None
    assert (seen.server, seen.worker) == (before.server, before.worker)

    after = site.up()
    assert after.supervisor != before.supervisor
    assert (after.server, after.worker) == (before.server, before.worker)
    assert (after.address, after.started_at, after.credential) == (before.address, before.started_at, "stand-in")

    # What it adopted it watches as its own.
    kill(after.worker)
    mended = site.healthy()
    assert mended.server == before.server
    assert mended.worker
    assert mended.worker.restarts == 1
    kill(mended.server)
    assert site.healthy().address == before.address


def test_all_but_the_worker_killed_gives_a_server_under_the_same_worker(site: Site) -> None:
    before = site.up()
    kill(before.supervisor)
    kill(before.server)
    after = site.up()
    assert (after.worker, after.address) == (before.worker, before.address)


def test_killed_supervisor_in_the_middle_of_a_start_leaves_nothing_unknown(site: Site) -> None:
    for delay in (0.0, 0.1, 0.2, 0.35):
        starter = site.starter()
        try:
            record = eventually(lambda: read_stack(Home(site.home)), what="a record")
            assert record is not None
            assert record.supervisor
            time.sleep(delay)  # decides nothing but where it is hit
            os.kill(record.supervisor.pid, signal.SIGKILL)
        finally:
            starter.kill()
            starter.wait()
        stack = site.up()
        assert len([p for p in site.processes() if "temporal" in p.name()]) == 1
        assert [p.pid for p in site.workers()] == [pids(stack)[2]]
        down(site.settings)
        assert site.processes() == []
        assert site.workers() == []


def test_down_after_the_supervisor_was_killed(site: Site) -> None:
    stack = site.up()
    kill(stack.supervisor)
    assert down(site.settings) is True
    assert not is_alive(stack.server)
    assert not is_alive(stack.worker)
    assert find(site.settings) is None


def test_worker_that_breaks_later_is_tried_for_ever(site: Site) -> None:
    before = site.up("crash-later")
    (site.home / "break").touch()
    kill(before.worker)
    with pytest.raises(StackError, match="the stand-in is broken now") as caught:
        site.up("crash-later")
    assert "tried again" in str(caught.value)
    found = find(site.settings)
    assert found is not None
    assert found.server == before.server
    (site.home / "break").unlink()
    after = eventually(lambda: s if (s := find(site.settings)) and s.up else None, seconds=180, what="the mending")
    assert after is not None
    assert after.failures == 0
    assert after.problem


def test_full_disk_under_the_log_ends_nothing(site: Site) -> None:
    supervisor = [sys.executable, str(HERE / "stand_in_supervisor.py"), "good", "--home", str(site.home)]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = subprocess.Popen(supervisor, stderr=full, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        kill(site.healthy().worker)
        assert site.healthy().worker
        assert down(site.settings) is True
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_lost_record_is_written_again(site: Site) -> None:
    before = site.up()
    (site.home / "stack.json").unlink()
    assert site.up() == before
    (site.home / "stack.json").write_text("{garbage")
    assert down(site.settings) is True


def test_removed_home_ends_the_stack(site: Site) -> None:
    stack = site.up()
    shutil.rmtree(site.home)
    for process in (stack.worker, stack.server, stack.supervisor):
        eventually(lambda process=process: not is_alive(process), what=f"end of {process}")  # type: ignore[misc]
    assert not site.home.exists()


def test_supervisor_rests_while_all_is_well(site: Site) -> None:
    stack = site.up()
    assert stack.supervisor
    supervisor = psutil.Process(stack.supervisor.pid)
    before = supervisor.cpu_times()
    time.sleep(2)
    after = supervisor.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.1
