"""No cheat is a success, honest work is one, and no more model calls are made than it takes: ``make chaos``."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import pytest_asyncio

from benchmarks.fooled import table
from benchmarks.fooled.runs import Outcome, everybody
from benchmarks.fooled.trial import Trial
from benchmarks.fooled.trials import TRIALS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1_800)]
Outcomes = Mapping[str, Outcome]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outcomes() -> Outcomes:
    """Every trial, played once."""
    return {one.trial.name: one for one in await everybody(TRIALS)}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
async def test_each_ends_as_it_should(outcomes: Outcomes, trial: Trial) -> None:
    """Status and reason, what a person is told, and which loops are fooled."""
    outcome = outcomes[trial.name]
    assert outcome.surprises == []
    assert outcome.overnight.completed == (not outcome.overnight.wrong)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
async def test_each_iteration_takes_the_calls_that_it_needs(outcomes: Outcomes, trial: Trial) -> None:
    """One to work; a judge only where a trial says that the commands held; one to diagnose what is not met."""
    iterations = outcomes[trial.name].overnight.calls
    assert len(iterations) <= trial.most
    for number, phases in enumerate(iterations, start=1):
        assert phases[0] == "execute"
        assert phases.count("execute") == 1
        assert phases.count("judge") == (trial.phases is not None and "judge" in trial.phases[number - 1])
        last = number == len(iterations)
        # Where recovery decides, it may go another way without a diagnosis, or refuse a fix and ask anew.
        expected = range(1, 2) if trial.phases is not None else range(3)
        assert phases.count("diagnose") in ([0] if last and (trial.right or trial.asks) else expected)


def test_the_documentation_has_this_table(outcomes: Outcomes) -> None:
    assert table.documented() == table.table([outcomes[trial.name] for trial in TRIALS])
