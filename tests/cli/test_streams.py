"""Output that nobody takes, on a full disk or by a reader that left: words or silence, never an internal error."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Finished
from tests.cli.support import OVERNIGHT, Cli, clean_environment

FULL = "/dev/full"


def shell(line: str, cli: Cli, **more: str) -> subprocess.CompletedProcess[str]:
    """``line`` as a person types it, with ``$0`` for overnight."""
    program = " ".join(OVERNIGHT)
    return subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {line.replace('$0', program)}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**cli.environment, **more},
        cwd=cli.cwd,
        timeout=90,
    )


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def alone(tmp_path: Path, request: pytest.FixtureRequest) -> Cli:
    """A command line without any engine; where output is buffered, it fails later."""
    environment = clean_environment(tmp_path / "home", ANTHROPIC_API_KEY="k", PYTHONUNBUFFERED=request.param)
    return Cli(environment, tmp_path)


TOLD = "error: the output could not be written (No space left on device); what the command did is done all the same\n"


@pytest.mark.parametrize("command", ["--help", "--version", "down", "down --json", "run --help"])
def test_a_full_disk_is_told(alone: Cli, command: str) -> None:
    done = shell(f"$0 {command} > {FULL}", alone)
    assert (done.returncode, done.stderr) == (74, TOLD)


def test_an_error_that_cannot_be_written_keeps_its_words_or_says_so(alone: Cli) -> None:
    done = shell(f"$0 run '' > {FULL}", alone)
    assert done.returncode == 2
    assert done.stderr.startswith("error: goal: ")
    done = shell(f"$0 run '' --json > {FULL}", alone)
    assert (done.returncode, done.stderr) == (74, TOLD)
    done = shell(f"$0 run '' 2> {FULL}", alone)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$0 --version >&-", 0),
        ("$0 down >&- 2>&-", 0),
        ("$0 --help 2>&-", 0),
        ("$0 run '' >&- 2>&-", 2),
        ("$0 run - <&-", 2),
        ("$0 cancel x <&-", 2),
        ("$0 limits x --max-cost 1 <&-", 2),
    ],
)
def test_a_closed_stream_is_no_internal_error(alone: Cli, line: str, code: int) -> None:
    done = shell(line, alone)
    assert done.returncode == code, done.stderr
    assert "unexpected" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["$0 run -", "$0 steer x -"])
def test_input_that_is_no_text_is_told(alone: Cli, line: str) -> None:
    done = shell(f"printf 'a\\377b' | {line}", alone, LC_ALL="C.UTF-8")
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input is no text in UTF-8" in done.stderr
    assert not (alone.cwd / "home").exists(), "nothing was started for it"


@pytest.mark.parametrize(
    "command", ["run x --project .", "run x --held-out ./a --held-out-command true", "mcp install claude-code"]
)
def test_a_folder_that_is_gone_is_no_internal_error(alone: Cli, command: str) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && $0 {command}", alone)
    assert done.returncode == 2, done.stderr
    assert "unexpected" not in done.stderr
    assert not (alone.cwd / "home").exists(), "nothing was started for it"


@pytest.mark.parametrize("line", ["$0 run - <&-", "$0 steer x - <&-"])
def test_a_closed_input_that_was_to_be_read_is_named(alone: Cli, line: str) -> None:
    assert "standard input is closed" in shell(line, alone).stderr
    empty = shell(line.replace("<&-", "</dev/null"), alone)
    assert (empty.returncode, "standard input is empty" in empty.stderr) == (2, True)
    assert not (alone.cwd / "home").exists(), "nothing was started for it"


def test_a_reader_that_left_ends_it_in_silence(alone: Cli) -> None:
    for line in ("$0 --help | true", "$0 run '' --json | true", "$0 run '' 2>&1 | true"):
        done = shell(line, alone)
        assert done.returncode in (0, 2, 141), done.stderr
        assert done.stderr == ""


@pytest.mark.parametrize(
    "command", ["list", "list --json", "status {}", "report {}", "diff {}", "watch {}", "events {}"]
)
def test_what_is_known_of_sessions_on_a_full_disk(cli: Cli, finished: Finished, command: str) -> None:
    done = shell(f"$0 {command.format(finished.id)} > {FULL}", cli)
    assert (done.returncode, done.stderr) == (74, TOLD)
    closed = shell(f"$0 {command.format(finished.id)} >&-", cli)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_the_first_line_of_a_list(cli: Cli, finished: Finished) -> None:
    for _ in range(5):
        done = shell("$0 list | head -1", cli)
        assert done.returncode in (0, 141)
        assert done.stdout.startswith("session")
        assert done.stderr == ""


def test_ctrl_c_while_it_is_imported_ends_it_without_a_word(alone: Cli) -> None:
    """Before it listens: a library takes its time."""
    (alone.cwd / "pydantic_settings.py").write_text("import time\nprint('imported', flush=True)\ntime.sleep(60)\n")
    path = f"{alone.cwd}:{alone.environment['PYTHONPATH']}"
    slow = Cli({**alone.environment, "PYTHONPATH": path}, alone.cwd).start("list")
    assert slow.stdout is not None
    assert slow.stdout.readline() == "imported\n"
    slow.send_signal(signal.SIGINT)
    assert slow.communicate(timeout=60) == ("", "")
    assert slow.returncode == -signal.SIGINT
