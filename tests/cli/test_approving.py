"""A session in iterative mode as a person at a terminal has it: asked, answered, edited, and done."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import pytest

from tests.cli.support import VALIDATE, Cli, Done
from tests.planted import value_of

SECRET = value_of("github classic", 9)
ID = "asking-one"


def waits(cli: Cli, request: str) -> Done:
    """``watch --wait`` comes back when that is waited for."""
    seen = cli("watch", ID, "--wait")
    assert seen.code == 5, seen.out
    assert f"overnight approve {ID} {request}\n" in seen.out
    return seen


def refused(done: Done, words: str) -> None:
    assert done.code == 2, done.out
    assert words in " ".join(done.out.split())


def with_editor(cli: Cli, tmp_path: Path, old: str, new: str) -> Cli:
    """The same command line, for somebody whose editor replaces ``old``."""
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "text = file.read_text()\n"
        f"assert {old!r} in text, text\n"
        f"file.write_text(text.replace({old!r}, {new!r}))\n"
    )
    return Cli({**cli.environment, "VISUAL": f"{sys.executable} {editor}"}, cli.cwd)


@pytest.mark.chaos
def test_a_whole_session_with_a_person_at_a_terminal(cli: Cli, tmp_path: Path) -> None:
    began = cli("run", "Write it", "--id", ID, "--mode", "iterative", "--validate", VALIDATE, "--wait")
    assert began.code == 5, began.out + began.err
    assert "plan waits for approval since " in began.out
    assert f"overnight plan {ID}" in began.out

    # Through a pipe nobody approves.
    for command in (["approve", ID, "plan"], ["reject", ID, "plan", "--reason", "no"]):
        piped = cli(*command, given="y\n")
        assert (piped.code, "by a person at a terminal" in piped.err) == (2, True)

    # What is waited for is shown everywhere.
    assert f"`overnight approve {ID} plan`" in cli("status", ID).out
    assert f"{ID}: plan waits for approval since " in cli("list").out
    assert cli("resume", ID).code == 2
    plan = cli("plan", ID)
    assert plan.code == 0
    assert 'title = "Write the tool with tests and README"' in plan.out

    # Secrets stay out of it, and what is answered must be what waits.
    refused(cli.on_terminal("reject", ID, "plan", "--reason", f"use {SECRET}"), "reason: line 1 holds what looks like")
    file = tmp_path / "plan.toml"
    file.write_text(plan.out.replace("Write nightshift.py", f"Use {SECRET}"))
    refused(cli.on_terminal("approve", ID, "plan", "--plan", str(file)), "step 1, instructions: line 1 holds what")
    refused(cli.on_terminal("approve", ID, "iteration-1"), "iteration-1 does not wait for approval; what waits is plan")

    rejected = cli.on_terminal("reject", ID, "plan", answer="Say what it prints.\n")
    assert (rejected.code, "plan is rejected" in rejected.out) == (0, True), rejected.out
    again = cli.on_terminal("reject", ID, "plan", "--reason", "Say what it prints.")
    assert (again.code, "plan was rejected already" in again.out) == (0, True), again.out
    waits(cli, "plan-2")

    # A mistake in the edited file is told; a better edit is taken.
    left = with_editor(cli, tmp_path, "title", "title").on_terminal("approve", ID, "--edit", answer="n\n")
    assert "Nothing was changed. Approve it as it is?" in left.out
    broken = with_editor(cli, tmp_path, "title = ", "titel = ").on_terminal("approve", ID, "--edit", answer="n\n")
    assert "'titel' is not known" in broken.out
    assert "not approved" in broken.out
    edited = with_editor(cli, tmp_path, "Write the tool with tests and README", "All of it at once")
    approved = edited.on_terminal("approve", ID, "--edit")
    assert (approved.code, "plan-2 is approved as edited" in approved.out) == (0, True), approved.out

    seen = waits(cli, "iteration-1")
    assert "#1 All of it at once: " in seen.out
    asked = cli.on_terminal("approve", ID, answer="n\n")
    assert "Approve iteration-1 (iteration 1: 0 of 4 criteria met; next: fix: " in " ".join(asked.out.split())
    assert "nothing was answered" in asked.out
    assert cli.on_terminal("approve", ID, answer="y\n").code == 0
    waits(cli, "iteration-2")
    assert cli.on_terminal("approve", ID, "iteration-2").code == 0
    done = cli("watch", ID)
    assert done.code == 0, done.out
    report = cli("report", ID).out
    assert f"plan, rejected by {getpass.getuser()}@" in report
    assert "Say what it prints. (carried by the plan)" in report
