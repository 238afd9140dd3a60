"""A fix on record is recognised in other words, and another one is not taken for it."""

from __future__ import annotations

import pytest

from tests.policy.making import SPEC, state
from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.requests import Try
from workflows.policy import tries

FIX = "In greet.py, put the name into the returned text: return f'hello {name}' instead of 'hello'."


def proposes(fix: str) -> DiagnosisAnswer:
    return DiagnosisAnswer(root_cause="why", fix=fix, category="logic", confidence="high")


def tried(fix: str = FIX, result: str = "did not help: validation still unmet", failure: str | None = "f1") -> Try:
    return Try(iteration=3, root_cause="why", fix=fix, result=result, failure=failure)


@pytest.mark.parametrize(
    ("fix", "failure"),
    [
        (FIX, None),
        (FIX.upper(), None),
        ("Put the name into the returned text in greet.py: return f'hello {name}' instead of 'hello'.", None),
        ("in greet.py put the name in the returned text, i.e. return f'hello {name}' instead of 'hello'", None),
        ("Fix greet.py: the returned text must have the name in it, f'hello {name}', instead of 'hello'.", "f1"),
    ],
)
def test_the_same_fix_in_other_words(fix: str, failure: str | None) -> None:
    assert tries.repeated(proposes(fix), [tried()], failure) == tried()


@pytest.mark.parametrize(
    ("fix", "failure"),
    [
        ("Remove the stale copy build/greet.py that shadows the module, and add build/ to .gitignore.", "f1"),
        ("In test_greet.py, import greet from the package and not from the folder above it.", "f1"),
        ("Return the greeting in lower case: the test compares with 'hello ada'.", "f1"),
        ("Fix greet.py: the returned text must have the name in it, f'hello {name}', instead of 'hello'.", "f2"),
        ("In greet.py, strip blanks from the name before it is used.", "f1"),
    ],
)
def test_another_fix(fix: str, failure: str) -> None:
    assert tries.repeated(proposes(fix), [tried()], failure) is None


@pytest.mark.parametrize("result", ["", "worked", "not tried: the strategy changed"])
def test_what_was_not_found_useless_may_be_proposed_again(result: str) -> None:
    assert tries.repeated(proposes(FIX), [tried(result=result)], "f1") is None


def test_a_fix_that_is_dropped_was_not_tried() -> None:
    from workflows.policy import tasks

    session = state(iteration=3)
    tries.remember(SPEC, session, proposes(FIX))
    session.fix = tasks.fix_task(proposes(FIX), 3)
    tries.drop(session, "another way was taken")
    session.iteration = 4
    tries.settle(session)
    assert session.fix is None
    assert session.tries[-1].result == "not tried: another way was taken"
