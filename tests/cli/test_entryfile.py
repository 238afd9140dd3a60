"""An entry of knowledge as a file: what is written is read again, and every mistake is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.cli.entryfile import read, written
from overnight.errors import InvalidRequestError
from workflows.contracts.knowledge import Learning
from workflows.contracts.text import printable

LEARNING = Learning(kind="memory", title="how to run its tests", cue="tests", advice="make test", commit="a" * 40)
words = st.text(min_size=1, max_size=60).map(printable).map(str.strip).filter(bool)


@settings(deadline=None)
@given(words, words, words)
def test_what_is_written_is_read_again(title: str, cue: str, advice: str) -> None:
    learning = LEARNING.model_copy(update={"title": " ".join(title.split()) or "t", "cue": cue, "advice": advice})
    assert read(written(learning, "Knowledge abc."), learning) == learning


def test_what_the_file_does_not_show_stays() -> None:
    changed = read('advice = "make check"\n', LEARNING)
    assert changed == LEARNING.model_copy(update={"advice": "make check"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("advice = ", "the file cannot be read"),
        (f"advice = {'[' * 10_000}", "the file cannot be read: it is nested too deeply"),
        (f"advice = {'1' * 10_000}", "the file cannot be read: "),
        ('advice = "\udcff"', "the file cannot be read: it is no text in UTF-8"),
        ('advise = "x"', "'advise' is not known; known are kind, title, cue, advice, task_type"),
        ('advice = ""', "advice: is empty"),
        ('kind = "rumour"', "kind"),
        ("title = 7", "title"),
        (f'advice = "{"x" * 1_300}"', "advice: is too long (1300 bytes)"),
    ],
)
def test_mistakes_are_told(text: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(text, LEARNING)
    assert why in str(refused.value)


def test_a_new_entry_needs_its_words() -> None:
    for text in ("", 'title = "t"\nadvice = "x"\nkind = "approach"', written(None, "New.")):
        with pytest.raises(InvalidRequestError):
            read(text, None)
