"""A pass rate decides only where failed tests, and nothing else, made a command fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import ran
from workflows.contracts.evidence import CommandEvidence, Tally
from workflows.policy import rates

codes = st.sampled_from([None, 0, 1, 2, 101, 124, 127, 134, 137, 139, 255])
counts = st.integers(0, 60)
tallies = st.builds(Tally, source=st.sampled_from(["junit", "text"]), passed=counts, failed=counts, skipped=counts)
thresholds = st.floats(0.01, 1)


def evidence(code: int | None, tally: Tally, *, whole: bool = True, timed_out: bool = False) -> CommandEvidence:
    return ran(
        "validation",
        exit_code=code,
        timed_out=timed_out,
        explained=rates.explains(code, tally, whole=whole),
        rate=rates.rate(code, tally),
        tally=tally,
    )


evidences = st.builds(evidence, codes, tallies, whole=st.booleans(), timed_out=st.booleans())


@given(codes, tallies)
def test_the_rate_is_that_of_tests_that_ran_and_whatever_else_failed_is_one_more(
    code: int | None, tally: Tally
) -> None:
    rate = rates.rate(code, tally)
    assert 0 <= rate <= 1
    assert rate == rates.rate(code, tally.model_copy(update={"skipped": 0})), "skipped is neither"
    if tally.failed:
        assert rate == tally.passed / (tally.passed + tally.failed)
    else:
        assert (rate == 1) is (code == 0)


@given(evidences, thresholds)
def test_what_holds_ended_well_or_failed_by_tests_alone(seen: CommandEvidence, threshold: float) -> None:
    if rates.holds(seen, threshold):
        assert not seen.timed_out
        assert seen.rate >= threshold
        assert seen.exit_code == 0 or (seen.explained and seen.tally.failed > 0)
        assert seen.tally.passed >= threshold * (seen.tally.ran - 1e-6)


@given(evidences)
def test_with_a_threshold_of_one_the_exit_code_decides_and_no_failed_test_passes(seen: CommandEvidence) -> None:
    assert rates.holds(seen, 1) is (seen.exit_code == 0 and not seen.timed_out and not seen.tally.failed)


@given(codes, tallies, thresholds, st.booleans())
def test_one_more_failure_never_helps_and_one_more_pass_never_hurts_a_command_that_ended_well(
    code: int | None, tally: Tally, threshold: float, whole: bool
) -> None:
    more = tally.model_copy(update={"failed": tally.failed + 1})
    if code == 0 and rates.holds(evidence(0, more, whole=whole), threshold):
        assert rates.holds(evidence(0, tally, whole=whole), threshold)
    better = tally.model_copy(update={"passed": tally.passed + 1})
    if rates.holds(evidence(code, tally, whole=whole), threshold):
        assert rates.holds(evidence(code, better, whole=whole), threshold)


@given(st.lists(evidences, min_size=1, max_size=8), st.integers(0, 3), thresholds)
def test_steps_hold_together_when_all_ran_and_each_holds(
    seen: list[CommandEvidence], missing: int, threshold: float
) -> None:
    whole = rates.together(seen, len(seen) + missing)
    each = not missing and all(rates.holds(step, threshold) for step in seen)
    if missing and all(step.exit_code == 0 for step in seen):
        return  # a step is left out only after one that failed
    assert rates.holds(whole, threshold) is each
    assert whole.tally.ran == sum(step.tally.ran for step in seen)
    assert whole.steps == [step.exit_code for step in seen]
    assert CommandEvidence.model_validate(whole.model_dump()) == whole


@pytest.mark.parametrize("code", [124, 126, 127, 134, 137, 139])
def test_a_crash_is_not_explained_by_failed_tests(code: int) -> None:
    assert not rates.holds(evidence(code, Tally(source="junit", passed=99, failed=1)), 0.5)
