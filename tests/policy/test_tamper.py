"""Tests that vanish or become skipped, as far as lists of them tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.making import CRITERIA, HEAD, NOW, OTHER, SPEC, THRESHOLD, holding, ran, state
from workflows.contracts.answers import PlanAnswer, PlannedStep
from workflows.contracts.evidence import ArtifactRef, Scorecard, Tally, Tampering
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import ExecuteResult, Try
from workflows.contracts.spec import HeldOut
from workflows.contracts.state import CriterionState
from workflows.contracts.tamper import KnownTests
from workflows.policy import agreed, asks, criteria, tamper, tasks, tries, view
from workflows.policy.report import report
from workflows.policy.tamper import Known, remember, vanished

IDS = st.sampled_from([f"tests/test_{m}.py::test_{n}{p}" for m in "ab" for n in "xyz" for p in ("", "[0]", "[1]")])
RUNS = st.dictionaries(IDS, st.sampled_from(["passed", "failed", "skipped"]), max_size=12)
BASE = {"a::x": "passed", "a::y": "passed", "b::z": "skipped"}


def known(**extra: str) -> dict[str, Known]:
    return remember(remember({}, BASE, baseline=True, accepted=True), {**BASE, **extra}, accepted=True)


def kinds(seen: dict[str, str], of: dict[str, Known] | None = None, *free: str) -> list[tuple[str, str]]:
    return [(f.kind, f.path) for f in vanished(known() if of is None else of, seen, free)[0]]


def test_a_test_of_the_baseline_that_is_gone_or_skipped_is_found() -> None:
    assert kinds(BASE) == []
    assert kinds({**BASE, "c::new": "passed"}) == []
    assert kinds({"a::y": "passed", "b::z": "skipped"}) == [("vanished", "a::x")]
    assert kinds({**BASE, "a::x": "skipped"}) == [("skipped", "a::x")]
    assert kinds({**BASE, "b::z": "passed", "a::x": "failed"}) == [], "how it ends is the command's business"


def test_a_test_that_the_goal_changes_may_go_but_not_be_skipped() -> None:
    tests = remember({}, {"tests/test_a.py::x": "passed", "tests.test_a.T.y": "passed"}, baseline=True, accepted=True)
    assert kinds({}, tests, "tests/test_a.py") == []
    assert [kind for kind, _ in kinds({}, tests, "tests/test_b.py")] == ["vanished", "vanished"]
    both = {"tests/test_a.py::x": "skipped", "tests.test_a.T.y": "passed"}
    assert kinds(both, tests, "tests/test_a.py") == [("skipped", "tests/test_a.py::x")]


def test_code_does_not_speak_for_the_tests_that_are_named_after_it() -> None:
    tests = remember({}, {"test_app.py::x": "passed", "tests/test_app.py::y": "passed"}, baseline=True, accepted=True)
    assert len(kinds({}, tests, "app.py")) == 2
    in_go = remember({}, {"example.org/sums::TestSum/two": "passed"}, baseline=True, accepted=True)
    assert kinds({}, in_go, "sums/sum_test.go") == []
    assert len(kinds({}, in_go, "other/sum_test.go")) == 1


def test_what_the_session_added_may_be_renamed_but_not_become_fewer() -> None:
    mine = known(mine="passed", other="passed")
    assert kinds({**BASE, "mine": "passed", "renamed": "passed"}, mine) == []
    assert kinds({**BASE, "mine": "passed"}, mine) == [("vanished", "other")]
    assert kinds({**BASE, "mine": "passed", "other": "skipped"}, mine) == [("skipped", "other")]


def test_ids_that_vary_from_run_to_run_are_no_alarm() -> None:
    before = remember({}, {"t::x[<o at 0x7f01>]": "passed", "t::at_1700000000": "passed"}, baseline=True, accepted=True)
    assert kinds({"t::x[<o at 0x7f02>]": "passed", "t::at_1700000001": "passed"}, before) == []
    assert kinds({"t::at_1700000001": "passed"}, before) == [("vanished", "t::x")]
    docs = remember({}, {"a::src/lib.rs - f (line 2)": "passed"}, baseline=True, accepted=True)
    assert kinds({"a::src/lib.rs - f (line 12)": "passed"}, docs) == []


def test_a_skip_that_was_told_stands_until_it_is_mended() -> None:
    skipped = {**BASE, "a::x": "skipped"}
    after = remember(known(), skipped, accepted=False)
    assert kinds(skipped, after) == [("skipped", "a::x")]
    assert kinds(BASE, after) == []


def test_more_than_a_few_are_counted() -> None:
    many = remember({}, {f"t::{n}": "passed" for n in range(30)}, baseline=True, accepted=True)
    found, more = vanished(many, {})
    assert (len(found), more) == (6, 24)


@settings(deadline=None)
@given(RUNS, RUNS)
def test_a_run_that_has_every_test_is_never_an_alarm(first: dict[str, str], second: dict[str, str]) -> None:
    before = remember({}, first, baseline=True, accepted=True)
    full = dict.fromkeys({**first, **second}, "passed")
    assert vanished(before, full) == ([], 0)
    assert vanished(remember(before, full, accepted=True), full) == ([], 0)


@settings(deadline=None)
@given(RUNS, st.data())
def test_losing_a_test_of_the_baseline_is_found_whatever_came_since(first: dict[str, str], data: st.DataObject) -> None:
    if not first:
        return
    lost = data.draw(st.sampled_from(sorted(first)))
    before = remember({}, first, baseline=True, accepted=True)
    for run in data.draw(st.lists(RUNS, max_size=3)):
        before = remember(before, run, accepted=data.draw(st.booleans()))
    left = {test: "passed" for test in first if test != lost}
    assert vanished(before, left)[0]


FOUND = Tampering(kind="vanished", path="a::x", detail="it ran before the work")


def test_what_stands_keeps_a_commit_from_success_and_is_told() -> None:
    card = holding().model_copy(update={"tampering": [FOUND]})
    assert criteria.all_hold(CRITERIA, holding(), THRESHOLD)
    assert not criteria.all_hold(CRITERIA, card, THRESHOLD)
    assert not criteria.holds_in_clean_clone(CRITERIA, card, THRESHOLD)
    failed = criteria.failures(SPEC, state(card=card))
    assert [(f.criterion, "a::x" in f.evidence) for f in failed] == [("tampering", True)]


def test_held_out_checks_decide_after_everything_else_and_tell_what_was_decided() -> None:
    log = ArtifactRef(sha256="f" * 64, size_bytes=9)
    now = state(card=holding(), confirmed=holding())
    red = Scorecard(commit=HEAD, commands=[ran("held-out", passed=False, tail="These do not pass: x", log=log)])
    assert not criteria.held_out(now, red)
    assert now.confirmed is None
    failed = criteria.failures(SPEC, now)
    assert [(f.criterion, f.evidence, f.log) for f in failed] == [("held-out", "These do not pass: x", log)]
    now.scores = [CriterionState(id=c.id, met=True) for c in CRITERIA]
    now.iteration, now.tries = 2, [Try(iteration=1, root_cause="c", fix="f")]
    tries.settle(now)
    assert now.tries[0].result == "did not help: held-out still unmet"
    now.plan = None
    assert tasks.next_task(now).title == "meet what is unmet: held-out"
    assert "These do not pass: x" not in report(SPEC, now, NOW), "the report has exit codes, not what was printed"
    now = state(card=holding(), confirmed=holding())
    assert not criteria.held_out(now, Scorecard(commit=HEAD)), "checks that did not run do not hold"
    now = state(card=holding(), confirmed=holding())
    assert criteria.held_out(now, Scorecard(commit=HEAD, commands=[ran("held-out", tail="loud")]))
    assert now.confirmed is not None
    assert [e.criterion for e in now.confirmed.commands][-1] == "held-out"


def test_held_out_checks_that_end_well_without_having_run_do_not_hold() -> None:
    now = state(card=holding(), confirmed=holding())
    silent = ran("held-out", tail="no test ran").model_copy(update={"rate": 0.0})
    assert not criteria.held_out(now, Scorecard(commit=HEAD, commands=[silent]))
    assert [(f.criterion, f.evidence) for f in criteria.failures(SPEC, now)] == [("held-out", "no test ran")]


HIDDEN = SPEC.model_copy(update={"held_out": HeldOut(kind="folder", source="/acc", command="nosuchcmd held_out")})


@pytest.mark.parametrize(
    ("seen", "note", "pause"),
    [
        ({"exit_code": 127}, "exit code 127, a program was not found in the sandbox on `aaaaaaaaaa`", True),
        ({"exit_code": 126}, "exit code 126, a program cannot be run in the sandbox on `aaaaaaaaaa`", True),
        ({"exit_code": 0, "rate": 0.0}, "exit code 0, no test was seen to run on `aaaaaaaaaa`", True),
        ({"exit_code": 5, "tally": Tally(source="text")}, "exit code 5, no test was seen to run on `aaaaaaaaaa`", True),
        ({"exit_code": 5}, "exit code 5 on `aaaaaaaaaa`", False),
        ({"exit_code": 1, "tally": Tally(source="text", failed=2)}, "exit code 1 on `aaaaaaaaaa`", False),
    ],
)
def test_a_person_sees_held_out_checks_and_is_asked_where_they_say_nothing(
    seen: dict[str, Any], note: str, pause: bool
) -> None:
    now = state(card=holding(), confirmed=holding())
    before = view.status(HIDDEN, now, NOW).held_out
    assert before is not None
    assert before.note == "not run yet: they run once everything else holds"
    red = Scorecard(commit=HEAD, commands=[ran("held-out", passed=False, tail="secret words", **seen)])
    assert not criteria.held_out(now, red)
    shown = view.status(HIDDEN, now, NOW).held_out
    assert shown is not None
    assert (shown.passed, shown.exit_code, shown.note) == (False, seen["exit_code"], note)
    row = f"| held-out: the checks that the agent never sees pass | `nosuchcmd held_out` | no | {note} |"
    assert row in report(HIDDEN, now, NOW)
    assert f"the checks that the agent never sees pass | no | {note} |" in view.scoreboard(HIDDEN, now, NOW)
    why = tamper.held_out_pause(HIDDEN, now)
    what = "does not run" if seen["exit_code"] > 100 else "ran no test"
    assert why.startswith(f"your held-out command {what}: nosuchcmd held_out: exit code") is pause
    tamper.forget_held_out(now)
    assert criteria.failures(SPEC, now) == [], "what says nothing of the work is not the agent's failure"


def test_held_out_checks_that_passed_on_another_commit_are_not_a_pass() -> None:
    now = state(card=holding(), confirmed=holding())
    assert criteria.held_out(now, Scorecard(commit=HEAD, commands=[ran("held-out")]))
    seen = view.status(HIDDEN, now, NOW).held_out
    assert seen is not None
    assert seen.passed
    now.base = OTHER
    seen = view.status(HIDDEN, now, NOW).held_out
    assert seen is not None
    assert (seen.passed, seen.note) == (False, "exit code 0 on `aaaaaaaaaa`, not run on this commit")


@pytest.mark.parametrize(
    ("passed", "skipped", "kinds"),
    [
        (0, 0, ["vanished"]),
        (0, 3, ["vanished"]),
        (2, 2, ["skipped"]),
        (2, 1, []),
        (1, 0, []),
        (4, 3, []),
    ],
)
def test_tests_that_are_only_counted_do_not_all_go_nor_are_they_skipped(
    passed: int, skipped: int, kinds: list[str]
) -> None:
    known = KnownTests(criterion="validation", ran=3, skipped=1)
    found = tamper.fewer(known, Tally(source="text", passed=passed, skipped=skipped))
    assert [f.kind for f in found] == kinds
    assert tamper.fewer(KnownTests(criterion="validation"), Tally()) == [], "a linter runs none, before and after"


def test_what_was_noticed_goes_to_the_judge() -> None:
    card = holding().model_copy(update={"noticed": ["app.py changes what tests are made with: pytest.raises"]})
    assert asks.judge(SPEC, state(card=card)).noticed == card.noticed


def test_the_guard_carries_the_persons_word_and_the_plans() -> None:
    spec = SPEC.model_copy(update={"protected_paths": ["api/**"], "may_change": ["a"]})
    planned = state()
    assert planned.plan is not None
    planned.plan = planned.plan.model_copy(update={"may_change": ["b"], "check_files": ["c"]})
    guard = tamper.guard(spec, planned)
    assert guard is not None
    assert (guard.protected, guard.may_change, guard.planned, guard.check_files) == (["api/**"], ["a"], ["b"], ["c"])
    assert guard.commands == ["make test", "make lint"]


def test_what_a_model_named_is_taken_as_far_as_it_can_match() -> None:
    answer = PlanAnswer(
        summary="s",
        steps=[PlannedStep(id="s1", title="t", instructions="i")],
        tests_to_change=["/workspace/tests/a.py", " ", "/etc/passwd", "../x", "tests/**", f"{'x' * 300}"],
    )
    assert agreed.plan_from(answer, SPEC).may_change == ["tests/a.py", "tests/**"]


def test_what_was_put_back_is_shown_until_the_next_execute() -> None:
    now = state(checkpoint=None)
    taken = ExecuteResult(outcome=Outcome.COMPLETED, tampering=[FOUND], more_tampering=2)
    assert tamper.put_back(now, taken) == ["put back: a::x: it ran before the work", "and 2 more such files"]
    assert tamper.shown(now) == ["put back: a::x: it ran before the work"]
    assert "3 changes of what decides the checks put back" in report(SPEC, now, NOW)
    assert tamper.put_back(now, ExecuteResult(outcome=Outcome.COMPLETED)) == []
    assert (tamper.shown(now), now.put_backs) == ([], 3)
