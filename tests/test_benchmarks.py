"""The benchmarks measure: each in its shortest form, without a look at how long things take."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmarks import iteration, recovery, steer

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("what", [iteration, recovery, steer], ids=lambda one: one.__name__.rpartition(".")[2])
async def test_it_measures_both_sides(what: ModuleType) -> None:
    figures = await what.measure(1)
    assert all(value > 0 for figure in figures for value in figure.bare), figures
    assert all(figure.values for figure in figures), figures
    assert any(figure.bare for figure in figures), figures
