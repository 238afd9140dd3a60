"""A session from start to finish, and what the commands show of it afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Finished
from tests.cli.support import OVERNIGHT, VALIDATE, Cli, eventually, git, make_project


def test_run_tells_its_story_as_json_lines(finished: Finished) -> None:
    kinds = [line["type"] for line in finished.lines]
    assert kinds[0] == "started"
    assert kinds[-1] == "end"
    assert {"event", "status"} <= set(kinds)
    assert finished.lines[0]["status"]["session_id"] == finished.id
    end = finished.lines[-1]
    assert (end["code"], end["status"]["status"], end["status"]["iteration"]) == (0, "completed", 2)
    events = [line["event"]["text"] for line in finished.lines if line["type"] == "event"]
    assert "#1: 0 of 4 criteria met" in events
    assert "#2: 4 of 4 criteria met" in events
    assert finished.told == ""


def test_the_person_s_project_is_bit_for_bit_untouched(finished: Finished) -> None:
    assert finished.untouched
    assert (finished.project / "count.txt").read_text() == "not committed\n"


def test_status(cli: Cli, finished: Finished) -> None:
    told = cli("status", finished.id, "--json").json
    assert (told["session_id"], told["status"], told["worker"]) == (finished.id, "completed", "online")
    assert told["validation_status"] == {"validation": True, "plan-2": True, "plan-3": True, "goal": True}
    assert told["sandbox"] == "bubblewrap, network: public"
    shown = cli("status", finished.id)
    assert shown.code == 0
    assert "SANDBOXED" not in shown.out
    for words in (
        "sandbox: bubblewrap, network: public",
        "completed",
        "iteration 2 of 50",
        "100 %",
        "judged met (high)",
        "exit code 0",
        told["monitor_url"],
    ):
        assert words in shown.out


def test_list(cli: Cli, finished: Finished) -> None:
    listed = cli("list", "--json", "--status", "completed").json
    (told,) = [one for one in listed if one["session_id"] == finished.id]
    assert (told["status"], told["iteration"], told["max_iterations"], told["progress"]) == ("completed", 2, 50, 100)
    # What Temporal's own list does not hold is not there: a default would be read as the truth.
    full = cli("status", finished.id, "--json").json
    assert {"max_cost_usd", "elapsed_minutes", "validation_status", "sandbox", "errors", "worker"} <= set(full)
    assert not {"max_cost_usd", "elapsed_minutes", "validation_status", "sandbox", "errors", "worker"} & set(told)
    shown = cli("list").out.splitlines()
    assert shown[0].split() == ["session", "status", "phase", "iteration", "progress", "cost", "started", "goal"]
    assert any(line.startswith(f"{finished.id} ") for line in shown)
    assert cli("list", "--json", "--status", "waiting_limit").json == []


def test_status_without_an_id_is_the_newest(cli: Cli, finished: Finished) -> None:
    newest = cli("list", "--json", "--limit", "1").json[0]["session_id"]
    assert cli("status", "--json").json["session_id"] == newest


def test_events(cli: Cli, finished: Finished) -> None:
    events = cli("events", finished.id, "--json").lines
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    later = cli("events", finished.id, "--after", "5").out.splitlines()
    assert len(later) == len(events) - 5
    assert "completed: every criterion is met" in later[-1]
    assert cli("events", finished.id, "--limit", "2", "--json").lines == events[-2:]


def test_report(cli: Cli, finished: Finished) -> None:
    report = cli("report", finished.id).out
    assert report.startswith("# Done: Write nightshift.py\n")
    assert "- Sandbox: bubblewrap, network: public\n" in report
    assert "Confirmed in a clean clone" in report
    assert cli("report", finished.id, "--json").json == {"session_id": finished.id, "report": report}
    on_terminal = cli.on_terminal("report", finished.id)
    assert on_terminal.code == 0
    assert "| criterion |" not in on_terminal.out


@pytest.mark.chaos
def test_diff_is_a_patch_of_the_session_s_own_work(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    patch = cli("diff", finished.id).out
    assert patch.startswith("diff --git a/.gitignore b/.gitignore\n")
    assert "\x1b" not in patch
    assert "count.txt" not in patch
    git(tmp_path, "clone", "-q", str(finished.project), "clone")
    subprocess.run(["git", "apply"], input=patch, text=True, cwd=tmp_path / "clone", check=True)
    assert (tmp_path / "clone" / "nightshift.py").is_file()

    assert "\x1b[" in cli.on_terminal("diff", finished.id).out
    only = cli("diff", finished.id, "README.md").out
    assert cli("diff", finished.id, "./README.md").out == only
    assert cli("diff", finished.id, ".").out == patch
    assert only.startswith("diff --git a/README.md")
    assert "nightshift.py b/" not in only
    stat = cli("diff", finished.id, "--stat").out.splitlines()
    assert stat[0].split() == [".gitignore", "added", "+1", "-0"]
    assert stat[-1].startswith("4 files changed, ")
    for arguments in (["no/such/file"], ["no/such/file", "--stat"]):
        nothing = cli("diff", finished.id, *arguments)
        assert (nothing.code, nothing.out) == (0, "")
        assert "nothing that changed is at no/such/file: paths count from the top of the project" in nothing.err
        assert f"overnight diff {finished.id} --stat" in nothing.err
    assert cli("diff", finished.id, "no/such/file", "--json").json["files"] == []
    answer = cli("diff", finished.id, "--stat", "--json").json
    assert (answer["session_id"], len(answer["files"]), answer["truncated"]) == (finished.id, 4, False)


def test_checkout_brings_the_branch_and_nothing_else(cli: Cli, finished: Finished) -> None:
    project, branch = finished.project, f"overnight/{finished.id}"
    before = (git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD"))
    taken = cli("checkout", finished.id, "--json").json
    assert (taken["branch"], taken["path"], taken["new"]) == (branch, str(project), False)
    assert taken["commit"] == git(project, "rev-parse", branch)
    assert (git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")) == before
    assert git(project, "merge-base", branch, "main") == before[1]

    again = cli("checkout", finished.id, cwd=project)
    assert again.code == 0
    assert again.out.splitlines()[-1].strip() == f"git switch {branch}"


def test_checkout_of_what_is_checked_out_already(cli: Cli, finished: Finished) -> None:
    project, branch = finished.project, f"overnight/{finished.id}"
    assert cli("checkout", finished.id).code == 0
    git(project, "worktree", "add", "-q", str(project.parent / "beside"), branch)
    try:
        assert cli("checkout", finished.id).code == 0
    finally:
        git(project, "worktree", "remove", "--force", str(project.parent / "beside"))


@pytest.mark.chaos
def test_checkout_into_a_project_without_files_says_how_to_look_at_it(cli: Cli, place: Path) -> None:
    bare = place / "bare.git"
    shutil.copytree(make_project(place / "not bare") / ".git", bare)
    git(bare, "config", "core.bare", "true")
    assert cli("run", "Write it", "--project", str(bare), "--validate", "true", "--id", "bare", "--json").code == 0
    taken = cli("checkout", "bare", "--json").json
    assert (taken["path"], taken["next"]) == (str(bare), f"git -C {bare} log overnight/bare")


def test_checkout_never_overwrites_a_branch_that_went_on(cli: Cli, finished: Finished) -> None:
    branch = f"overnight/{finished.id}"
    assert cli("checkout", finished.id).code == 0
    theirs = git(finished.project, "rev-parse", branch)
    tree = git(finished.project, "rev-parse", "main^{tree}")
    mine = git(finished.project, "commit-tree", tree, "-p", "main", "-m", "mine")
    git(finished.project, "update-ref", f"refs/heads/{branch}", mine)
    try:
        refused = cli("checkout", finished.id)
        assert refused.code == 2
        assert "has commits that the session's does not" in refused.err
        assert git(finished.project, "rev-parse", branch) == mine
    finally:
        git(finished.project, "update-ref", f"refs/heads/{branch}", theirs)


@pytest.mark.chaos
def test_checkout_gives_the_recorded_commit_though_somebody_has_moved_the_branch_on(
    cli: Cli, finished: Finished, tmp_path: Path
) -> None:
    branch, recorded = f"overnight/{finished.id}", cli("status", finished.id, "--json").json["commit"]
    vaults = Path(cli.environment["OVERNIGHT_HOME"], "vault").iterdir()
    [vault] = [place for place in vaults if git(place, "branch", "--list", branch)]
    tree = git(vault, "rev-parse", f"{recorded}^{{tree}}")
    git(vault, "config", "user.email", "somebody@example.org")
    git(vault, "config", "user.name", "Somebody")
    foreign = git(vault, "commit-tree", tree, "-p", recorded, "-m", "not the session's")
    elsewhere = git(vault, "commit-tree", tree, "-p", f"{recorded}^", "-m", "instead of the session's")
    diff = cli("diff", finished.id, "--json").json
    try:
        for tip, words in ((foreign, "1 of 1 later commits are somebody else's"), (elsewhere, "moved")):
            git(vault, "update-ref", f"refs/heads/{branch}", tip)
            done = cli("checkout", finished.id)
            assert done.code == 0, done.err
            assert words in done.err
            assert git(finished.project, "rev-parse", branch) == recorded
            cloned = cli("checkout", finished.id, "--into", str(tmp_path / tip), "--json").json
            assert (cloned["commit"], cloned["vault_tip"]) == (recorded, tip)
            assert words in cloned["warning"]
            assert git(tmp_path / tip, "rev-parse", "HEAD") == recorded
            assert git(tmp_path / tip, "status", "--porcelain") == ""
            assert cli("diff", finished.id, "--json").json == diff
    finally:
        git(vault, "update-ref", f"refs/heads/{branch}", recorded)
        git(vault, "config", "--remove-section", "user")
    assert cli("checkout", finished.id, "--json").json["warning"] == ""


def test_checkout_into_a_new_folder(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "new folder"
    done = cli("checkout", finished.id, "--into", str(target))
    assert done.code == 0, done.err
    assert f"cd '{target}'" in done.out
    assert git(target, "branch", "--show-current") == f"overnight/{finished.id}"
    assert git(target, "remote") == "overnight"
    subprocess.run(VALIDATE.split(), cwd=target, check=True, capture_output=True)
    refused = cli("checkout", finished.id, "--into", str(target))
    assert refused.code == 2
    assert "exists already" in refused.err


def test_checkout_into_a_place_that_is_none(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    for into in ("~nosuch/a", str(tmp_path / "file" / "a"), str(tmp_path / "circle" / "a"), "a" * 300):
        refused = cli("checkout", finished.id, "--into", into, cwd=tmp_path)
        assert refused.code == 2, refused.err
        assert "choose another place with --into PATH" in refused.err


def test_the_same_id_again_is_the_same_session(cli: Cli, finished: Finished) -> None:
    same = cli("run", "Write nightshift.py", "--id", finished.id, "--detach", "--json").json
    assert (same["status"], same["existed"]) == ("completed", True)
    told = cli("run", "Write nightshift.py", "--id", finished.id)
    assert told.code == 0
    assert "finished exists already; nothing was started" in told.out
    assert "  state    completed · " in told.out
    assert "session finished started" not in told.out
    assert "project:" not in told.err
    lines = cli("run", "Write nightshift.py", "--id", finished.id, "--json").lines
    assert lines[0]["type"] == "exists"
    assert finished.lines[0]["status"]["existed"] is False
    other = cli("run", "Something else", "--id", finished.id)
    assert other.code == 2
    assert other.err.startswith("error: --id: finished is taken by a session with another goal")


@pytest.mark.chaos
def test_the_network_of_a_session_is_told_from_its_start_on(cli: Cli) -> None:
    hosts = ["--allow-host", "pkgs.dev", "--allow-host", "*.nlibs.dev:443"]
    told = "bubblewrap, network: allow-list (pkgs.dev, *.nlibs.dev:443)"
    done = cli("run", "x", "--id", "slow-listed", "--detach", "--validate", "true", *hosts)
    try:
        assert done.code == 0, done.err
        assert f"  sandbox  {told}\n" in done.out
        assert "WARNING" not in done.err
        eventually(lambda: cli("status", "slow-listed", "--json").json["sandbox"] == told, what="the first call")
        assert f"- Sandbox: {told}\n" in cli("report", "slow-listed").out
    finally:
        assert cli("cancel", "--yes", "slow-listed").code == 0


def test_more_network_than_the_worker_allows_is_refused(cli: Cli, finished: Finished) -> None:
    done = cli("run", "x", "--id", "too-open", "--egress", "host")
    assert done.code == 2
    assert "error: --egress: the worker allows no more network than 'public'" in done.err
    assert "through Temporal every session" in done.err
    assert cli("status", "too-open").code == 3


def test_uncommitted_changes_are_named(cli: Cli, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    done = cli("run", "x", "--project", str(project), "--id", "slow-dirty", "--detach", "--validate", "true")
    try:
        assert done.code == 0
        assert f"project: {project} at main" in done.err
        assert "3 files have uncommitted changes, which are not part of the session" in done.err
        assert "overnight watch slow-dirty" in done.out
    finally:
        assert cli("cancel", "--yes", "slow-dirty").code == 0


def test_what_is_no_repository_is_refused(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    done = cli("run", "x", "--project", str(tmp_path))
    assert done.code == 2
    assert "is not a git repository" in done.err
    done = cli("run", "x", "--project", str(finished.project), "--ref", "no-such-branch")
    assert done.code == 2
    assert "no-such-branch" in done.err


def test_watching_what_is_over_shows_its_end(cli: Cli, finished: Finished) -> None:
    plain = cli("watch", finished.id)
    assert plain.code == 0
    assert "completed: every criterion is met" in plain.out
    live = cli.on_terminal("watch", finished.id)
    assert live.code == 0
    for words in ("✔", "plan-3", "judged met", "100 %", f"overnight checkout {finished.id}"):
        assert words in live.out
    lines = cli("watch", finished.id, "--json").lines
    assert lines[-1]["type"] == "end"


def test_a_reader_that_leaves_is_no_error(cli: Cli, finished: Finished) -> None:
    for arguments in (["list"], ["report", finished.id], ["--help"]):
        process = cli.start(*arguments)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) in (0, 141)
        process.stderr.close()


@pytest.mark.chaos
def test_list_ends_well_20_times(cli: Cli, finished: Finished) -> None:
    for _ in range(20):
        done = subprocess.run(
            [*OVERNIGHT, "list", "--json"], env=cli.environment, cwd=cli.cwd, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)
