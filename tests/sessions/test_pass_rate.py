"""How many tests must pass: a session ends well by its threshold, and by nothing but failed tests."""

from __future__ import annotations

import pytest

from overnight.demo.reply import Text
from tests.sessions.conftest import Shop
from tests.sessions.plays import RIGHT, by_iteration, play, write
from workflows.contracts.state import Status

MANY = """
import unittest
from greet import greet


class Greeting(unittest.TestCase):
    pass


def says(number):
    return lambda self: self.assertEqual(greet(str(number)), f"hello {number}" if number not in FAILING else "")


FAILING = {failing}
for number in range(20):
    setattr(Greeting, f"test_{number:02}", says(number))
"""


def suite(*failing: int) -> str:
    return MANY.replace("{failing}", repr(list(failing)))


@pytest.mark.chaos
async def test_one_failed_test_of_twenty_is_within_the_threshold_and_two_are_not(shop: Shop) -> None:
    scenario = play(
        by_iteration(
            [write("greet.py", RIGHT), write("test_greet.py", suite(3, 7)), Text("Done.")],
            [write("test_greet.py", suite(7)), Text("Done.")],
        )
    )
    known = await shop.run(scenario, session_id="nearly-all")
    assert (known.status, known.iteration) == (Status.COMPLETED, 2), known.reason
    (ran,) = known.test_results
    assert (ran.passed, ran.exit_code, ran.rate) == (True, 1, 0.95)
    assert (ran.tally.passed, ran.tally.failed, ran.tally.failing) == (19, 1, ["test_greet.Greeting.test_07"])

    words = "18 of 20 tests pass (printed summary), failing: test_greet.Greeting.test_03, test_greet.Greeting.test_07"
    assert words in shop.asked("nearly-all", "diagnose")[0].prompt
    assert words in shop.asked("nearly-all", "execute")[-1].prompt
    judged = shop.asked("nearly-all", "judge")[0].prompt
    assert "`validation`: exit code 1, 19 of 20 tests pass (printed summary), failing: test_greet" in judged
    report = await shop.sessions.report("nearly-all")
    assert report.count("19 of 20 tests pass (printed summary)") == 2, "in the table and of the clean clone"


@pytest.mark.chaos
async def test_a_suite_without_tests_is_told_to_people_and_to_the_judge(shop: Shop) -> None:
    known = await shop.run(
        play(by_iteration([write("greet.py", RIGHT), Text("Done.")])),
        session_id="no-tests",
        validation_command="python3 -c 'import greet'",
    )
    assert known.status is Status.COMPLETED
    assert known.test_results[0].no_tests
    assert "`validation`: exit code 0, no test was seen" in shop.asked("no-tests", "judge")[0].prompt
    assert "no test was seen" in await shop.sessions.report("no-tests")
    events = await shop.sessions.events("no-tests")
    assert any(e.text == "validation ended well, but no test was seen to run" for e in events.events)
