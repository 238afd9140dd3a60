"""``up``, ``down`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path

from overnight.base.settings import Settings
from overnight.stack import find
from tests.cli.conftest import Finished
from tests.cli.support import Cli, processes_of

NAMES = ["Python", "git", "home", "Temporal server", "stack", "worker", "Claude Code", "credential", "model"]


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
    assert processes_of(home) == []
    assert other("down", "--json").json == {"stopped": False, "home": str(home)}


def test_doctor_on_a_healthy_engine(cli: Cli, finished: Finished) -> None:
    done = cli("doctor", "--json")
    findings = done.json["findings"]
    names = [finding["name"] for finding in findings]
    assert names[: len(NAMES)] == NAMES
    assert {"isolation", "disk"} <= set(names)
    # A restart within the last minute, as on a busy machine, may still be told of the stack: in yellow.
    assert [f for f in findings[: len(NAMES)] if f["state"] != "green" and f["name"] != "stack"] == []
    shown = cli("doctor", "--offline")
    assert "model " not in shown.out
    assert "holds your credential (api_key from ANTHROPIC_API_KEY)" in shown.out
    assert cli.environment["ANTHROPIC_API_KEY"] not in shown.out + str(done.json)


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
