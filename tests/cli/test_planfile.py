"""A plan as a file: what is written is read back as it was, and every mistake is told by its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.cli.planfile import read, written
from overnight.errors import InvalidRequestError
from workflows.contracts.approvals import PlanView
from workflows.contracts.plan import Criterion, Step, StepStatus
from workflows.contracts.text import printable

texts = st.text(min_size=1, max_size=60).filter(lambda text: bool(text.strip()))
odd = st.sampled_from(
    ['"""', "a\\", 'ends with "', "two\nlines\n", "tab\there", "\\u0041", "''' #", "[[steps]]", "é…\x7f"]
)
words = (texts | odd).map(lambda text: printable(text).strip()).filter(bool)
steps = st.lists(
    st.builds(Step, id=st.just("s1"), title=words, instructions=words, status=st.sampled_from(list(StepStatus))),
    min_size=1,
    max_size=4,
).map(lambda found: [s.model_copy(update={"id": f"s{n}"}) for n, s in enumerate(found, 1)])
criteria = st.lists(
    st.builds(
        Criterion,
        id=st.sampled_from(["plan-1", "plan-2", "wish-1", "goal"]),
        description=words,
        command=st.none() | words,
        weight=st.sampled_from([1, 2.5, 100]),
    ),
    max_size=4,
)


@given(steps, criteria, st.booleans(), words)
def test_what_is_written_is_read_back(steps: list[Step], criteria: list[Criterion], frozen: bool, summary: str) -> None:
    view = PlanView(session_id="some-id", summary=summary, steps=steps, criteria=criteria, frozen=frozen, next=summary)
    text = written(view, heading="Read\nthis")
    pending = [s for s in steps if s.status is StepStatus.PENDING]
    if not pending:
        return
    edit = read(text, criteria=not frozen)
    assert [(s.id, s.title, s.instructions) for s in edit.steps] == [
        (s.id, s.title.strip(), s.instructions.strip()) for s in pending
    ]
    own = [] if frozen else [c for c in criteria if c.id.startswith("plan-")]
    assert [(c.id, c.description, c.command, c.weight) for c in edit.criteria or []] == [
        (c.id, c.description.strip(), c.command, c.weight) for c in own
    ]
    assert (edit.criteria is None) is frozen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"steps = {'[' * 10_000}", "the plan cannot be read: it is nested too deeply"),
        ("[[steps]]\ntitle = \n", "the plan cannot be read: Invalid value (at line 2, column 9)"),
        ("# nothing\n", "steps: a plan needs at least one"),
        ("[[steps]]\ntitle = 'a'\n", "steps.0.instructions: field required"),
        ("[[steps]]\ntitle = 'a'\ninstructions = 'b'\nsize = 3\n", "steps, number 1: 'size' is not known"),
        ("[[stages]]\ntitle = 'a'\n", "'stages' is not known in a plan"),
        ("steps = 'all'\n", "steps: "),
        (f"[[steps]]\ntitle = '{'t' * 121}'\ninstructions = 'b'\n", "steps.0.title: is 121 bytes long"),
        ("[[steps]]\ntitle = 'a'\ninstructions = 'b'\n" * 9, "steps: list should have at most 8"),
    ],
)
def test_mistakes_are_told(text: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as told:
        read(text, criteria=True)
    assert words in str(told.value)
