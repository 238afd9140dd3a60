"""Messages to a running session, leaving it, and its ends other than success."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.support import VALIDATE, Cli, eventually, git, read_until


def status_of(cli: Cli, session: str) -> str:
    return str(cli("status", session, "--json").json["status"])


@pytest.mark.chaos
def test_ctrl_c_in_run_detaches_and_the_session_goes_on(cli: Cli) -> None:
    process = cli.start("run", "Take your time", "--id", "slow-run", "--validate", "true")
    try:
        read_until(process, "execute")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 130
        assert "the session goes on. Come back with: overnight watch slow-run" in told
        assert status_of(cli, "slow-run") == "running"
    finally:
        process.kill()
        process.communicate()
        assert cli("cancel", "--yes", "slow-run").code == 0


def test_ctrl_c_in_watch_detaches_and_the_session_goes_on(cli: Cli, slow: str) -> None:
    process = cli.start("watch", slow, "--json")
    try:
        read_until(process, '"type":')
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=120)
        assert process.returncode == 130
        assert '"type": "detached"' in out.splitlines()[-1]
        assert told == ""
        assert status_of(cli, slow) == "running"
    finally:
        process.kill()
        process.communicate()


def test_pause_steer_resume(cli: Cli, slow: str) -> None:
    assert cli("pause", slow, "--now", "--reason", "let me look").code == 0
    waited = cli("watch", slow, "--wait", "--json")
    assert waited.code == 5
    end = waited.lines[-1]
    assert (end["type"], end["code"], end["status"]["status"]) == ("end", 5, "paused")
    assert "let me look" in end["status"]["reason"]
    waited_out = cli("watch", slow, "--wait").out
    assert waited_out.count(f"overnight resume {slow}") == 1
    watching = cli.start("watch", slow)
    read_until(watching, f"overnight resume {slow}")
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=120)

    steered = cli("steer", slow, "Use argparse.", "--now", "--json").json
    assert steered["accepted"]
    assert "goes on when it is resumed" in steered["next"]
    known = cli("status", slow, "--json").json
    assert [item["text"] for item in known["guidance"] if item["id"] == steered["guidance_id"]] == ["Use argparse."]
    assert "guidance: Use argparse." in cli("status", slow).out
    assert cli("steer", slow, "").code == 2

    resumed = cli("resume", slow)
    assert (resumed.code, f"{slow}: It goes on." in resumed.out) == (0, True)
    eventually(lambda: status_of(cli, slow) == "running", what="going on")


def test_cancel_without_a_terminal_wants_yes(cli: Cli, slow: str) -> None:
    refused = cli("cancel", slow)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert status_of(cli, slow) == "running"


def test_cancel_asks_on_a_terminal(cli: Cli, slow: str) -> None:
    asked = cli.on_terminal("cancel", slow, answer="n\n")
    assert asked.code == 0
    assert f"End {slow}?" in asked.out
    assert "not cancelled" in asked.out
    assert status_of(cli, slow) == "running"


@pytest.mark.chaos
def test_a_cancelled_session_ends_with_1(cli: Cli) -> None:
    assert cli("run", "x", "--id", "slow-cancel", "--validate", "true", "--detach").code == 0
    sent = cli("cancel", "--yes", "slow-cancel", "--reason", "enough", "--json").json
    assert (sent["session_id"], sent["accepted"]) == ("slow-cancel", True)
    seen = cli("watch", "slow-cancel")
    assert seen.code == 1
    assert "cancelled: enough" in seen.out
    again = cli("cancel", "--yes", "slow-cancel", "--json").json
    assert again["accepted"] is False
    late = cli("pause", "slow-cancel")
    assert late.code == 2
    assert "is over and takes no more messages" in late.err


@pytest.mark.chaos
def test_a_limit_pauses_and_a_person_at_a_terminal_raises_it(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "-", "--id", "limited", "--validate", VALIDATE, "--max-iterations", "1", "--wait", given="x\n")
    assert done.code == 5
    assert "project: a new project" in done.err
    for words in ("session limited started", "FAILED (failures=2)", "overnight limits limited"):
        assert words in done.out
    assert "paused: limit: iterations: 1 of 1 are done" in done.out

    refused = cli("limits", "limited", "--max-iterations", "5", given="")
    assert refused.code == 2
    assert "a person at a terminal" in refused.err
    assert status_of(cli, "limited") == "paused"

    nowhere = cli("rollback", "limited", "2")
    assert nowhere.code == 2
    assert "iteration 2 has no checkpoint; there are those of iterations 0 to 1" in nowhere.err
    back = cli("rollback", "limited", "1")
    assert back.code == 0
    assert "limited goes back to the checkpoint of iteration 1, with a new commit on its branch" in back.out

    bad = cli.on_terminal("limits", "limited", "--max-iterations", "0")
    assert bad.code == 2
    assert "--max-iterations: must be at least 1" in bad.out
    spent = cli.on_terminal("limits", "limited", "--max-iterations", "5", "--max-cost", "0.0001")
    assert spent.code == 2
    assert "--max-cost: $" in spent.out
    assert " is spent already, give more" in " ".join(spent.out.split())
    assert status_of(cli, "limited") == "paused"
    raised = cli.on_terminal("limits", "limited", "--max-iterations", "5", "--max-cost", "7")
    assert raised.code == 0
    assert "limited: $7.00, 5 iterations" in raised.out
    assert "now running" in " ".join(raised.out.split())
    assert cli("watch", "limited", "--wait").code == 0
    # A new project has no repository yet: its branch comes as one.
    assert cli("checkout", "limited", cwd=tmp_path).code == 0
    assert git(tmp_path / "limited", "log", "-1", "--format=%s").startswith("fix: ")


@pytest.mark.chaos
def test_a_limit_that_fails_ends_with_1(cli: Cli) -> None:
    done = cli(
        *(
            "run",
            "x",
            "--id",
            "failing",
            "--validate",
            VALIDATE,
            "--max-iterations",
            "1",
            "--on-limit",
            "fail",
            "--json",
        )
    )
    assert done.code == 1
    assert done.lines[-1]["status"]["status"] == "failed"
