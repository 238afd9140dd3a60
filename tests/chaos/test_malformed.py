"""Ten thousand malformed requests: nothing but clear errors, no crash, and nothing told that is none of theirs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mcp import malformed
from tests.mcp.malformed import Target, target

__all__ = ["target"]

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1_200)]

MANY = settings(
    max_examples=5_000,
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def test_arguments(target: Target) -> None:
    sent = Counter[str]()

    @MANY
    @given(st.data())
    def play(data: st.DataObject) -> None:
        tool, arguments = data.draw(target.shapes.calls)
        sent[tool] += 1
        target.call(tool, arguments)

    play()
    assert sent.total() >= 5_000
    assert all(sent[tool.name] >= 100 for tool in target.tools), sent


def test_messages(target: Target) -> None:
    answers = Counter[int]()

    @MANY
    @given(st.data())
    def play(data: st.DataObject) -> None:
        answers[target.send(*data.draw(malformed.requests(target.shapes)))] += 1

    play()
    assert answers.total() >= 5_000
    assert {200, 400} <= set(answers), answers
    assert answers[malformed.CUT] < answers[400] / 10, answers
