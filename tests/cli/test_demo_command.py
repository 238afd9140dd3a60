"""``overnight demo``, end to end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from overnight.base.settings import Settings
from overnight.demo import stage
from overnight.stack import down, find
from tests.cli.support import Cli, clean_environment, git, none_left, read_until


@pytest.fixture
def person(place: Path) -> Cli:
    """A person without any credential, but with settings of their own that a demo must not mind."""
    home = place / "person"
    return Cli(
        clean_environment(home, OVERNIGHT_PORT="1", OVERNIGHT_MAX_COST_USD="0.001", HTTPS_PROXY="http://x"), place
    )


@pytest.mark.chaos
def test_the_demo_works_twice_and_leaves_nothing_running(person: Cli, place: Path) -> None:
    home = place / "person" / "demo"
    first = person("demo")
    assert first.code == 0, first.out + first.err
    for words in (
        "#1: 0 of 4 criteria met",
        "FAILED (failures=2)",
        "#2: 4 of 4 criteria met",
        "Confirmed in a clean clone",
        "demo succeeded: the first attempt failed validation, the last one holds in a clean clone",
        f"OVERNIGHT_HOME={home} overnight checkout demo-",
        "stack   stopped",
    ):
        assert words in first.out
    assert find(Settings(home=home)) is None

    second = person("demo", "--json", "--keep")
    assert second.code == 0, second.out + second.err
    told = second.lines[-1]
    try:
        assert (told["type"], told["ok"], told["failed_first"], told["confirmed_in_clean_clone"]) == (
            *("demo", True, True, True),
        )
        assert Path(told["report_file"]).read_text().startswith("# Done: ")
        assert len(told["commits"]) == 3
        assert git(Path(told["vault"]), "rev-parse", told["branch"]) == told["commits"][0]["commit"]
        assert told["stack_running"]
        stack = find(Settings(home=home))
        assert stack is not None
        assert stack.up
        assert told["monitor_url"].startswith(stack.ui_url)
        taken = Cli({**person.environment, "OVERNIGHT_HOME": str(home), "OVERNIGHT_PORT": ""}, place)(
            "checkout", told["session_id"], "--into", str(place / "taken")
        )
        assert taken.code == 0, taken.err
        assert (place / "taken" / "nightshift.py").is_file()
    finally:
        down(Settings(home=home, grace_seconds=0))
    none_left(place / "person")
    assert list((place / "person").iterdir()) == [home]


@pytest.mark.chaos
def test_ctrl_c_stops_the_demo_and_its_stack(person: Cli, place: Path) -> None:
    process = person.start("demo", "--json", "--home", str(place / "stopped"))
    try:
        read_until(process, '"phase": "execute"')
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert json.loads(out.splitlines()[-1])["type"] == "stopped"
        assert find(Settings(home=place / "stopped")) is None
        none_left(place / "stopped")
    finally:
        process.kill()
        process.communicate()
        down(Settings(home=place / "stopped", grace_seconds=0))


def test_the_demo_refuses_somebody_s_home(person: Cli, place: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = person("demo", "--home", str(tmp_path))
    assert refused.code == 2
    assert "no demo's home" in refused.err
    own = person("demo", "--home", str(place / "person"))
    assert own.code == 2
    assert "your own home" in own.err


def test_nothing_of_the_person_s_own_is_on_the_stage() -> None:
    given = {
        "PATH": "/bin",
        "ANTHROPIC_AUTH_TOKEN": "secret",
        "CLAUDE_CODE_OAUTH_TOKEN": "secret",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "TEMPORAL_ADDRESS": "example.org:7233",
        "https_proxy": "http://proxy",
        "OVERNIGHT_VAULT_URL": "ssh://vault",
        "OVERNIGHT_LOG_LEVEL": "debug",
    }
    assert stage.environment(given, Path("/d"), "http://127.0.0.1:1") == {
        "PATH": "/bin",
        "OVERNIGHT_LOG_LEVEL": "debug",
        "OVERNIGHT_HOME": "/d",
        "OVERNIGHT_GRACE_SECONDS": "5",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "ANTHROPIC_API_KEY": "demo-key",
    }
