"""What sessions teach is kept once, without secrets, with its record, for those who may see it."""

from __future__ import annotations

import time

import pytest

from activities.knowledge import Store
from tests.activities.knowledge.making import HERE, THERE, Place, approach, ask, cues, learn, used
from workflows.contracts.knowledge import Feedback

DAY_NS = 86_400 * 10**9


def test_the_same_request_twice_keeps_it_once(store: Store) -> None:
    lessons = [approach("add a login page"), approach("write a parser", seconds=12.5, commit="ab" * 20)]
    first, second = learn(store, *lessons), learn(store, *lessons)
    assert first == second
    assert [entry.learning for entry in store.get(first.saved)] == lessons
    assert [(e.worked, e.failed, e.source, e.project) for e in store.get(first.saved)] == [(0, 0, "night-1", HERE)] * 2
    assert ask(store, "stats").counts["total"] == 2


def test_the_same_learning_twice_in_a_request_is_one(store: Store) -> None:
    saved = learn(store, approach("add a login page"), approach("add a login page")).saved
    assert saved[0] == saved[1]
    assert ask(store, "stats").counts["total"] == 1


def test_another_session_that_learns_the_same_confirms_it(store: Store) -> None:
    (id_,) = learn(store, approach("add a login page", commit="ab" * 20)).saved
    for _ in range(2):
        learn(store, approach("add a login page", commit="cd" * 20), session="night-2")
    (entry,) = store.get([id_])
    assert (entry.worked, entry.failed, entry.source) == (1, 0, "night-1")
    assert entry.learning.commit == "cd" * 20, "the newest commit that it was true for"


def test_no_session_speaks_for_a_person_by_its_name(store: Store) -> None:
    (id_,) = learn(store, approach("add a login page"), session="person").saved
    learn(store, approach("add a login page"), session="person")
    (entry,) = store.get([id_])
    assert (entry.source, entry.worked) == ("session-person", 0)


def test_feedback_counts_once_for_each_session(store: Store) -> None:
    (id_,) = learn(store, approach("add a login page")).saved
    failed = used(store, id_, "night-2", "night-2", "night-3", worked=False)
    assert (failed.worked, failed.failed, failed.failed_in_a_row) == (0, 2, 2)
    unmoved = used(store, id_, "night-3", worked=True)
    assert unmoved.failed_in_a_row == 2, "the first word of a session holds"
    helped = used(store, id_, "night-4", worked=True)
    assert (helped.worked, helped.failed, helped.failed_in_a_row) == (1, 2, 0)


def test_what_failed_twice_in_a_row_is_still_shown(store: Store) -> None:
    bad, good = learn(store, approach("add a login page"), approach("add a login form")).saved
    used(store, bad, "night-2", "night-3", worked=False)
    used(store, good, "night-2", worked=False)
    assert len(store.search_lexical("login", HERE)) == 2


def test_feedback_on_what_is_gone_is_no_error(store: Store) -> None:
    assert learn(store, feedback=[Feedback(id="0" * 64, worked=True)]).saved == []


def test_secrets_are_taken_out_before_anything_is_stored(place: Place) -> None:
    store = place.open(known=["hunter2-hunter2-hunter2"])
    key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    (id_,) = learn(store, approach(f"deploy with {key}", "log in as hunter2-hunter2-hunter2")).saved
    added = ask(store, "add", learning=approach("deploy by hand", f"token is {key}"))
    lines = ask(store, "export").lines + "".join(entry.model_dump_json() for entry in store.get([id_, str(added.id)]))
    assert "<redacted:known-value>" in lines
    assert key not in lines
    assert "hunter2" not in lines
    for file in (place.home / "knowledge").glob("*"):
        assert key.encode() not in file.read_bytes()


def test_a_project_sees_its_own_first_and_what_is_everywhere_and_nothing_of_others(store: Store) -> None:
    learn(store, approach("login with a long cue that has many other words beside it"), project=HERE)
    learn(store, approach("login there"), project=THERE)
    ask(store, "add", learning=approach("login"), everywhere=True)
    assert cues(store.search_lexical("login", HERE)) == [
        "login with a long cue that has many other words beside it",
        "login",
    ]
    assert cues(store.search_lexical("login", THERE)) == ["login there", "login"]
    assert cues(store.search_lexical("login", None)) == ["login"]
    assert len(store.search_lexical("login", HERE, across=True)) == 3


def test_the_same_content_of_two_projects_is_two_entries(store: Store) -> None:
    (here,) = learn(store, approach("login")).saved
    (there,) = learn(store, approach("login"), project=THERE).saved
    assert here != there
    assert [entry.project for entry in store.get([here, there])] == [HERE, THERE]


def test_the_oldest_go_when_there_are_too_many_but_not_what_a_person_added(place: Place) -> None:
    store = place.open(knowledge_max_entries=100)
    said = ask(store, "add", learning=approach("say please"))
    for start in range(0, 120, 20):
        learn(store, *(approach(f"lesson {number}") for number in range(start, start + 20)))
    left = ask(store, "stats").counts["total"]
    assert 99 <= left <= 100
    assert store.get([str(said.id)])
    assert cues(store.search_lexical("lesson 119", HERE))[0] == "lesson 119"
    assert "lesson 0" not in cues(ask(store, "list", limit=25).hits)


def test_what_nobody_used_for_long_goes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.open(knowledge_max_days=30)
    old, kept = learn(store, approach("old"), approach("kept")).saved
    said = str(ask(store, "add", learning=approach("say please")).id)
    now = time.time_ns()
    monkeypatch.setattr("time.time_ns", lambda: now + 20 * DAY_NS)
    used(store, kept, "night-2", worked=True)
    monkeypatch.setattr("time.time_ns", lambda: now + 40 * DAY_NS)
    learn(store, approach("new"))
    assert sorted(cues(store.get([old, kept, said]))) == ["kept", "say please"]


def test_text_of_any_kind_comes_back_as_it_was(store: Store) -> None:
    lesson = approach('ünïcode 🚀 "quotes" \'n \\ %s :param {json}\n\ttabs', "$1; DROP TABLE entries; --")
    (id_,) = learn(store, lesson).saved
    assert store.get([id_])[0].learning == lesson
