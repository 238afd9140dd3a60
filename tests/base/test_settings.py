"""Settings from variables: what is refused, in which words, and what is only doubtful."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from overnight.base import chosen, sanity
from overnight.base.settings import Settings
from overnight.base.wording import reworded
from overnight.stack.control import _environment
from tests.cli.support import ROOT, clean_environment


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.environ", clean_environment(tmp_path / "home"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "BOX_MEMORY_GB",
            "0.001",
            "must be at least 0.5 (given: '0.001'); write for example OVERNIGHT_BOX_MEMORY_GB=4",
        ),
        ("BOX_CPU_MINUTES", "0.0001", "must be at least 0.05 (given: '0.0001'); write for example"),
        ("BOX_CPU_MINUTES", "nan", "must be a number (given: 'nan')"),
        ("BOX_PROCESSES", "3", "must be at least 64 (given: '3')"),
        ("BOX_PROCESSES", "3.5", "must be a whole number (given: '3.5')"),
        ("BOX_OPEN_FILES", "many", "must be a whole number (given: 'many')"),
        ("BOX_FILE_GB", "0", "must be at least 0.01 (given: '0')"),
        ("BOX_OUTPUT_MB", "0.1", "must be at least 1 (given: '0.1')"),
        ("BOX_DISK_GB", "-1", "must be at least 0.1 (given: '-1')"),
        ("SANDBOX_READABLE", '["/"]', "/ is the whole machine, credentials included (given: '/'); write for example"),
        ("SANDBOX_READABLE", "/srv/..", "/ is the whole machine"),
        ("SANDBOX_READABLE", "/srv/a:b", "'b' is not written in full (given: 'b')"),
        ("SANDBOX_READABLE", '["/srv"', "it must be JSON"),
        ("SANDBOX_READABLE", "~nosuch/a", "no home folder is known for '~nosuch/a'; write it in full"),
        ("HOME", "~nosuch/a", "no home folder is known for '~nosuch/a'; write it in full"),
        ("CLAUDE_PATH", "~nosuch/a", "no home folder is known for '~nosuch/a'; write it in full"),
        ("MODELS", "[1]", "it must be JSON (given: '[1]'); write for example OVERNIGHT_MODELS='{\"execute\""),
        ("MODELS", '{"pln": "x"}', "must be one of 'plan', 'execute', 'judge'"),
        ("ALLOW_UNSANDBOXED", "maybe", "must be 1 or 0 (given: 'maybe')"),
        (
            "VAULT_URL",
            "vaults",
            "must be the base of git URLs, or a folder written in full (given: 'vaults'); write for",
        ),
        ("VAULT_URL", "./a:b", "must be the base of git URLs"),
        ("UI_URL", "ui.example.com:8080", "must be an address that begins with http:// or https:// (given: 'ui."),
        ("EGRESS_AT_MOST", "open", "must be one of 'public', 'allow-list', 'none' or 'host' (given: 'open')"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"OVERNIGHT_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    (told,) = chosen.problems(refused.value)
    assert told.startswith(f"OVERNIGHT_{name}: ")
    assert said in told
    assert "nput should" not in told


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("sandbox_readable", "/srv/a:/srv/b,/srv/c/../d", [Path("/srv/a"), Path("/srv/b"), Path("/srv/d")]),
        ("sandbox_readable", '["/srv/a b", "/srv/c:d"]', [Path("/srv/a b"), Path("/srv/c:d")]),
        ("sandbox_readable", "~/tools", [Path("~/tools").expanduser()]),
        ("egress_exceptions", "pkgs.corp:443, 10.1.0.0/16", ["pkgs.corp:443", "10.1.0.0/16"]),
        ("egress_exceptions", '["[2001:db8::1]:443"]', ["[2001:db8::1]:443"]),
        ("models", '{"judge": "a"}', {"judge": "a"}),
    ],
)
def test_lists_are_read_from_json_or_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: Any
) -> None:
    monkeypatch.setenv(f"OVERNIGHT_{name.upper()}", value)
    known = Settings()
    assert getattr(known, name) == read
    handed_on = _environment(known)[f"OVERNIGHT_{name.upper()}"]
    monkeypatch.setenv(f"OVERNIGHT_{name.upper()}", handed_on)
    assert getattr(Settings(), name) == read, "a stack is started with the same"


def test_folders_that_would_show_too_much_are_told(tmp_path: Path) -> None:
    home, link = tmp_path / "overnight", tmp_path / "link"
    home.mkdir()
    link.symlink_to(tmp_path)

    def said(folder: Path, **more: Any) -> str:
        return " ".join(sanity.exposing(Settings(home=home, sandbox_readable=[folder], **more)))

    assert "holds or belongs to OVERNIGHT_HOME" in said(home)
    assert "holds or belongs to OVERNIGHT_HOME" in said(tmp_path)
    assert "holds or belongs to OVERNIGHT_HOME" in said(home / "vault")
    assert "holds or belongs to OVERNIGHT_HOME" in said(link)
    assert "holds or belongs to the home folder" in said(Path.home())
    assert "holds or belongs to the vault" in said(tmp_path / "v", vault_url=str(tmp_path / "v" / "git"))
    assert "holds or belongs to the vault" in said(tmp_path / "v", vault_url=f"file://{tmp_path / 'v'}")
    assert said(tmp_path / "tools", vault_url="https://git.example.com/vault") == ""
    assert said(Path.home() / ".pyenv") == ""
    assert sanity.exposing(Settings(home=home, sandbox_readable=[tmp_path]), masked=False) == []
    assert sanity.exposing(Settings(home=home, sandbox_readable=[Path.home()]), masked=False)


def test_folders_that_are_not_there_and_limits_that_nothing_fits_into_are_told(tmp_path: Path) -> None:
    known = Settings(sandbox_readable=[tmp_path, tmp_path / "gone"], box_memory_gb=0.6, box_disk_gb=0.5)
    (gone,) = sanity.missing(known)
    assert gone.startswith(f"OVERNIGHT_SANDBOX_READABLE: {tmp_path / 'gone'} is no folder")
    assert [text.split(" is ")[0] for text in sanity.tight(known)] == [
        "OVERNIGHT_BOX_MEMORY_GB=0.6",
        "OVERNIGHT_BOX_DISK_GB=0.5",
    ]
    assert sanity.tight(Settings()) == []


def test_variables_that_are_no_settings() -> None:
    said = chosen.unknown(
        [
            "OVERNIGHT_HOME",
            "overnight_egress",
            "OVERNIGHT_EGRESS_ATMOST",
            "OVERNIGHT_FOO",
            "OVERNIGHT_TEST_CROWD",
            "PATH",
        ]
    )
    assert said == [
        "OVERNIGHT_EGRESS_ATMOST is no setting of Overnight and does nothing; did you mean OVERNIGHT_EGRESS_AT_MOST?",
        "OVERNIGHT_FOO is no setting of Overnight and does nothing",
    ]
    assert chosen.unknown(chosen.variable(name) for name in Settings.model_fields) == []


def test_what_a_running_worker_has_otherwise() -> None:
    running = chosen.told(Settings(egress_at_most="none", box_processes=900))
    here = Settings(egress_at_most="host", claude_path=Path("/srv/claude"), box_memory_gb=2)
    found = {one.name: one for one in chosen.differences(here, running)}
    assert set(found) == {f"OVERNIGHT_{n}" for n in ("EGRESS_AT_MOST", "BOX_PROCESSES", "CLAUDE_PATH", "BOX_MEMORY_GB")}
    assert str(found["OVERNIGHT_EGRESS_AT_MOST"]) == (
        "OVERNIGHT_EGRESS_AT_MOST: the running worker has none, this shell host"
    )
    assert not found["OVERNIGHT_BOX_PROCESSES"].chosen
    said = chosen.without_effect(here, running)
    assert len(said) == 3
    assert said[1] == (
        "OVERNIGHT_EGRESS_AT_MOST=host does nothing here: the running worker was started with none; to apply yours:"
        " overnight down && overnight up"
    )
    assert "was started with its default" in said[2]
    assert chosen.without_effect(here, chosen.told(here)) == []
    assert chosen.differences(here, {}) == [], "an older worker tells nothing"


def test_what_is_told_of_settings_is_short_and_holds_no_password() -> None:
    long = [f"host-{n}.corp.example.com:443" for n in range(100)]
    one, other = (chosen.told(Settings(egress_exceptions=known))["egress_exceptions"] for known in (long, long[:-1]))
    assert len(one.encode()) <= 200
    assert one != other
    told = chosen.told(Settings(vault_url="https://ada:word@git.example.com/vault"))
    assert told["vault_url"] == "https://git.example.com/vault"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("x: String should have at least 3 characters (given: 'a')", "x: must have at least 3 characters (given: 'a')"),
        ("x: input should be 'a' or 'b'", "x: must be one of 'a' or 'b'"),
        ("x: field required", "x: is missing"),
        ("x: is 401 bytes long; the limit is 400 bytes", "x: is 401 bytes long; the limit is 400 bytes"),
        ("x: input should be a valid list (given: 3)", "x: must be a list (given: 3)"),
    ],
)
def test_words_of_a_library_become_ours(said: str, words: str) -> None:
    assert reworded(said) == words


@pytest.mark.parametrize("program", ["worker.py", "mcp_server.py"])
def test_a_process_that_cannot_read_its_settings_says_so_in_a_line(tmp_path: Path, program: str) -> None:
    environment = clean_environment(tmp_path, OVERNIGHT_MODELS="{half")
    done = subprocess.run(
        [sys.executable, str(ROOT / program)], env=environment, capture_output=True, text=True, timeout=60, input=""
    )
    assert done.returncode == 2
    assert "OVERNIGHT_MODELS: it must be JSON" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_worker_logs_what_does_nothing_and_refuses_what_shows_too_much(tmp_path: Path) -> None:
    environment = clean_environment(
        tmp_path / "home", OVERNIGHT_EGRES="x", OVERNIGHT_SANDBOX_READABLE="~", OVERNIGHT_LOG_FORMAT="json"
    )
    code = (
        "import worker; from overnight.base.telemetry import configure_logging; s = worker.Settings();"
        "configure_logging(s); worker._look_at(s.model_copy(update={'sandbox_readable': []})); worker._look_at(s)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    first, *rest = done.stderr.splitlines()
    assert "OVERNIGHT_EGRES is no setting" in json.loads(first)["problem"]
    assert rest[-1].startswith("ValueError: OVERNIGHT_SANDBOX_READABLE: ")
