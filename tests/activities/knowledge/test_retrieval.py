"""What is recalled, and what never is: by fit, by record, by project, with and without the model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.knowledge.retrieval import record
from activities.knowledge.templates import TEMPLATES
from tests.activities.knowledge.learned import OURS, THEIRS, House, approach
from workflows.contracts.knowledge import Kind, Learning, RecallRequest
from workflows.policy.fingerprint import fingerprint
from workflows.policy.task_type import TASK_TYPES

GOAL = "Add rate limiting to the public API endpoints"
AGAIN = "Add rate limiting to our public API endpoints"
"""Nearly the same: also words alone find it."""
OTHERS = ["Translate the interface into German", "Write a snake game for the terminal", "Package the tool for Debian"]
FAILED = "ModuleNotFoundError: No module named 'yaml'"


@pytest.fixture(params=[False, True], ids=["semantic", "lexical"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, lexical=request.param)
    try:
        yield made
    finally:
        made.close()


def mended(error: str, advice: str, *, worked: bool = True, kind: Kind = "error_solution") -> Learning:
    return Learning(kind=kind, title=error, cue=error, advice=advice, fingerprint=fingerprint(error), worked=worked)


def test_an_empty_store_has_nothing_to_say(house: House) -> None:
    assert house.recall(GOAL) == []
    assert house.recall("") == []
    assert house.recall("\x00\ud800 ' OR 1=1 -- \"*") == []


def test_a_similar_goal_gets_advice_with_its_source(house: House) -> None:
    (id_, *_) = house.keep(map(approach, [GOAL, *OTHERS]))
    (found,) = house.recall(AGAIN)
    assert (found.id, found.level, found.source, found.kind) == (id_, "advice", "earlier-1", "approach")
    assert found.confidence > 0.8


def test_other_words_for_the_same_are_found_by_meaning(clever: House) -> None:
    clever.keep(map(approach, [GOAL, *OTHERS]))
    (found,) = clever.recall("Limit how many requests per minute a client can make to our public API")
    assert (found.title, found.level) == (GOAL, "advice")


def test_an_unrelated_goal_gets_nothing_at_all(house: House) -> None:
    house.keep(map(approach, [GOAL, *OTHERS]))
    assert house.recall("Simulate the orbit of a comet") == []


def test_a_goal_that_many_sessions_had_is_not_doubted_for_that(house: House) -> None:
    house.keep(map(approach, OTHERS))
    for night in range(40):
        ways = [approach(GOAL, f"Way {night}"), approach(f"{GOAL}, please", f"Way {night} b")]
        house.keep(ways, session=f"earlier-{night + 2}")
    found = house.recall(AGAIN)
    assert len(found) == 5
    assert all(one.level == "advice" for one in found)
    assert len({one.advice for one in found}) == 5


def test_the_same_words_are_given_once(house: House) -> None:
    house.keep([approach(GOAL, "Use a token bucket."), approach(f"{GOAL}!", "Use  a token\nbucket.")])
    assert len(house.recall(AGAIN)) == 1


def test_what_failed_in_this_session_is_not_given_again(house: House) -> None:
    (id_, *_) = house.keep(map(approach, [GOAL, *OTHERS]))
    assert house.recall(AGAIN, exclude=[id_]) == []


def test_what_is_left_out_does_not_lift_what_is_worse(house: House) -> None:
    """Without the best, the second best is not suddenly the only one."""
    best, *_ = house.keep(map(approach, [AGAIN, GOAL.replace("rate limiting", "sorting"), *OTHERS]))
    assert all(one.level == "hint" for one in house.recall(GOAL, exclude=[best]))
    house.used(best, "night-1", "night-2", worked=False)
    assert all(one.level == "hint" and one.id != best for one in house.recall(GOAL))


def test_what_failed_twice_in_a_row_is_no_longer_given(house: House) -> None:
    (id_, *_) = house.keep(map(approach, [GOAL, *OTHERS]))
    house.used(id_, "night-1", worked=False)
    (once,) = house.recall(AGAIN)
    assert (once.level, once.failed) == ("hint", 1), "a failure costs the trust that makes advice"
    house.used(id_, "night-2", worked=False)
    assert house.recall(AGAIN) == []


def test_success_earns_trust_back(house: House) -> None:
    (id_, *_) = house.keep(map(approach, [AGAIN, *OTHERS]))
    house.used(id_, "night-1", worked=False)
    house.used(id_, *(f"night-{n}" for n in range(2, 10)), worked=True)
    (found,) = house.recall(AGAIN)
    assert (found.level, found.worked, found.failed) == ("advice", 8, 1)


def test_success_does_not_make_it_fit(house: House) -> None:
    (id_, *_) = house.keep(map(approach, [GOAL, *OTHERS]))
    house.used(id_, *(f"night-{n}" for n in range(50)), worked=True)
    assert house.recall("Simulate the orbit of a comet") == []


def test_a_way_that_led_nowhere_is_no_advice(house: House) -> None:
    house.keep([approach(GOAL, worked=False)])
    assert house.recall(AGAIN) == []
    (issue,) = house.retrieval.suggest_approach(AGAIN, OURS).potential_issues
    assert "did not get there this way" in issue


def test_the_projects_own_comes_first_then_what_is_everywhere_and_never_anothers(house: House) -> None:
    house.share(approach(GOAL, "As everybody does."))
    house.keep([approach(f"{GOAL} now", "As we do.")])
    house.keep([approach(GOAL, "As they do.")], project=THEIRS, session="earlier-9")
    assert [one.advice for one in house.recall(AGAIN)] == ["As we do.", "As everybody does."]
    assert [one.advice for one in house.recall(AGAIN, project=THEIRS)] == ["As they do.", "As everybody does."]
    assert [one.advice for one in house.recall(AGAIN, project="cccccccccccc")] == ["As everybody does."]


def test_memories_and_errors_are_no_approaches(house: House) -> None:
    house.keep([Learning(kind="memory", title=GOAL, cue=GOAL, advice="Run make."), mended(GOAL, "Undo it.")])
    assert house.recall(AGAIN) == []


# ---------------------------------------------------------------------- errors


def test_the_same_error_gets_what_mended_it(house: House) -> None:
    house.keep([mended(f"{FAILED}\n", "Install pyyaml."), mended("KeyError: 'price'", "Use get.")])
    (found, *_) = house.recall(FAILED, errors=[fingerprint(FAILED)])
    assert (found.advice, found.level, found.confidence) == ("Install pyyaml.", "advice", 0.95)


def test_the_same_error_with_other_names_gets_a_hint(house: House) -> None:
    house.keep([mended(FAILED, "Install pyyaml.")])
    other = "ModuleNotFoundError: No module named 'toml'"
    (found,) = house.recall(other, errors=[fingerprint(other)])
    assert (found.level, found.confidence) == ("hint", 0.8)
    (solution,) = house.retrieval.get_error_solution(other, OURS).solutions
    assert (solution.match, solution.applies) == ("template", False)


def test_an_error_of_the_same_kind_is_never_applied(house: House) -> None:
    (id_,) = house.keep([mended("ValueError: the price is too small", "Check the price.")])
    house.used(id_, *(f"night-{n}" for n in range(30)), worked=True)
    for solution in house.retrieval.get_error_solution("ValueError: unknown city", OURS).solutions:
        assert solution.match in ("kind", "text")
        assert not solution.applies


def test_a_solution_that_failed_twice_in_a_row_is_not_given(house: House) -> None:
    bad, good = house.keep([mended(FAILED, "Delete the tests."), mended(f"{FAILED} ", "Install pyyaml.")])
    house.used(bad, "night-1", worked=False)
    assert house.recall(FAILED, errors=[fingerprint(FAILED)])[0].advice == "Install pyyaml."
    house.used(bad, "night-2", worked=False)
    assert [one.id for one in house.recall(FAILED, errors=[fingerprint(FAILED)])] == [good]


def test_a_solution_that_did_not_help_where_it_is_from_is_not_given(house: House) -> None:
    house.keep([mended(FAILED, "Delete the tests.", worked=False)])
    assert house.recall(FAILED, errors=[fingerprint(FAILED)]) == []


def test_the_most_exact_of_several_errors_counts(house: House) -> None:
    house.keep([mended(FAILED, "Install pyyaml."), mended("KeyError: 'price'", "Use get.")])
    errors = [fingerprint("KeyError: 'name'"), fingerprint(FAILED)]
    assert [one.advice for one in house.recall("two things failed", errors=errors)] == ["Install pyyaml.", "Use get."]


def test_no_error_has_no_solution(house: House) -> None:
    house.keep([mended(FAILED, "Install pyyaml.")])
    assert house.retrieval.get_error_solution("  \n", OURS).solutions == []
    assert house.retrieval.get_error_solution([], OURS).solutions == []


# ---------------------------------------------------------------------- suggestions


def test_a_suggestion_has_approach_time_issues_confidence_and_sources(house: House) -> None:
    house.keep(
        [approach(GOAL, "Use a token bucket.", seconds=600), mended(FAILED, "Install pyyaml."), *map(approach, OTHERS)]
    )
    house.keep([approach(f"{GOAL} too", "Count in Redis.", seconds=1_200)], session="earlier-2")
    found = house.retrieval.suggest_approach(AGAIN, OURS)
    assert found.task_type == "feature"
    assert found.suggested_approach in ("Use a token bucket.", "Count in Redis.")
    assert found.confidence > 0.8
    assert set(found.sources) == {"earlier-1", "earlier-2"}
    assert found.estimated_time is not None
    assert (found.estimated_time.seconds, found.estimated_time.shortest, found.estimated_time.longest) == (
        900,
        600,
        1_200,
    )
    assert found.estimated_time.basis == "measured active time of 2 sessions on similar goals"
    assert found.potential_issues == [f"{FAILED}: Install pyyaml."]
    assert found.template == TEMPLATES["feature"]


def test_recall_estimates_from_what_it_found(house: House) -> None:
    house.keep([approach(GOAL, seconds=600), *map(approach, OTHERS)])
    request = RecallRequest(session_id="tonight-1", project=OURS, query=AGAIN)
    assert house.retrieval.recall(request).estimated_seconds == 600
    strange = request.model_copy(update={"query": "Simulate the orbit of a comet"})
    assert house.retrieval.recall(strange).estimated_seconds is None


def test_nothing_similar_leaves_the_rule_and_what_such_tasks_took(house: House) -> None:
    fixes = [f"Fix the crash of {what} on an empty file" for what in ("the parser", "the viewer", "the exporter")]
    house.keep([approach(goal, seconds=60.0 * (n + 1)) for n, goal in enumerate(fixes)])
    found = house.retrieval.suggest_approach("Repair the broken sorting of invoices by customer", OURS)
    assert found.suggested_approach == ""
    assert (found.confidence, found.sources, found.potential_issues) == (0, [], [])
    assert found.template == TEMPLATES["bug_fix"]
    assert found.estimated_time is not None
    assert (found.estimated_time.seconds, found.estimated_time.sessions) == (120, 3)
    assert "of the kind bug_fix" in found.estimated_time.basis
    assert house.retrieval.suggest_approach("Document the API", OURS).estimated_time is None


def test_every_kind_of_task_has_a_template() -> None:
    assert set(TEMPLATES) == set(TASK_TYPES)
    assert all(len(text) < 800 for text in TEMPLATES.values())


def test_many_at_once_get_the_same_answer(clever: House) -> None:
    clever.keep(map(approach, [GOAL, *OTHERS]))
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(clever.recall(AGAIN)[0].title)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [GOAL] * 8


def test_the_record(clever: House) -> None:
    (id_,) = clever.keep([approach(GOAL)])

    def now() -> float:
        (entry,) = clever.store.get([id_])
        return record(entry)

    assert now() == 1
    clever.used(id_, "night-1", worked=False)
    assert now() == pytest.approx(2 / 3)
    clever.used(id_, "night-2", worked=True)
    assert now() == pytest.approx(3 / 4)
