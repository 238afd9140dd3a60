"""What is wrong with a request is said at once, in words, before anything starts."""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest

from overnight.base.settings import Settings
from overnight.base.version import VERSION
from overnight.cli import run
from overnight.errors import InvalidRequestError
from overnight.request import NewSession
from tests.cli.support import clean_environment
from workflows.contracts.spec import HeldOut, Project

COMMANDS = [
    "up",
    "down",
    "run",
    "watch",
    "list",
    "status",
    "pause",
    "resume",
    "steer",
    "cancel",
    "limits",
    "rollback",
    "diff",
    "report",
    "checkout",
    "doctor",
    "demo",
    "events",
]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is not there and must not come to be, with a credential."""
    monkeypatch.setattr("os.environ", clean_environment(tmp_path / "home", ANTHROPIC_API_KEY="k"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", ""], "goal: must not be empty"),
        (["run", "   "], "goal: must not be empty"),
        (["run", "a\udcff"], "goal: must be text in UTF-8 (given: "),
        (["run", "a" * 20_001], "goal: is 20001 bytes long; the limit is 20000 bytes"),
        (["run", "ä" * 10_001], "goal: is 20002 bytes long"),
        (["run", "x", "--threshold", "0"], "--threshold: must be more than 0"),
        (["run", "x", "--threshold", "1.5"], "--threshold: must be at most 1"),
        (["run", "x", "--threshold", "nan"], "--threshold: must be "),
        (["run", "x", "--threshold", "much"], "'--threshold'"),
        (["run", "x", "--max-iterations", "0"], "--max-iterations: must be at least 1"),
        (["run", "x", "--max-minutes", "inf"], "--max-minutes: must be a number"),
        (["run", "x", "--max-cost", "nan"], "--max-cost: must be a number (given: nan)"),
        (["run", "x", "--max-cost", "-1"], "--max-cost: must be more than 0"),
        (["run", "x", "--criterion", ""], "--criterion (number 1): must not be empty"),
        (["run", "x", "--criterion", "fine", "--criterion", "x" * 401], "--criterion (number 2): is 401 bytes long"),
        (["run", "x", *["--criterion", "x"] * 7], "--criterion: must have at most 6 entries"),
        (["run", "x", "--max-cost", "0", "--threshold", "2"], "; --max-cost: must be more than 0"),
        (["run", "x", "--ref", "main"], "--ref: it names a place in a project"),
        (["run", "x", "--validate", "true\a"], "--validate: it has a control character in it (U+0007)"),
        (["run", "x", "--setup", "printf '\x1b[1m'"], "--setup: it has a control character in it (U+001B)"),
        (["run", "x", "--egress", "open"], "'open' is not one of 'public', 'allow-list', 'none', 'host'"),
        (["run", "x", "--egress", "allow-list"], "--allow-host: the egress 'allow-list' needs at least one host"),
        (["run", "x", "--egress", "none", "--allow-host", "a.org"], "with the egress 'allow-list', not with 'none'"),
        (
            ["run", "x", "--allow-host", "a.org", "--allow-host", "https://b.org/x"],
            "--allow-host (number 2): this is a",
        ),
        (["run", "x", "--allow-host", "https://pkgs.dev/simple"], "this is a URL: write pkgs.dev:443 (given: "),
        (["run", "x", *["--allow-host", "a.org"] * 21], "--allow-host: must have at most 20 entries"),
        (["run", "x", "--protect", "/etc/hosts"], "--protect (number 1): paths begin at the root of the repository"),
        (["run", "x", "--may-change", "a", "--may-change", "../b"], "--may-change (number 2): paths do not leave"),
        (["run", "x", "--held-out", "/tmp"], "--held-out-command: held-out checks need a command"),
        (["run", "x", "--held-out-at", "a"], "--held-out-at: it goes with held-out checks, and none are given"),
        (
            ["run", "x", "--held-out", "/tmp", "--held-out-command", "true", "--held-out-at", "a/*"],
            "--held-out-at: it names one folder",
        ),
        (["run", "x", "--held-out", "accept", "--held-out-command", "true"], "--held-out: a new project has no refs"),
        (["run", "x", "--held-out", "~nosuch/a", "--held-out-command", "true"], "--held-out: '~nosuch/a' is neither"),
        (["run", "x", "--held-out", "a" * 300, "--held-out-command", "true"], "--held-out: a new project has no refs"),
        (["run", "x", "--id", "Not An Id"], "--id: must be 3 to 64 characters long, of lower-case letters"),
        (["run", "x", "--id", "a1"], "such as fix-login-2 (given: 'a1')"),
        (["run", "x", "--approval-timeout", "5"], "--approval-timeout: only sessions in mode 'iterative' wait"),
        (["run", "x", "--mode", "iterative", "--approval-timeout", "0"], "--approval-timeout: must be more than 0"),
        (["run", "x", "--mode", "iterative", "--on-approval-timeout", "end"], "it needs an approval_timeout_minutes"),
        (["run", "x", "--mode", "other"], "'other'"),
        (["run", "x", "--project", "no/such/folder"], "no/such/folder does not exist"),
        (["run", "x", "--project", ""], "project: must not be empty"),
        (["run", "x", "--project", "~nosuch/a"], "begins with a user who is not known here"),
        (["run", "x", "--project", "a" * 300], "cannot be looked at: File name too long"),
        (["run", "x", "--project", "circle/a"], "cannot be looked at: its links lead in a circle"),
        (["run", "x", "--held-out", "/nope", "--held-out-command", "true"], "--held-out: /nope is no folder"),
        (
            ["knowledge", "add", "--everywhere", "--project", ".", "--title", "t"],
            "--project and --everywhere contradict",
        ),
        (["knowledge", "import", "/nope"], "/nope cannot be read: No such file or directory"),
        (["run", "x", "--held-out", "./circle", "--held-out-command", "true"], "--held-out: './circle' is neither"),
        (["demo", "--home", "~nosuch/a"], "~nosuch/a cannot be the demo's home"),
        (["demo", "--home", "circle/a"], "circle/a cannot be the demo's home"),
        (["run", "x", "--detach", "--wait"], "--detach and --wait"),
        (["run", "x", "--no-such-option"], "No such option: --no-such-option"),
        (["run"], "Missing argument"),
        (["list", "--status", "sleepy"], "Invalid value for '--status': 'sleepy' is not one of"),
        (["list", "--limit", "0"], "--limit"),
        (["mcp", "--port", "9", "token", "list"], "they serve, and go with no subcommand"),
        (["mcp", "--host", "x", "install", "cursor"], "they serve, and go with no subcommand"),
        (["mcp", "--http", "--host", ""], "--host: is empty"),
        (["mcp", "--port", "9"], "they go with --http"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["statsu"], "Did you mean 'status'?"),
        (["limits", "some-id"], "give at least one of --max-cost"),
        (["rollback", "some-id", "-1"], "-1"),
        (["run", "x", "--strategy", ""], "--strategy (number 1): must not be empty"),
        (["approve", "some-id"], "approvals are given by a person at a terminal"),
        (["approve", "some-id", "--edit", "--plan", "x"], "--edit and --plan contradict each other"),
        (["reject", "some-id", "plan", "--reason", "no"], "rejections are given by a person at a terminal"),
    ],
)
def test_bad_input_ends_with_2_and_starts_nothing(
    nowhere: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not nowhere.exists()


def test_errors_as_json(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "x", "--json", "--threshold", "2"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "error": "--threshold: must be at most 1 (given: 2.0)",
        "code": 2,
    }
    assert told.err == ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OVERNIGHT_PORT", "99999", "OVERNIGHT_PORT: must be at most 65535 (given: '99999')"),
        ("OVERNIGHT_MAX_COST_USD", "much", "OVERNIGHT_MAX_COST_USD: "),
        ("OVERNIGHT_MODELS", "{half", "OVERNIGHT_MODELS: it must be JSON (given: '{half'); write for example"),
        ("OVERNIGHT_EGRESS", "foo", "OVERNIGHT_EGRESS: must be one of 'public', 'allow-list', 'none' or 'host'"),
        ("OVERNIGHT_BOX_MEMORY_GB", "0.001", "OVERNIGHT_BOX_MEMORY_GB: must be at least 0.5 (given: '0.001'); write"),
        ("OVERNIGHT_SANDBOX_READABLE", '["/"]', "OVERNIGHT_SANDBOX_READABLE: / is the whole machine, credentials"),
        ("OVERNIGHT_SANDBOX_READABLE", "tools", "OVERNIGHT_SANDBOX_READABLE: 'tools' is not written in full"),
        ("OVERNIGHT_LOG_LEVEL", "loud", "OVERNIGHT_LOG_LEVEL: "),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["up"], ["doctor"], ["run", "x"], ["demo"]])
def test_settings_are_named_when_they_are_wrong(
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert run(command) == 2
    assert words in capsys.readouterr().err
    assert not nowhere.exists()


@pytest.mark.parametrize("given", [None, "", "~/.overnight"])
def test_down_finds_the_home_whatever_else_is_wrong(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str | None
) -> None:
    monkeypatch.setenv("HOME", str(nowhere.parent))
    monkeypatch.setenv("OVERNIGHT_PORT", "many")
    monkeypatch.delenv("OVERNIGHT_HOME")
    if given is not None:
        monkeypatch.setenv("OVERNIGHT_HOME", given)
    assert run(["down"]) == 0
    assert capsys.readouterr().out == f"nothing was running in {nowhere.parent / '.overnight'}\n"


@pytest.mark.parametrize("command", [["run", "x"], ["up"]])
def test_who_has_no_home_is_told_so(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """As in a container, under a number that nobody knows."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert run(command) == 6
    assert capsys.readouterr().err == "error: no home folder of yours is known; set HOME\n"


def test_down_says_when_the_home_itself_is_wrong(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVERNIGHT_HOME", "~nosuch/a")
    assert run(["down"]) == 2
    assert "OVERNIGHT_HOME: no home folder is known for '~nosuch/a'" in capsys.readouterr().err


@pytest.mark.parametrize("home", ["circle", "a" * 300])
def test_down_of_a_home_that_cannot_be_is_no_internal_error(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: str
) -> None:
    monkeypatch.setenv("OVERNIGHT_HOME", str(nowhere.parent / home))
    assert run(["down"]) == 4
    assert "cannot be stopped: " in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run", "x"], ["up"]])
@pytest.mark.parametrize(
    ("value", "words"),
    [("/no/such/tools", "/no/such/tools is no folder"), ("HOME", "holds or belongs to OVERNIGHT_HOME")],
)
def test_folders_that_no_sandbox_may_show_are_refused_before_anything_starts(
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv("OVERNIGHT_SANDBOX_READABLE", str(nowhere.parent) if value == "HOME" else value)
    assert run(command) == 2
    assert words in capsys.readouterr().err
    assert not nowhere.exists()


def test_a_variable_that_is_no_setting_is_told(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVERNIGHT_EGRES", "a-private-value")
    monkeypatch.setenv("OVERNIGHT_BOX_CPU_MINUTES", "0.1")
    assert run(["run", "x", "--project", "no/such/folder"]) == 2
    told = capsys.readouterr().err
    assert "note: OVERNIGHT_EGRES is no setting of Overnight and does nothing; did you mean OVERNIGHT_EGRESS?" in told
    assert "note: OVERNIGHT_BOX_CPU_MINUTES=0.1 is very little" in told
    assert "a-private-value" not in told


def test_an_installation_that_wants_hosts_named_says_so(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVERNIGHT_EGRESS", "allow-list")
    assert run(["run", "x"]) == 2
    assert "error: --allow-host: sessions of this installation name the hosts" in capsys.readouterr().err
    assert not nowhere.exists()


@pytest.mark.parametrize("command", ["", "a tab\tand\na line"])
def test_what_a_shell_takes_is_no_control_character(command: str) -> None:
    assert NewSession.parse(goal="x", validation_command=f"echo {command}").validation_command is not None


def test_no_session_is_called_what_signs_a_persons_knowledge() -> None:
    with pytest.raises(InvalidRequestError, match="session_id: person is how"):
        NewSession.parse(goal="x", session_id="person")
    assert NewSession.parse(goal="x", session_id="person-1").session_id == "person-1"


def test_what_may_not_change_and_what_nobody_sees_is_carried() -> None:
    asked = NewSession.parse(
        goal="x",
        project="/p",
        protected_paths=["api/**"],
        may_change=["tests/a.py"],
        held_out="acceptance:tests",
        held_out_command="pytest -q accept",
        held_out_at="./accept/",
    )
    spec = asked.spec(Project(kind="path", location="/p", commit="a" * 40, key="p"), Settings())
    assert (spec.protected_paths, spec.may_change) == (["api/**"], ["tests/a.py"])
    assert spec.held_out == HeldOut(
        kind="ref", source="acceptance:tests", command="pytest -q accept", target="accept", tells="names"
    )


def test_no_credential_is_said_at_once(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["run", "Write a poem"]) == 6
    told = capsys.readouterr().err
    assert "ANTHROPIC_API_KEY" in told
    assert "overnight demo" in told
    assert not nowhere.exists()


def test_a_claude_path_that_is_no_program_is_said_at_once(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVERNIGHT_CLAUDE_PATH", "/no/such/claude")
    assert run(["run", "Write a poem"]) == 6
    assert "OVERNIGHT_CLAUDE_PATH names /no/such/claude" in capsys.readouterr().err
    assert not nowhere.exists()


def test_an_unexpected_error_is_one_line_and_a_log(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("an accident")

    (nowhere / "logs").mkdir(parents=True)
    monkeypatch.setattr("overnight.cli.settings.Settings", broken)
    assert run(["list"]) == 70
    log = nowhere / "logs" / "cli.log"
    expected = f"error: unexpected ZeroDivisionError: an accident (the traceback is in {log})\n"
    assert capsys.readouterr().err == expected
    assert "Traceback" in log.read_text()
    monkeypatch.setenv("OVERNIGHT_LOG_LEVEL", "debug")
    assert run(["list"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_help_names_the_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f" {command} " in shown
    for words in ("Exit codes", "130 detached", "5 paused", "6 not ready"):
        assert words in " ".join(shown.replace("\n", " ").split())
    for command in COMMANDS:
        assert run([command, "--help"]) == 0
        assert "TODO" not in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"overnight {VERSION}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--help"], ["run", "--help"], ["--version"]])
def test_help_is_quick_and_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from overnight.cli import run; code = run(sys.argv[1:]);"
        "heavy = {'temporalio', 'claude_agent_sdk', 'uvicorn', 'rich.live'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    environment = clean_environment(tmp_path)
    took = []
    for _ in range(3):
        before = getrusage(RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True)
        after = getrusage(RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stderr
    assert min(took) < 1.0  # of the processor; half a second on an idle machine
