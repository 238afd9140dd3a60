"""Some hundred malformed requests; ten thousand of them are in ``tests/chaos/test_malformed.py``."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mcp import malformed
from tests.mcp.malformed import Target, target

__all__ = ["target"]

FEW = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_arguments_that_are_nearly_right_are_refused_in_words(target: Target) -> None:
    seen: set[str] = set()

    @FEW
    @given(st.data())
    def play(data: st.DataObject) -> None:
        tool, arguments = data.draw(target.shapes.calls)
        seen.add(tool)
        target.call(tool, arguments)

    play()
    assert seen == {tool.name for tool in target.tools}


def test_messages_that_are_nearly_right_are_refused_in_words(target: Target) -> None:
    @FEW
    @given(st.data())
    def play(data: st.DataObject) -> None:
        target.send(*data.draw(malformed.requests(target.shapes)))

    play()
