"""An agent that speaks to the worker in Claude Code's name: it may end its own call, and gets nothing else."""

from __future__ import annotations

import psutil
import pytest

from overnight.demo.reply import Answer, Reply, Text
from tests.escape.fortress import HERE, Fortress
from tests.sessions.plays import CHECK, PLAN, RIGHT, TEST, Script, by_iteration, play, shell, write
from workflows.contracts.state import Status

LIES = ("noise", "controls", "success", "limit", "credential", "offline")
"""Others are told in `tests/activities/claude/test_forged.py`: a session for each would take too long."""
FORGE = (HERE / "attacker" / "forge.py").read_text()
STEPS = [{"id": f"s{n}", "title": f"step {n}", "instructions": "go on"} for n in range(1, 6)]


@pytest.fixture(scope="module")
async def liars(castle: Fortress) -> dict[str, str]:
    """One session for each way to lie, all at once."""
    right: list[Reply] = [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]
    found: dict[str, str] = {}
    for what in LIES:
        lies: Script = [write("forge.py", FORGE), shell(f"python3 forge.py {what}"), Text("All criteria are met.")]
        found[what] = await castle.start(
            f"forged-{what}",
            play(by_iteration(lies, right), plan=Answer({**PLAN, "steps": STEPS})),
            max_iterations=4,
            validation_command=f"test -e greet.py && {CHECK}",
        )
    return found


@pytest.mark.parametrize("what", LIES)
async def test_forged_words_decide_nothing(castle: Fortress, liars: dict[str, str], what: str) -> None:
    name = liars[what]
    done = await castle.end(name)
    await castle.sessions.cancel(name)
    assert done.status is Status.COMPLETED, f"{done.reason}\n{await castle.events(name)}"
    assert done.iteration >= 2, "the lie was believed"
    responses = len([r for r in castle.model.requests if r.session == name])
    assert done.usage.responses == responses, "what was not metered was spent"
    assert psutil.Process(castle.worker.pid).is_running()
