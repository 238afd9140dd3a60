"""Commands of the person that cannot run are the person's to mend, and not the agent's failure."""

from __future__ import annotations

import pytest

from tests.policy.making import CRITERIA, HEAD, ran, state
from tests.workflows.conftest import NewBench, reaches, said
from tests.workflows.fakes import World
from workflows.contracts.evidence import Scorecard
from workflows.contracts.requests import DiagnoseRequest, ExecuteRequest
from workflows.contracts.spec import HeldOut
from workflows.contracts.state import Status
from workflows.policy import absent

GIVEN = HeldOut(kind="folder", source="/acc", command="nosuchcmd held_out")


@pytest.mark.parametrize("then", [0, 1], ids=["mended", "fails"])
async def test_a_command_that_is_not_there_pauses_for_the_person_at_once(new_bench: NewBench, then: int) -> None:
    world = World(passes_at=1, held_out=[127, then])
    handle = await (await new_bench(world)).start(held_out=GIVEN)
    status = await reaches(handle, Status.PAUSED)
    assert status.reason == (
        "your held-out command does not run: nosuchcmd held_out: exit code 127, a program was not found in the sandbox;"
        " look at it and resume"
    )
    assert "it runs again" in status.next
    assert status.held_out is not None
    assert (status.held_out.passed, status.held_out.exit_code) == (False, 127)
    assert (len(world.seen(ExecuteRequest)), world.seen(DiagnoseRequest)) == (1, []), "the agent is asked nothing"
    await handle.signal("resume")
    result = await handle.result()
    assert result.status is Status.COMPLETED
    assert result.iterations == 1 + then, "what runs, and fails, is the agent's again"
    assert "| `nosuchcmd held_out` | yes | exit code 0 on" in result.report


async def test_a_validation_command_that_is_not_there_is_told_at_once_and_asked_about_soon(new_bench: NewBench) -> None:
    world = World(passes_at=4, exits=127, prints=lambda _: "sh: 1: nosuchcmd: not found")
    handle = await (await new_bench(world)).start(validation_command="nosuchcmd -q")
    status = await reaches(handle, Status.PAUSED)
    assert status.iteration == 2
    assert status.reason == (
        "your validation command does not run: nosuchcmd was not found in the sandbox; have it there, then resume"
    )
    told = await said(handle)
    wanted = "validation does not run (exit code 127): nosuchcmd was not found in the sandbox; the report says how"
    assert [text for text in told if text.startswith(wanted)]
    assert len(world.seen(DiagnoseRequest)) == 1, "no more is spent on it before somebody has looked"
    report = await handle.query("report", result_type=str)
    assert "| no | exit code 127 (nosuchcmd was not found in the sandbox) in" in report
    assert "OVERNIGHT_SANDBOX_READABLE" in report
    await handle.signal("resume")
    assert (await handle.result()).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("command", "printed", "code"),
    [
        ("./run.sh", "sh: 1: ./run.sh: not found", 127),
        ("npm test", "sh: 1: jest: not found", 127),
        ("nosuchcmd", "nosuchcmd: not found", 1),
    ],
)
def test_what_the_work_can_provide_asks_nobody(command: str, printed: str, code: int) -> None:
    session = state(criteria=[CRITERIA[0].model_copy(update={"command": command})])
    session.card = Scorecard(commit=HEAD, commands=[ran("validation", exit_code=code, rate=0.0, tail=printed)])
    assert [absent.pause(session) for _ in range(5)] == [""] * 5
