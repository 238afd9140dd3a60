"""The stack comes up once, is found, survives whoever started it, and goes down without a rest."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from overnight.base.settings import Settings
from overnight.stack import VERSION, Stack, down, find
from overnight.stack.control import _environment, bring_up
from overnight.stack.ports import answers
from overnight.stack.processes import is_alive
from overnight.stack.server import SEARCH_ATTRIBUTES, environment, find_program
from tests.stack.conftest import HERE, Site, eventually, kill, pids


def operator(stack: Stack, *arguments: str) -> str:
    program = find_program()
    assert program
    line = [program, "operator", *arguments, "--address", stack.address]
    return subprocess.run(line, env=environment(), capture_output=True, text=True, check=True).stdout


def test_first_start_second_start_and_end(site: Site) -> None:
    assert find(site.settings) is None
    stack = site.up()

    assert stack.up
    assert stack.version == VERSION
    assert stack.home == site.home
    assert stack.credential == "stand-in"
    assert stack.problem is None
    assert stack.address.startswith("127.0.0.1:")
    assert answers(stack.port)
    assert answers(stack.ui_port)
    assert stat.S_IMODE(site.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((site.home / "stack.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((site.home / "temporal.db").stat().st_mode) == 0o600

    begun = time.perf_counter()
    again = site.up()
    assert time.perf_counter() - begun < 1  # a start takes longer
    assert again == stack == find(site.settings)

    described = operator(stack, "namespace", "describe", "-n", stack.namespace)
    assert "2160h" in described
    assert all(name in described for name in SEARCH_ATTRIBUTES)

    everyone = (stack.supervisor, stack.server, stack.worker)
    assert down(site.settings) is True
    assert not any(is_alive(process) for process in everyone)
    assert find(site.settings) is None
    assert not (site.home / "stack.json").exists()
    assert (site.home / "temporal.db").exists()
    assert down(site.settings) is False


def test_worker_gets_this_temporal_and_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "key-of-another-temporal")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "elsewhere.example:7233")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-for-the-worker")
    stack = site.up(models={"judge": "some-model"})
    given = json.loads((site.home / "environment.json").read_text())
    assert "TEMPORAL_API_KEY" not in given
    assert given["TEMPORAL_ADDRESS"] == stack.address
    assert given["TEMPORAL_NAMESPACE"] == "default"
    assert given["OVERNIGHT_HOME"] == str(site.home)
    assert given["OVERNIGHT_UI_URL"] == stack.ui_url
    assert given["OVERNIGHT_GRACE_SECONDS"] == "1.0"
    assert given["ANTHROPIC_API_KEY"] == "sk-for-the-worker"
    assert stack.server
    with open(f"/proc/{stack.server.pid}/environ", "rb") as server:  # noqa: PTH123
        assert b"sk-for-the-worker" not in server.read()


def test_each_process_has_a_session_of_its_own(site: Site) -> None:
    processes = pids(site.up())
    assert [os.getsid(pid) for pid in processes] == list(processes)
    assert len({os.getsid(0), *processes}) == 4
    for pid in processes:
        assert os.readlink(f"/proc/{pid}/cwd") == str(site.home)  # noqa: PTH115


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.chaos)])
def test_starts_at_once_make_one_stack(site: Site, count: int) -> None:
    starters = [site.starter() for _ in range(count)]
    try:
        with ThreadPoolExecutor(count) as pool:
            lines = list(pool.map(lambda starter: starter.stdout.readline() if starter.stdout else b"", starters))
        stacks = {pids(Stack.model_validate_json(line)) for line in lines}
        assert len(stacks) == 1
        assert len([p for p in site.processes() if "temporal" in p.name()]) == 1
        assert len(site.workers()) == 1
    finally:
        for starter in starters:
            starter.kill()
            starter.wait()


def test_survives_its_starter(site: Site) -> None:
    starter = site.starter()
    try:
        assert starter.stdout
        stack = Stack.model_validate_json(starter.stdout.readline())
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGKILL):  # Ctrl-C, a closed terminal, the worst
            os.killpg(starter.pid, number)
        starter.wait()
        assert pids(site.healthy()) == pids(stack)
    finally:
        starter.kill()
        starter.wait()


def test_starter_that_dies_in_the_middle_leaves_a_whole_stack_or_none(site: Site) -> None:
    starter = site.starter()
    try:
        eventually((site.home / "stack.json").exists, what="the first record")
    finally:
        starter.kill()
        starter.wait()
    assert site.healthy().up
    assert len(site.workers()) == 1


def test_progress_is_told_once_per_stage(site: Site) -> None:
    told: list[str] = []
    supervisor = ["-P", str(HERE / "stand_in_supervisor.py"), "good"]
    bring_up(site.settings, supervisor, wait_seconds=180, on_progress=told.append)
    assert told == ["starting the Temporal server", "starting the worker"]


def test_ports_are_kept_over_down_and_up(site: Site) -> None:
    first = site.up()
    down(site.settings)
    second = site.up()
    assert (second.address, second.ui_url) == (first.address, first.ui_url)


def test_stubborn_worker_is_killed_after_its_grace(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overnight.stack.control.WORKER_STOP_MARGIN_SECONDS", 0.5)
    stack = site.up("stubborn")
    kill(stack.supervisor)
    begun = time.monotonic()
    assert down(Settings(home=site.home, grace_seconds=1)) is True
    assert time.monotonic() - begun > 1.5
    assert not is_alive(stack.worker)


def test_start_while_it_is_being_stopped_waits_and_starts_anew(site: Site) -> None:
    old = site.up()
    assert old.supervisor
    os.kill(old.supervisor.pid, signal.SIGTERM)
    eventually(lambda: (seen := find(site.settings)) is None or seen.stopping, what="the stop")
    new = site.up()
    assert set(pids(new)).isdisjoint(pids(old))


def test_stack_of_another_version_is_used_and_reported(site: Site) -> None:
    stack = site.up()
    # As an older supervisor would have it; it is the supervisor that owns the file, so look before it is put right.
    (site.home / "stack.json").write_text(stack.model_copy(update={"version": "0.0.1"}).model_dump_json())
    found = find(site.settings)
    assert found is not None
    assert found.version == "0.0.1"
    assert pids(site.up()) == pids(stack)


def test_settings_that_somebody_chose_reach_the_supervisor(site: Site) -> None:
    chosen = Settings(home=site.home, port=7300, allow_unsandboxed=True, models={"judge": "m"}, ui_port=None)
    given = _environment(chosen)
    assert given["OVERNIGHT_PORT"] == "7300"
    assert given["OVERNIGHT_ALLOW_UNSANDBOXED"] == "true"
    assert json.loads(given["OVERNIGHT_MODELS"]) == {"judge": "m"}
    assert given["OVERNIGHT_UI_PORT"] == ""
