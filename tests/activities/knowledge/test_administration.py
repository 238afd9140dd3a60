"""What a person may ask of the store and do to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from activities.knowledge import Store
from tests.activities.knowledge.making import HERE, THERE, Place, approach, ask, cues, learn, solution, used
from workflows.contracts.knowledge import LINES_BYTES, MAX_PROBLEMS, Learning


def exported(store: Store, **more: Any) -> list[str]:
    """All lines, a page at a time."""
    lines: list[str] = []
    after = None
    while True:
        page = ask(store, "export", after=after, **more)
        assert len(page.lines.encode()) <= LINES_BYTES
        lines += page.lines.splitlines()
        after = page.next
        if after is None:
            return lines


def brought(store: Store, lines: list[str], **more: Any) -> tuple[int, int, list[str]]:
    reply = ask(store, "import", lines="\n".join(lines), **{"project": None, **more})
    return reply.changed, reply.skipped, reply.problems


def test_a_list_shows_the_newest_first_a_page_at_a_time(store: Store) -> None:
    learn(store, *(approach(f"lesson {number}") for number in range(5)))
    learn(store, approach("elsewhere"), project=THERE)
    seen: list[str] = []
    after = None
    for _ in range(3):
        page = ask(store, "list", limit=2, after=after)
        seen += cues(page.hits)
        after = page.next
    assert seen == [f"lesson {number}" for number in (4, 3, 2, 1, 0)]
    assert after is None
    assert cues(ask(store, "list", project=None, across=True, limit=1).hits) == ["elsewhere"]
    assert cues(ask(store, "list", project=None).hits) == []
    assert "that page is none" in ask(store, "list", after="x" * 40).problem


def test_an_entry_is_shown_by_the_beginning_of_its_id(store: Store) -> None:
    (id_,) = learn(store, solution(1, "try again")).saved
    shown = ask(store, "show", id=id_[:8])
    assert cues(shown.hits) == ["KeyError: 1"]
    assert shown.id == id_
    assert "no entry has an id that begins with ffffffff" in ask(store, "show", id="ffffffff").problem
    assert "say which entry" in ask(store, "show").problem


def test_a_beginning_that_several_have_is_asked_for_more(store: Store) -> None:
    entry = {"overnight_knowledge": 1, "project": HERE, "learning": approach("x").model_dump()}
    brought(store, [json.dumps(entry | {"id": f"abcd{n}" + "0" * 59}) for n in range(2)])
    assert "several entries" in ask(store, "show", id="abcd").problem
    assert ask(store, "show", id="abcd1").id == "abcd1" + "0" * 59


def test_what_a_person_adds_says_so_and_to_whom(store: Store) -> None:
    added = ask(store, "add", learning=Learning(kind="memory", title="", cue="\nrun the tests\nhere", advice="make t"))
    (hit,) = added.hits
    assert (hit.entry.source, hit.entry.project, hit.entry.learning.title) == ("person", HERE, "run the tests")
    assert ask(store, "add", project=None, learning=approach("x"), everywhere=True).hits[0].entry.project is None
    assert "for which project" in ask(store, "add", project=None, learning=approach("x")).problem
    assert "the advice is empty" in ask(store, "add", learning=approach("x", " \n")).problem
    assert "the cue is empty" in ask(store, "add", learning=approach(" ", "x")).problem
    assert "the advice is empty" in ask(store, "add").problem
    assert ask(store, "stats").counts["total"] == 2


def test_an_edit_keeps_the_id_and_gives_it_another_try(store: Store) -> None:
    lesson = approach("add a login page", "Use cookies.")
    (id_,) = learn(store, lesson).saved
    used(store, id_, "night-2", "night-3", worked=False)
    edited = ask(store, "edit", id=id_[:10], learning=approach("add a login page", "Use sessions."))
    assert edited.id == id_
    (entry,) = store.get([id_])
    assert (entry.learning.advice, entry.failed, entry.failed_in_a_row) == ("Use sessions.", 2, 0)
    assert learn(store, lesson).saved == [id_]
    assert store.get([id_])[0].learning.advice == "Use sessions.", "a retried activity does not undo a person's edit"
    assert store.search_lexical("cookies", HERE) == []
    assert cues(store.search_lexical("sessions", HERE)) == ["add a login page"]


def test_what_a_person_makes_of_it_is_their_own_word(store: Store) -> None:
    """Whatever became of the words before: that it led nowhere was said of those."""
    (id_,) = learn(store, approach("login", "Delete the tests.", worked=False)).saved
    retitled = approach("login", "Delete the tests.", worked=False).model_copy(update={"title": "Login"})
    ask(store, "edit", id=id_, learning=retitled)
    (entry,) = store.get([id_])
    assert (entry.source, entry.learning.worked) == ("night-1", False), "another title says nothing new"
    ask(store, "edit", id=id_, learning=approach("login", "Use sessions.", worked=False))
    (entry,) = store.get([id_])
    assert (entry.source, entry.learning.worked) == ("person", True)
    ask(store, "add", learning=approach("login", "Delete the tests.", worked=False))
    (again,) = learn(store, approach("logout", "Delete the tests.", worked=False)).saved
    ask(store, "add", learning=approach("logout", "Delete the tests."))
    assert store.get([again])[0].learning.worked


def test_what_becomes_of_the_words_before_does_not_count_for_a_persons(store: Store) -> None:
    lesson = approach("login", "Use cookies.", worked=False, commit="ab" * 20)
    (id_,) = learn(store, lesson).saved
    ask(store, "edit", id=id_, learning=approach("login", "Use sessions.", commit="ab" * 20))
    for night in range(2, 5):
        assert learn(store, lesson, session=f"night-{night}").saved == [id_]
    (entry,) = store.get([id_])
    assert (entry.failed, entry.failed_in_a_row, entry.learning.commit) == (0, 0, None)


def test_what_was_edited_is_not_taken_for_what_it_was(store: Store) -> None:
    (id_,) = learn(store, approach("login", "Use cookies.")).saved
    ask(store, "edit", id=id_, learning=approach("login", "Use sessions."))
    refused = ask(store, "add", learning=approach("login", "Use cookies."))
    assert f"was edited since: `overnight knowledge edit {id_[:12]}`" in refused.problem
    assert store.get([id_])[0].learning.advice == "Use sessions."


@pytest.mark.parametrize("kind", ["memory", "recovery"])
def test_what_is_of_one_project_is_not_for_all(store: Store, kind: str) -> None:
    """No session would be told it: neither the others, nor those of the project that it was taken from."""
    (id_,) = learn(store, approach("how to set it up", "`make`", kind=kind)).saved
    why = f"a {kind} is of one project"
    assert why in ask(store, "edit", id=id_, project=None, everywhere=True).problem
    assert why in ask(store, "add", learning=approach("x", kind=kind), project=None, everywhere=True).problem
    _, _, (problem,) = brought(
        store, [line(project=None, learning=approach("x", kind=kind).model_dump())], everywhere=True
    )
    assert why in problem
    assert store.get([id_])[0].project == HERE


def test_a_memory_that_would_be_cut_is_refused(store: Store) -> None:
    long = approach("how to set it up", "x" * 241, kind="memory")
    assert "a memory is told in 240 bytes at most, and this advice has 241" in ask(store, "add", learning=long).problem
    id_ = ask(store, "add", learning=approach("how to set it up", "x" * 240, kind="memory")).id
    assert "240 bytes at most" in ask(store, "edit", id=id_, learning=long).problem


def test_only_a_person_lets_every_project_use_an_entry(store: Store) -> None:
    (id_,) = learn(store, approach("login")).saved
    assert "what it is to become" in ask(store, "edit", project=None, id=id_).problem
    assert ask(store, "edit", id=id_, everywhere=True).changed == 1
    assert cues(store.search_lexical("login", THERE)) == ["login"]
    learn(store, approach("login"))
    assert store.get([id_])[0].project is None
    ask(store, "edit", id=id_, project=THERE)
    assert store.search_lexical("login", HERE) == []


def test_what_is_forgotten_is_gone_and_no_session_brings_it_back(place: Place) -> None:
    store = place.open()
    lesson = approach("zanzibar expedition", "Pack quinine.")
    gone, kept = learn(store, lesson, approach("kept")).saved
    assert ask(store, "forget", id=gone).changed == 1
    assert store.get([gone]) == []
    assert store.search_lexical("zanzibar", HERE) == []
    assert learn(store, lesson, approach("kept")).saved == [kept], "a retried activity"
    assert learn(store, lesson, session="night-2").saved == []
    assert ask(store, "stats").counts["forgotten"] == 1
    for file in (place.home / "knowledge").glob("*"):
        assert b"zanzibar" not in file.read_bytes(), file
        assert b"quinin" not in file.read_bytes(), file
    assert ask(store, "add", learning=lesson).id == gone
    assert learn(store, lesson).saved == [gone], "a person wants it again"


def test_an_export_makes_the_same_store_elsewhere(store: Store, tmp_path: Any) -> None:
    failed, *_ = learn(store, approach("a\u2028b \"q\" 'ü' \\n", seconds=3.5), solution(1, "x"), approach("c")).saved
    used(store, failed, "night-2", "night-3", worked=False)
    learn(store, approach("private"), project=THERE)
    ask(store, "add", learning=approach("for all"), everywhere=True)
    lines = exported(store, project=None, across=True)
    assert len(lines) == 5
    other = Place(tmp_path / "other").open()
    assert brought(other, lines, everywhere=True) == (5, 0, [])
    assert brought(other, lines, everywhere=True) == (0, 5, []), "again changes nothing"
    same = {"updated"}
    before = [json.loads(line) for line in lines]
    after = [json.loads(line) for line in exported(other, project=None, across=True)]
    assert [{k: v for k, v in one.items() if k not in same} for one in before] == [
        {k: v for k, v in one.items() if k not in same} for one in after
    ]
    assert cues(other.search_lexical("private", HERE)) == []
    assert len(exported(store)) == 4, "its own and what is everywhere"


def test_a_large_export_comes_in_pages(store: Store) -> None:
    for night in range(3):
        long = [approach(f"{night} {number} " + '"\\' * 900, "ü" * 500) for number in range(20)]
        learn(store, *long, session=f"night-{night}")
    lines = exported(store)
    assert len(set(lines)) == 60


def line(**more: Any) -> str:
    return json.dumps({"overnight_knowledge": 1, "project": HERE, "learning": approach("ok").model_dump(), **more})


TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
BAD = {
    "{": "it is no JSON",
    "[1]": "it is no JSON object",
    "{}": 'it has no "overnight_knowledge": 1',
    line(overnight_knowledge=2): "it is of version 2, and this Overnight reads up to 1: upgrade it",
    line(overnight_knowledge=True): "it has no",
    line(learning={"kind": "spell"}): "learning.kind: must be one of 'approach'",
    line(learning=None): "learning: ",
    line(id="nope"): "id: has a character or a form",
    line(project="a/b"): "project: has a character or a form",
    line(worked=-1): "worked: must be at least 0",
    line(worked=10**30): "worked: ",
    line(created="never"): "created: ",
    line(created=1e308): "created: ",
    line(learning=approach("x", " ").model_dump()): "learning.advice: it is empty",
    line(learning=approach("x").model_dump() | {"cue": "\t"}): "learning.cue: it is empty",
    line(learning=approach("x").model_dump() | {"cue": "x" * 2_001}): "learning.cue: it is too long",
    line(learning=approach("x").model_dump() | {"advice": "ü" * 601}): "learning.advice: it is too long",
    line(learning=approach("x").model_dump() | {"title": "x" * 201}): "learning.title: it is too long",
    line(source=TOKEN): "source: it holds what looks like a secret",
    line(project=TOKEN): "project: it holds what looks like a secret",
    line(padding="x" * 40_000): "it is longer than",
    "[" * 30_000: "it is no JSON",
    '{"overnight_knowledge": NaN}': "it has no",
}


def test_bad_lines_are_told_by_number_and_keep_no_other_out(store: Store) -> None:
    said = {}
    for bad, why in BAD.items():
        reply = ask(store, "import", project=None, lines=f"{bad}\n\n{line()}", first_line=41)
        (problem,) = reply.problems
        assert problem.startswith(f"line 41: {why}"), problem
        said[bad] = reply.changed + reply.skipped
    assert set(said.values()) == {1}
    assert ask(store, "stats").counts["total"] == 1


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", 10**11, None])
def test_a_strange_date_does_no_harm(store: Store, created: Any) -> None:
    assert brought(store, [line(created=created)]) == (1, 0, [])
    (hit,) = ask(store, "list").hits
    assert 1970 <= hit.entry.created.year < 9999
    assert hit.entry.created <= hit.entry.updated


def test_a_secret_that_would_be_cut_in_two_is_not_kept_by_half(store: Store) -> None:
    """Half of it looks like none, and is half of a secret all the same."""
    cut = approach("x").model_dump() | {"advice": "x" * 1_175 + " " + TOKEN}
    assert brought(store, [line(learning=cut)])[0] == 0
    assert TOKEN[:20] not in ask(store, "export").lines


def test_many_bad_lines_are_counted(store: Store) -> None:
    reply = ask(store, "import", lines="{\n" * 100)
    assert (len(reply.problems), reply.more_problems) == (MAX_PROBLEMS, 100 - MAX_PROBLEMS)


def test_nothing_becomes_global_unless_a_person_says_so(store: Store) -> None:
    lines = [line(project=None)]
    changed, _, (problem,) = brought(store, lines)
    assert changed == 0
    assert "it is for every project: allow that (--everywhere)" in problem
    assert brought(store, lines, project=HERE) == (1, 0, [])
    assert brought(store, lines, project=HERE) == (0, 1, [])
    assert [hit.entry.project for hit in ask(store, "list").hits] == [HERE]
    assert brought(store, lines, everywhere=True) == (1, 0, [])
    assert brought(store, [line(project=THERE)], everywhere=True) == (1, 0, [])
    assert ask(store, "stats", project=None).counts["everywhere"] == 1, "what is a project's stays a project's"


def test_an_import_goes_where_a_person_says(store: Store) -> None:
    assert brought(store, [line(project=THERE, id="ab" * 32)], project=HERE) == (1, 0, [])
    (hit,) = ask(store, "list").hits
    assert hit.entry.project == HERE
    assert hit.entry.id != "ab" * 32, "that one is the other project's"


def test_an_import_takes_secrets_out_and_lets_what_is_there_alone(place: Place) -> None:
    store = place.open(known=["correct-horse-battery-staple"])
    (id_,) = learn(store, approach("mine")).saved
    stranger = approach("log in as correct-horse-battery-staple").model_dump()
    lines = [line(learning=stranger), line(id=id_, learning=approach("theirs").model_dump())]
    assert brought(store, lines) == (1, 1, [])
    assert store.get([id_])[0].learning.cue == "mine"
    assert "correct-horse" not in "".join(exported(store))


def test_what_was_forgotten_comes_back_only_when_asked_for(store: Store) -> None:
    (id_,) = learn(store, approach("login")).saved
    lines = exported(store)
    ask(store, "forget", id=id_)
    reply = ask(store, "import", lines="\n".join(lines))
    assert (reply.changed, reply.skipped) == (0, 1)
    assert "1 of them were forgotten here" in reply.note
    assert brought(store, lines, restore=True) == (1, 0, [])
    assert learn(store, approach("login")).saved == [id_]


def test_counts_say_what_there_is_and_where(place: Place) -> None:
    store = place.open()
    learn(store, approach("a"), approach("b", kind="memory"))
    learn(store, approach("c"), project=THERE)
    ask(store, "add", learning=approach("d"), everywhere=True)
    here, all_ = ask(store, "stats"), ask(store, "stats", project=None, across=True)
    assert here.counts == {"approach": 2, "memory": 1, "total": 3, "everywhere": 1, "projects": 1, "forgotten": 0}
    assert (all_.counts["total"], all_.counts["projects"]) == (4, 2)
    assert here.where.startswith("postgresql://" if place.url else str(place.home)[:60])


@pytest.mark.parametrize("do", ["search", "list", "show", "forget", "edit", "export", "import", "stats", "add"])
def test_an_empty_store_answers_everything(store: Store, do: str) -> None:
    reply = ask(store, do)
    assert reply.hits == []
    assert reply.changed == 0


def test_no_field_of_an_import_carries_a_secret(store: Store) -> None:
    key = TOKEN
    prints = {"exact": "v1:1", "template": "v1:2", "kind": key}
    learning = {"kind": "error_solution", "title": "t", "cue": "c", "advice": "a", "task_type": key}
    line = json.dumps({"overnight_knowledge": 1, "learning": {**learning, "fingerprint": prints}, "project": HERE})
    assert ask(store, "import", lines=line).changed == 1
    assert key not in ask(store, "export").lines
    (hit,) = ask(store, "list").hits
    assert (hit.entry.learning.task_type, hit.entry.learning.fingerprint) == ("other", None)
