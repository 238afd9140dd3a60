"""Goals that differ in the one word that matters are told apart, and others are not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.knowledge.contrast import Gist
from benchmarks.knowledge_quality import half, swaps


@pytest.mark.parametrize("held", [False, True], ids=["in sight", "held out"])
def test_the_one_word_that_matters_is_seen(held: bool) -> None:
    pairs = swaps(held=held)
    assert len(pairs) >= 12
    seen = [pair for pair in pairs if Gist(pair[0]).contrary(Gist(pair[1])) and Gist(pair[1]).contrary(Gist(pair[0]))]
    assert len(seen) / len(pairs) >= 0.9


@pytest.mark.parametrize("held", [False, True], ids=["in sight", "held out"])
@pytest.mark.parametrize("name", ["goals", "questions"])
def test_the_same_in_other_words_is_not_contrary(name: str, held: bool) -> None:
    groups = half(name, held=held).groups
    assert [
        (group.goal, asked)
        for group in groups
        for asked in group.asked.values()
        if Gist(group.goal).contrary(Gist(asked))
    ] == []


@given(st.text(max_size=300), st.text(max_size=300))
def test_it_is_a_matter_of_both(one: str, other: str) -> None:
    assert Gist(one).contrary(Gist(other)) == Gist(other).contrary(Gist(one))
    assert not Gist(one).contrary(Gist(one))


@pytest.mark.parametrize("text", ["from " * 50_000, "replace a " * 20_000, "in Go" * 20_000, "a" * 200_000])
def test_hostile_text_takes_no_long_time(text: str) -> None:
    began = time.process_time()
    Gist(text).contrary(Gist(text[::-1]))
    assert time.process_time() - began < 0.5
