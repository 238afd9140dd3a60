"""Knowledge as a person at a terminal has it: taught by a session, looked at, mended, shared, forgotten, moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Finished
from tests.cli.support import Cli, Done, eventually
from tests.cli.test_approving import with_editor
from tests.planted import value_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

SECRET = value_of("github classic", 11)
LISTED = "knowledge", "list"


def entries(cli: Cli, *more: str) -> list[dict[str, object]]:
    done = cli(*LISTED, "--json", *more)
    assert done.code == 0, done.out + done.err
    return [hit["entry"] for hit in json.loads(done.out)["hits"]]


def refused(done: Done, words: str) -> None:
    assert done.code == 2, done.out + done.err
    assert words in " ".join((done.out + done.err).split())


@pytest.mark.timeout(300)
def test_a_session_taught_it_and_a_person_finds_it(cli: Cli, finished: Finished) -> None:
    taught = [one for one in entries(cli, "--project", str(finished.project)) if one["source"] == finished.id]
    kinds = {one["learning"]["kind"] for one in taught}  # type: ignore[index]
    assert {"approach", "error_solution", "memory"} <= kinds
    status = cli("status", finished.id)
    assert "learnings of this session kept" in status.out
    again = cli("learn", finished.id, "--json")
    learned = json.loads(again.out)
    assert set(learned["saved_ids"]) == {one["id"] for one in taught}, "it was kept when the session ended"
    assert learned["successful_patterns"][0]["iterations"] == 2
    assert [one["solution_worked"] for one in learned["error_patterns"]] == [True]
    assert learned["time_per_task_type"]
    told = cli("learn", finished.id)
    assert "2 iterations" in told.out
    assert "mended: " in told.out

    found = eventually(lambda: _found(cli("knowledge", "search", "Write nightshift.py", "--kind", "approach")))
    short = found.split()[0]
    shown = cli("knowledge", "show", short)
    assert f"session {finished.id}" in shown.out
    assert "Mended on the way: " in shown.out
    assert " search" in cli("knowledge").out


@pytest.mark.timeout(300)
def test_a_person_asks_how_to_go_about_a_goal(cli: Cli, finished: Finished) -> None:
    here = ("--project", str(finished.project))
    (known,) = [one for one in entries(cli, *here, "--kind", "approach") if one["source"] == finished.id]
    goal = known["learning"]["cue"]  # type: ignore[index]
    told = eventually(lambda: _answered(cli("knowledge", "suggest", goal, *here)))
    assert f"from {finished.id}):" in told
    assert "Mended on the way: " in told
    assert "active minutes" in told
    assert "watch out: " in told
    assert "as a rule:" in told
    found = cli("knowledge", "suggest", goal, *here, "--json").json
    assert found["sources"] == [finished.id]
    assert found["estimated_time"]["sessions"] == 1
    strange = cli("knowledge", "suggest", "Simulate the orbit of a comet", *here)
    assert "no session had such a goal" in strange.out
    (mended, *_) = [one for one in entries(cli, *here, "--kind", "error_solution") if one["source"] == finished.id]
    error = mended["learning"]["cue"]  # type: ignore[index]
    solved = cli("knowledge", "suggest", "--error", error, *here)
    assert f"from {finished.id} " in solved.out, solved.err
    nothing = cli("knowledge", "suggest", "--error", "Segmentation fault")
    assert "nothing is known that mended such an error" in nothing.err
    refused(cli("knowledge", "suggest", " "), "there is nothing to look for")


def _answered(done: Done) -> str:
    """What was said; empty while the model is being loaded."""
    assert done.code == 0 or (done.code, "being loaded" in done.err) == (6, True), done.err
    return done.out


def _found(done: Done) -> str:
    """The first line of what a search found; empty while the model is being loaded."""
    assert done.code == 0 or (done.code, "being loaded" in done.err) == (6, True), done.err
    return done.out.splitlines()[0] if done.code == 0 and done.out else ""


@pytest.mark.timeout(300)
def test_a_person_adds_edits_shares_forgets(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    words = ("--title", "Ask Ada first", "--cue", "Change the billing rules", "--advice", "Ada knows the tax tables.")
    refused(cli("knowledge", "add", *words), "say whom it is for")
    refused(cli("knowledge", "add", "--everywhere", "--title", "t", "--cue", "c", "--advice", SECRET), "advice: line 1")
    added = cli("knowledge", "add", "--project", str(finished.project), *words, "--json")
    assert added.code == 0, added.out + added.err
    name = json.loads(added.out)["id"][:10]

    # Without a terminal there is no editor, and nobody can be asked.
    refused(cli("knowledge", "edit", name), "the editor needs a terminal")
    refused(cli("knowledge", "forget", name), "--yes says that you mean it")
    edited = with_editor(cli, tmp_path, "tax tables", "tax tables and the rates").on_terminal("knowledge", "edit", name)
    assert (edited.code, "is changed" in edited.out) == (0, True), edited.out
    assert "tax tables and the rates" in cli("knowledge", "show", name).out
    broken = with_editor(cli, tmp_path, "advice = ", "advise = ").on_terminal("knowledge", "edit", name, answer="n\n")
    assert "'advise' is not known" in broken.out

    shared = cli("knowledge", "share", name, "--yes")
    assert (shared.code, "for every project now" in shared.out) == (0, True), shared.out + shared.err
    assert json.loads(cli("knowledge", "show", name, "--json").out)["project"] is None
    assert cli("knowledge", "forget", name, "--yes").code == 0
    refused(cli("knowledge", "show", name), "no entry has an id")


@pytest.mark.timeout(300)
def test_it_is_moved_as_json_lines(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    file = tmp_path / "known.jsonl"
    assert cli("knowledge", "export", str(file)).code == 0
    lines = file.read_text().splitlines()
    assert cli("knowledge", "export", "-", cwd=tmp_path).out == file.read_text()
    refused(cli("knowledge", "export", str(file)), "--force writes over it")
    assert cli("knowledge", "export", str(file), "--force").code == 0
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    assert file.stat().st_mode & 0o077 == 0, "it has what every project taught"
    assert len(lines) >= len(entries(cli, "--project", str(finished.project)))
    same = cli("knowledge", "import", str(file), "--json")
    assert same.code == 0, same.out + same.err
    assert json.loads(same.out)["changed"] == 0
    # A character that some programs take for the end of a line is none in JSON.
    odd = json.loads(lines[0]) | {"id": None}
    odd["learning"] |= {"cue": "Change the\u2028umlauts", "fingerprint": None}
    file.write_text("\n".join([lines[0], "{not json", json.dumps(odd, ensure_ascii=False), ""]))
    bad = cli("knowledge", "import", str(file))
    assert bad.code == 2
    assert "line 2: it is no JSON" in bad.err
    assert "1 entry taken in, 1 there already or forgotten, 1 bad" in bad.out
    assert "line 1" not in bad.err


@pytest.mark.timeout(300)
def test_a_project_is_named_from_where_the_person_stands(cli: Cli, finished: Finished) -> None:
    here = finished.project
    words = ("--title", "Ask Bo", "--cue", "Change the tariffs", "--advice", "Bo knows the tariffs.")
    added = cli("knowledge", "add", "--project", ".", *words, "--json", cwd=here)
    assert added.code == 0, added.out + added.err
    name = added.json["id"]
    listed = cli(*LISTED, "--project", f"../{finished.project.name}", "--json", cwd=here)
    assert name in [hit["entry"]["id"] for hit in listed.json["hits"]], listed.err
    found = eventually(lambda: _found(cli("knowledge", "search", "tariffs", "--project", ".", cwd=here)))
    assert found.startswith(name[:12])
    exported = cli("knowledge", "export", "--project", ".", cwd=here)
    assert name in [line["id"] for line in exported.lines], exported.err
    (line,) = [line for line in exported.out.splitlines() if name in line]
    again = cli("knowledge", "import", "-", "--project", ".", "--json", given=line, cwd=here)
    assert (again.code, again.json["skipped"]) == (0, 1), again.err
    assert cli("knowledge", "forget", name, "--yes").code == 0


def test_a_session_that_runs_teaches_when_it_ends(cli: Cli, slow: str) -> None:
    refused(cli("learn", slow), "it learns by itself when it ends")
    assert cli("learn", "nobody-here").code == 3
