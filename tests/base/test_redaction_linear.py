"""Looking for secrets costs time in proportion to the text, whoever wrote it and for whatever end."""

from __future__ import annotations

import time

import pytest

from overnight.base.redaction import Redactor, SlowTextError
from overnight.base.redaction.rules import RULES, Rule
from tests.innocent import innocent

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

SMALL, LARGE = 250_000, 1_000_000
FILLERS = (
    "",
    "a",
    "-",
    "=",
    ":",
    "/",
    "_aB1c",
    "aB1-x",
    "aaaaaaaa-",
    "a1B2c3D4e5",
    " = ",
    " " * 30,
    "a" * 60 + ".",
    "\n",
)
"""What stands between two keywords of a hostile text: of each sort that patterns go on with."""


def cost(rule: Rule, keyword: str, unit: str, size: int) -> float:
    """Seconds of processor time for a text that is full of the keyword."""
    text = unit * (size // len(unit))
    searched = text.lower() if rule.folded else text
    start = time.process_time()
    for _ in rule.hits(text, searched, keyword) if rule.keywords else rule.hits_anywhere(text):
        pass
    return time.process_time() - start


def worst(rule: Rule) -> tuple[str, str]:
    """The keyword and the unit that cost most."""
    keywords = rule.keywords or (".aaaaaa",)
    units = [(keyword, keyword + filler) for keyword in keywords for filler in FILLERS]
    return max(units, key=lambda unit: cost(rule, unit[0], unit[1], 10_000))


@pytest.mark.parametrize("rule", RULES, ids=[f"{n}-{rule.id}" for n, rule in enumerate(RULES)])
def test_four_times_the_text_costs_four_times_the_time(rule: Rule) -> None:
    keyword, unit = worst(rule)
    large = cost(rule, keyword, unit, LARGE)
    assert large < 0.2 or large < 8 * max(cost(rule, keyword, unit, SMALL), 0.02), unit


def test_no_rule_costs_much_more_than_the_others() -> None:
    """A bound that is wide by a factor of ten may hide in a text's length: 15 s for a MB were measured once."""
    costs = {f"{n}-{rule.id}": cost(rule, *worst(rule), 50_000) for n, rule in enumerate(RULES)}
    middle = sorted(costs.values())[-8]
    assert not {name for name, seconds in costs.items() if seconds > 12 * max(middle, 0.01)}


def test_a_text_that_takes_too_long_is_given_up() -> None:
    text = innocent(3, 400_000)
    redactor = Redactor.of(["a-value-that-we-know-42"])
    with pytest.raises(SlowTextError):
        redactor.findings(text, seconds=0)
    with pytest.raises(SlowTextError):
        redactor.findings("authorization=" * 50_000, seconds=0.05)
    assert redactor.findings(text, seconds=60) == redactor.findings(text)
