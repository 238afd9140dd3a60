"""A record that is lost, damaged or could not be written: what runs is known all the same, and never doubled."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from typing import get_args

import pytest

from overnight.stack import StackError, down
from overnight.stack.holders import holders
from overnight.stack.home import Home, Part, prepare
from overnight.stack.model import read_stack
from overnight.stack.ports import choose
from overnight.stack.processes import is_alive
from overnight.stack.server import command, environment, find_program
from tests.stack.conftest import Site, eventually, kill, pids
from tests.stack.test_mending import knows_workflow, start_workflow

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def truncate(site: Site) -> None:
    os.truncate(site.home / "stack.json", 10)


def outdated(site: Site) -> None:
    """As a full disk leaves it: what was started since is on no record."""
    record = read_stack(Home(site.home))
    assert record
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert record.server
    assert record.worker
    dead = {"pid": gone.pid, "birth": "boot:0"}
    changes = {"server": record.server.model_copy(update=dead), "worker": record.worker.model_copy(update=dead)}
    (site.home / "stack.json").write_text(record.model_copy(update=changes).model_dump_json())


LOSSES = [truncate, outdated]


def servers(site: Site) -> list[int]:
    return [process.pid for process in site.processes() if "temporal" in process.name()]


@pytest.mark.parametrize("lose", LOSSES)
def test_up_adopts_what_runs(site: Site, lose: Callable[[Site], None]) -> None:
    before = site.up()
    start_workflow(before.address)
    kill(before.supervisor)
    lose(site)
    after = site.up()
    assert pids(after)[1:] == pids(before)[1:]
    assert (after.address, after.ui_url, after.credential) == (before.address, before.ui_url, "stand-in")
    assert servers(site) == [pids(before)[1]]
    assert len(site.workers()) == 1
    assert knows_workflow(after.address)
    # It is watched as one's own, and comes back where clients know it to be.
    kill(after.server)
    assert site.healthy().address == before.address
    assert down(site.settings) is True
    assert site.processes() == []
    assert site.workers() == []


@pytest.mark.parametrize("lose", LOSSES)
def test_down_ends_what_runs(site: Site, lose: Callable[[Site], None]) -> None:
    stack = site.up()
    kill(stack.supervisor)
    lose(site)
    assert down(site.settings) is True
    assert not is_alive(stack.server)
    assert not is_alive(stack.worker)
    assert down(site.settings) is False


def test_a_worker_that_lost_all_else_is_replaced_or_served(site: Site) -> None:
    before = site.up()
    kill(before.supervisor)
    kill(before.server)
    truncate(site)
    after = site.up()
    assert len(site.workers()) == 1
    assert after.address in (site.home / "environment.json").read_text()


def test_a_server_of_this_database_that_holds_no_lock_is_known_too(site: Site) -> None:
    """One of an earlier Overnight, which held no lock, or whose lock file was removed."""
    home = prepare(site.home)
    program = find_program()
    assert program
    line = command(program, home, choose(site.home, ()), choose(site.home.parent, ()))
    other = subprocess.Popen(line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: holders(home, "server"), what="the database in use")

        stack = site.up()
        assert pids(stack)[1] == other.pid
        assert servers(site) == [pids(stack)[1]]
    finally:
        other.kill()
        other.wait()


def test_one_that_cannot_be_seen_is_never_doubled(site: Site) -> None:
    path = prepare(site.home).lock_of("server")
    path.touch()
    lock = os.open(path, os.O_RDONLY)  # not as ours have it open: so it might be in a container
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(StackError, match="another server of this home runs where it cannot be seen"):
            site.up()
        with pytest.raises(StackError, match=r"server\.lock is held.*Stop Overnight there"):
            down(site.settings)
    finally:
        os.close(lock)
    assert site.up().up


def test_a_backup_of_the_home_is_left_alone(site: Site) -> None:
    stack = site.up()
    script = "import sys; files = [open(name, 'rb') for name in sys.argv[1:]]; print('open', flush=True); input()"
    names = [str(site.home / name) for name in ("server.lock", "worker.lock", "temporal.db")]
    backup = subprocess.Popen([sys.executable, "-c", script, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert backup.stdout
        assert backup.stdout.readline() == b"open\n"
        home = Home(site.home)
        assert [one.pid for part in get_args(Part) for one in holders(home, part)] == list(pids(stack)[1:])
    finally:
        backup.kill()
        backup.communicate()
