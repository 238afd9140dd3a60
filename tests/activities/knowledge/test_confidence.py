"""Confidence: more likeness and more distance to anything else is more of it; one goal known often is still one."""

from __future__ import annotations

from collections.abc import Set
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.knowledge.confidence import (
    ADVICE,
    Weights,
    calibration,
    confidences,
    letters,
    spelled_alike,
)
from activities.knowledge.contrast import Gist
from activities.knowledge.embedding import MODEL_ID

WEIGHTS = calibration().semantic
QUERY = Gist("sort the cards by hand")


def trust(
    likeness: list[float], *, texts: list[str] | None = None, same: Set[int] = frozenset(), cut_off: bool = False
) -> list[float]:
    """``same``: places of texts that are of one goal."""
    gists = [Gist(text) for text in texts or ["sort cards"] * len(likeness)]

    def alike(one: int, other: int) -> float:
        return 0.95 if {one, other} <= same else 0.2

    return confidences(QUERY, gists, likeness, alike, WEIGHTS, cut_off=cut_off)


def test_nothing_gets_nothing() -> None:
    assert trust([]) == []


def test_the_weights_are_of_the_model_that_comes_with_overnight() -> None:
    assert calibration().known(MODEL_ID)
    assert not calibration().known("somebody-elses:12345678")


def test_more_likeness_is_more_confidence() -> None:
    assert all(a < b for a, b in pairwise(trust([x / 10, 0.1])[0] for x in range(1, 11)))


def test_a_rival_takes_confidence_away() -> None:
    assert trust([0.8])[0] > ADVICE
    assert trust([0.8, 0.4])[0] > ADVICE
    assert trust([0.8, 0.79])[0] < ADVICE


def test_what_is_not_the_best_is_not_advice() -> None:
    assert all(one < ADVICE for one in trust([0.9, 0.7, 0.6])[1:])


def test_a_store_of_one_entry_does_not_trust_whatever_comes() -> None:
    assert trust([0.4])[0] < WEIGHTS.hint
    assert trust([0.1])[0] < 0.1


def test_a_goal_that_is_known_twenty_times_is_known_as_well_as_one_known_once() -> None:
    once = trust([0.8, 0.4])
    often = trust([0.8, *[0.78] * 19, 0.4], same=set(range(20)))
    assert often[0] == once[0]
    assert all(one > ADVICE for one in often[:20])
    assert trust([0.8, *[0.78] * 19, 0.4])[0] < ADVICE, "twenty goals that are not the same"


def test_where_all_that_was_looked_at_is_one_goal_the_rest_may_be_as_near_as_the_last() -> None:
    everything = set(range(32))
    assert trust([0.8] * 31 + [0.75], same=everything)[0] > ADVICE
    assert trust([0.8] * 31 + [0.75], same=everything, cut_off=True)[0] < ADVICE


def test_the_opposite_is_never_advice_and_takes_nothing_from_the_rest() -> None:
    texts = ["sort the cards in ascending order", "sort the cards in descending order", "wash the car"]
    query = Gist("sort the cards in descending order of price")
    gists = [Gist(text) for text in texts]
    found = confidences(query, gists, [0.97, 0.95, 0.2], lambda a, b: 0.9, WEIGHTS)
    assert found[0] < ADVICE
    assert found[1] > ADVICE
    assert found[1] == confidences(query, gists[1:], [0.95, 0.2], lambda a, b: 0.9, WEIGHTS)[0]


def test_opposites_are_not_taken_for_one_goal() -> None:
    texts = ["sort the cards in ascending order", "sort the cards in descending order"]
    found = trust([0.8, 0.79], texts=texts, same={0, 1})
    assert all(one < ADVICE for one in found), "nobody knows which is meant"


@given(st.lists(st.floats(0, 1), max_size=8), st.sets(st.integers(0, 7)), st.booleans())
def test_it_is_always_between_0_and_1(likeness: list[float], same: Set[int], cut_off: bool) -> None:
    found = trust(likeness, same=same, cut_off=cut_off)
    assert len(found) == len(likeness)
    assert all(0 <= one <= 1 for one in found)


def test_weights_that_nobody_would_fit_do_no_harm() -> None:
    steep = Weights(likeness=1e9, margin=1e9, bias=0, floor=0, same=1, hint=0)
    assert steep.confidence(1, 1) == pytest.approx(1)
    assert steep.confidence(-1, -1) == pytest.approx(0)


def test_spelling() -> None:
    assert spelled_alike(letters("Fix the login"), letters("fix the LOGIN!")) == pytest.approx(1)
    assert spelled_alike(letters("Fix the login"), letters("quux")) == 0
    assert spelled_alike(letters(""), letters("")) == 0
    assert 0.5 < spelled_alike(letters("Fix the login page"), letters("Fix the log-in page")) < 1
