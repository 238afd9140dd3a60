"""Search by words and by the fingerprints of errors."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.knowledge import Store
from activities.knowledge.lexical import COMMON, MAX_READ, MAX_WORDS, chosen, words_of
from activities.knowledge.rows import scope_tag
from tests.activities.knowledge.making import HERE, THERE, Place, approach, ask, cues, learn, solution, used
from workflows.contracts.evidence import Fingerprint


def test_the_words_that_are_rare_decide(store: Store) -> None:
    for night in range(3):
        lessons = [approach(f"build a page for customer {night * 20 + number}") for number in range(20)]
        learn(store, *lessons, session=f"night-{night}")
    learn(store, approach("build a page that exports invoices as spreadsheets"))
    found = store.search_lexical("Please build me a page to export an invoice into a spreadsheet", HERE, limit=3)
    assert cues(found)[0] == "build a page that exports invoices as spreadsheets"
    assert found[0].score > found[1].score
    assert all(0 <= hit.score <= 1 for hit in found)


def test_words_are_found_in_other_forms_and_in_what_to_do(store: Store) -> None:
    learn(store, approach("parsing dates", "Use fromisoformat."), approach("draw circles"))
    assert cues(store.search_lexical("parse the date", HERE)) == ["parsing dates"]
    assert cues(store.search_lexical("fromisoformat", HERE)) == ["parsing dates"]


def test_kinds_and_limit(store: Store) -> None:
    learn(store, *(approach(f"login {number}") for number in range(5)), approach("login setup", kind="memory"))
    assert cues(store.search_lexical("login", HERE, ["memory"])) == ["login setup"]
    assert len(store.search_lexical("login", HERE, ["memory", "approach"], limit=4)) == 4
    assert store.search_lexical("login", HERE, ["template"]) == []
    assert cues(ask(store, "search", query="login setup", kind="memory").hits) == ["login setup"]
    assert len(ask(store, "search", query="login", limit=2).hits) == 2


FINDING = [
    "login", "\0login\0", "login AND", "NOT login", "NEAR(login, 3)", "login*", "^login", "tags : login", "-login",
    "login:", "(login", "login)", "login & page | !x <-> y", "\\login\\", "🚀 login", "login\n--\n;DROP TABLE x",
    "\ud800 login", "login " * 200_000, "LOGIN",
]  # fmt: skip
FINDING_NOTHING = [
    "", " ", "\0", '"', "'", '"" OR ""', "a b c", "the of and", "%s %(x)s", ":project :words", "{tags} : scopeall",
    "x" * 3_000_000, " ".join(f"w{n}" for n in range(100_000)), "*", "AND", "NOT", "{title} : (", "kindapproach",
]  # fmt: skip


def test_any_text_is_safe(store: Store) -> None:
    learn(store, approach("login page"))
    for query in FINDING:
        assert cues(store.search_lexical(query, HERE)) == ["login page"], query[:40]
    for query in FINDING_NOTHING:
        assert store.search_lexical(query, HERE) == [], query[:40]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=st.text(max_size=40))
def test_whatever_text_is_safe(store: Store, query: str) -> None:
    store.search_lexical(query, HERE, ["memory"])
    assert ask(store, "search", query=query).problem == ""


def test_no_text_reaches_into_another_project_by_its_words(store: Store) -> None:
    learn(store, approach("private plan"), project=THERE)
    assert store.search_lexical(f"{scope_tag(THERE)} kindapproach private plan", HERE) == []


def test_common_words_are_left_out_when_there_are_rarer_ones() -> None:
    assert words_of("How do I build the parser, and the PARSER's tests?") == ["build", "parser", "tests"]
    assert chosen([("build", COMMON), ("parser", 12), ("tests", 700), ("nowhere", 0)]) == (["parser", "tests"], False)
    assert chosen([("build", COMMON), ("page", COMMON)]) == (["build", "page"], True)
    assert chosen([("nowhere", 0)]) == ([], True)


def test_few_words_are_searched_for_and_little_is_read() -> None:
    assert chosen([(f"w{n}", 1 + n) for n in range(30)])[0] == [f"w{n}" for n in range(MAX_WORDS)]
    most = [(f"w{n}", COMMON - 1) for n in range(8)]
    assert len(chosen(most)[0]) == MAX_READ // COMMON


def test_words_that_all_entries_have_find_some_when_there_are_no_rarer_ones(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.knowledge.lexical.COMMON", 3)
    store = place.open()
    learn(store, *(approach(f"build page n{number}") for number in range(12)), approach("build page zebra"))
    if place.url:
        with psycopg.connect(place.url, autocommit=True) as connection:
            connection.execute("ANALYZE knowledge_entries")
    assert len(store.search_lexical("build a page", HERE, limit=100)) == 13
    assert cues(store.search_lexical("build a zebra page", HERE)) == ["build page zebra"]
    assert len(store.search_lexical("build a lion page", HERE, limit=100)) == 13
    learn(store, approach("lion cage"), project=THERE)
    assert len(store.search_lexical("build a lion page", HERE, limit=100)) == 13, "a word that only others have"


def test_errors_are_found_by_how_much_is_the_same(store: Store) -> None:
    learn(
        store,
        solution(1, "of the same kind", template="t9"),
        solution(2, "of the same template"),
        solution(3, "exactly"),
        solution(4, "another error", template="t8", kind="ValueError"),
    )
    learn(store, solution(3, "of another project"), project=THERE)
    ask(store, "add", learning=solution(3, "everywhere"), everywhere=True)
    wanted = Fingerprint(exact="v1:3", template="v1:t1", kind="KeyError")
    found = store.by_fingerprint(wanted, HERE)
    assert [(match.level, match.entry.learning.advice) for match in found] == [
        ("exact", "exactly"),
        ("exact", "everywhere"),
        ("template", "of the same template"),
        ("kind", "of the same kind"),
    ]
    assert len(store.by_fingerprint(wanted, HERE, limit=1)) == 1
    assert len(store.by_fingerprint(wanted, None, across=True)) == 5


def test_of_the_same_error_the_solution_with_the_better_record_comes_first(store: Store) -> None:
    bad, good = learn(store, solution(1, "bad"), solution(1, "good")).saved
    used(store, good, "night-2", worked=True)
    used(store, bad, "night-2", "night-3", worked=False)
    wanted = Fingerprint(exact="v1:1", template="v1:t1", kind="")
    assert [match.entry.learning.advice for match in store.by_fingerprint(wanted, HERE)] == ["good", "bad"]
    assert [match.entry.learning.advice for match in store.by_fingerprint(wanted, HERE, usable=True)] == ["good"]


def test_many_fixes_that_failed_do_not_hide_the_one_that_did_not(store: Store) -> None:
    learn(store, solution(1, "what mended it"))
    for night in range(2, 5):
        failed = [solution(1, f"no use {night}-{n}").model_copy(update={"worked": False}) for n in range(10)]
        learn(store, *failed, session=f"night-{night}")
    wanted = Fingerprint(exact="v1:1", template="v1:t1", kind="KeyError")
    found = store.by_fingerprint(wanted, HERE, limit=25, usable=True)
    assert [match.entry.learning.advice for match in found] == ["what mended it"]


def test_an_error_without_a_kind_is_like_no_other(store: Store) -> None:
    learn(store, solution(1, "no kind", kind="", template="t5"))
    assert store.by_fingerprint(Fingerprint(exact="v1:7", template="v1:t7", kind=""), HERE) == []
