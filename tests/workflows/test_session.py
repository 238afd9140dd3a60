"""The loop with typed fakes: what a person sees of success, failure, limits and messages."""

from __future__ import annotations

from tests.workflows.conftest import NewBench
from tests.workflows.fakes import World
from workflows.contracts.requests import ExecuteRequest
from workflows.contracts.state import Status


async def test_wrong_then_diagnosed_then_right(new_bench: NewBench) -> None:
    world = World(passes_at=2)
    result = await (await new_bench(world)).run()
    assert result.status is Status.COMPLETED
    assert result.iterations == 2
    executes = world.seen(ExecuteRequest)
    assert [e.step for e in executes] == ["s1", "fix-1"]
    assert executes[1].brief.unmet[0].criterion == "validation"
    assert "Confirmed in a clean clone" in result.report
