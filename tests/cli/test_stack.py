"""``up``, ``down`` and ``doctor``."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from overnight.base.settings import Settings
from overnight.stack import find
from tests.cli.conftest import Finished
from tests.cli.support import Cli, none_left

NAMES = ["Python", "git", "home", "Temporal server", "stack", "worker", "Claude Code", "credential", "model"]


@pytest.mark.chaos
def test_up_twice_is_one_stack_and_down_ends_it(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "home"
    other = Cli({**cli.environment, "OVERNIGHT_HOME": str(home)}, cli.cwd)
    first = other("up", "--json").json
    assert other("up", "--json").json["pids"] == first["pids"]
    shown = other("up")
    assert shown.code == 0
    assert first["ui_url"] in shown.out
    assert first["address"] in shown.out
    down = other("down")
    assert down.code == 0
    assert "sessions go on at the next start" in down.out
    assert find(Settings(home=home)) is None
    none_left(home)
    assert other("down", "--json").json == {"stopped": False, "home": str(home)}


def test_damaged_records_are_mended_without_a_restart(cli: Cli, home: Path, finished: Finished) -> None:
    """Supervisor dead, and both small files cut off: the next start finds what runs, and nothing is doubled."""
    before = cli("up", "--json").json["pids"]
    psutil.Process(before["supervisor"]).kill()
    for name in ("stack.json", "worker.json"):
        os.truncate(home / name, 10)
    after = cli("up", "--json")
    assert after.code == 0, after.err + after.out
    assert (after.json["pids"]["server"], after.json["pids"]["worker"]) == (before["server"], before["worker"])
    assert after.json["credential"].startswith("api_key")


def test_doctor_on_a_healthy_engine(cli: Cli, finished: Finished) -> None:
    done = cli("doctor", "--json")
    findings = done.json["findings"]
    names = [finding["name"] for finding in findings]
    assert names[: len(NAMES)] == NAMES
    assert {"isolation", "disk"} <= set(names)
    # A restart within the last minute, as on a busy machine, may still be told of the stack: in yellow.
    assert [f for f in findings[: len(NAMES)] if f["state"] != "green" and f["name"] != "stack"] == []
    shown = cli("doctor", "--offline")
    assert " model " not in [line[9:16] for line in shown.out.splitlines()]
    assert "knowledge.db; semantic: " in shown.out
    assert "holds your credential (api_key from ANTHROPIC_API_KEY)" in shown.out
    assert cli.environment["ANTHROPIC_API_KEY"] not in shown.out + str(done.json)


@pytest.mark.chaos
def test_settings_that_a_running_worker_does_not_have_are_told(cli: Cli, finished: Finished) -> None:
    """The worker goes by the settings of the shell that started it; another is told what of its own does nothing."""
    other = {"OVERNIGHT_EGRESS_AT_MOST": "host", "OVERNIGHT_BOX_PROCESSES": "999", "OVERNIGHT_EGRES": "none"}
    found = {finding["name"]: finding for finding in cli("doctor", "--offline", "--json", env=other).json["findings"]}
    assert found["settings"]["state"] == "yellow"
    assert "OVERNIGHT_EGRESS_AT_MOST: the running worker has public, this shell host" in found["settings"]["lines"]
    assert "OVERNIGHT_BOX_PROCESSES: the running worker has 4096, this shell 999" in found["settings"]["lines"]
    assert "overnight down && overnight up" in found["settings"]["fix"]
    assert found["isolation"]["detail"].endswith("(of the running worker)")
    assert "network: public at most; no exceptions" in found["isolation"]["lines"]
    assert any(" 4096 processes" in line for line in found["isolation"]["lines"])
    shown = cli("doctor", "--offline", env=other).out
    assert "\n" + " " * 27 + "OVERNIGHT_EGRESS_AT_MOST: the running worker has public, this shell host\n" in shown

    up = cli("up", env=other)
    assert up.code == 0
    assert "note: OVERNIGHT_EGRESS_AT_MOST=host does nothing here: the running worker was started with public" in up.err
    assert "did you mean OVERNIGHT_EGRESS?" in up.err
    assert len(cli("up", "--json", env=other).json["notes"]) == 3
    assert cli("up", "--json").json["notes"] == []
    ran = cli("run", "x", "--id", "other-settings", "--validate", "true", "--detach", env=other)
    assert ran.code == 0, ran.err
    assert "note: OVERNIGHT_EGRESS_AT_MOST=host does nothing here" in ran.err
    cli("cancel", "other-settings", "--yes")


def test_doctor_before_the_first_start(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "home"
    fresh = {
        **{name: value for name, value in cli.environment.items() if name != "ANTHROPIC_API_KEY"},
        "OVERNIGHT_HOME": str(home),
        "HOME": str(tmp_path),
    }
    done = Cli(fresh, cli.cwd)("doctor", "--offline")
    assert done.code == 6
    assert "it starts on demand" in done.out
    assert "fix: No credential for a model." in done.out
    assert not home.exists()
