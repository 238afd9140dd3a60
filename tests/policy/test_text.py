"""Text with a byte limit, and moments that can be compared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.text import ELLIPSIS, Goal, Guidance, Line, Wish, clip, printable

anything = st.text(st.characters(), max_size=300)


@given(anything, st.integers(0, 400), st.sampled_from(["head", "tail"]))
def test_clip_never_exceeds_its_limit_nor_breaks_a_character(text: str, limit: int, keep: str) -> None:
    clipped = clip(text, limit, keep=keep)
    assert len(clipped.encode("utf-8")) <= limit
    assert clipped.encode("utf-8").decode("utf-8") == clipped


@given(anything, st.integers(3, 400))
def test_clip_keeps_what_fits_and_marks_the_cut(text: str, limit: int) -> None:
    whole = text.encode("utf-8", "replace").decode("utf-8")
    head, tail = clip(text, limit), clip(text, limit, keep="tail")
    if len(whole.encode()) <= limit:
        assert head == tail == whole
    else:
        assert head.endswith(ELLIPSIS)
        assert whole.startswith(head.removesuffix(ELLIPSIS))
        assert tail.startswith(ELLIPSIS)
        assert whole.endswith(tail.removeprefix(ELLIPSIS))


@given(anything)
def test_machine_text_is_printable(text: str) -> None:
    shown = TypeAdapter(Line).validate_python(text.encode("utf-8", "replace").decode())
    assert all(c in "\n\t" or 0x20 <= ord(c) < 0x7F or ord(c) >= 0xA0 for c in shown)


def test_terminal_colours_are_left_out() -> None:
    assert printable("\x1b[1;31mFAILED\x1b[0m test\r\n\x07") == "FAILED test\n"
    assert printable("\x9b2Jgone\x85") == "2Jgone"


def test_a_persons_text_is_refused_when_it_is_too_long() -> None:
    guidance = TypeAdapter(Guidance)
    assert guidance.validate_python("  é " + "x" * 1_997) == "é " + "x" * 1_997
    with pytest.raises(ValidationError, match="is 2002 bytes long; the limit is 2000 bytes"):
        guidance.validate_python("é" * 1_001)


def test_moments_without_a_zone_are_utc() -> None:
    report = CallReport(outcome=Outcome.USAGE_LIMIT, resets_at=datetime(2026, 1, 1))  # noqa: DTZ001
    assert report.resets_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01])
def test_money_is_a_finite_number(bad: float) -> None:
    with pytest.raises(ValidationError):
        Usage(cost_usd=bad)


@pytest.mark.parametrize("kind", [Goal, Guidance, Wish])
def test_what_says_nothing_is_refused(kind: Any) -> None:
    """Control characters are taken out further on, and nothing would be left of it."""
    for text in ("\x1f", " \x1b[31m\x1b[0m "):
        with pytest.raises(ValidationError, match="says nothing"):
            TypeAdapter(kind).validate_python(text)
    assert TypeAdapter(kind).validate_python("red \x1f") == "red \x1f"
