"""Recovery on real parts: git, sandbox, Claude Code; only what the model says is scripted."""

from __future__ import annotations

from pathlib import Path

import pytest

from overnight.demo.reply import Answer, Reply, Text
from overnight.demo.script import Request
from tests.sessions.conftest import Shop, git
from tests.sessions.plays import PLAN, RIGHT, TEST, WRITES_IT, WRONG, by_iteration, new_diagnosis, play, shell, write
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

OTHER = 'def greet(name):\n    return "hi"\n'
STRATEGY = "Build the text from its parts."


def turns(*script: Reply) -> list[Reply]:
    return [*script, Text("Done.")]


async def test_back_and_forth_ends_with_another_approach(shop: Shop) -> None:
    """Two wrong versions in turn and one diagnosis for ever: only a new strategy brings a right one."""

    def execute(request: Request) -> Reply:
        if STRATEGY in request.text:
            script = turns(write("greet.py", RIGHT), write("test_greet.py", TEST))
        else:
            content = WRONG if request.iteration % 2 else OTHER
            script = turns(shell("rm -f greet.py"), write("greet.py", content), write("test_greet.py", TEST))
        return script[min(request.turn, len(script) - 1)]

    reflection = Answer({"change_approach": True, "new_strategy": STRATEGY, "lessons": []})
    session_id = await shop.start(play(execute, reflect=reflection))
    known = await shop.end(session_id)
    assert known.status is Status.COMPLETED, known.reason
    results = {rung.title: rung.result.partition(":")[0] for rung in known.recovery_log}
    assert results["diagnose and fix"] == "did not help"
    assert results["fresh context with the dead ends"] == "did not help"
    assert results["best checkpoint, another approach"] == "helped"
    assert known.recovery == ""
    # The same diagnosis was refused in words before the ladder climbed, and asked for once more.
    refused = [r for r in shop.asked(session_id, "diagnose") if "## Refused: a fix that was tried already" in r.prompt]
    assert refused
    assert "put the name into the returned text" in refused[0].prompt
    fresh = next(r for r in shop.asked(session_id, "execute") if r.turn == 0 and "Nothing that was tried" in r.prompt)
    assert "## Dead ends: tried, and it did not help" in fresh.prompt


async def test_a_regression_goes_back_to_the_best_checkpoint(shop: Shop) -> None:
    criteria = [
        {"id": f"c{n}", "description": f"there is {name}", "command": f"test -f {name}", "weight": 1}
        for n, name in enumerate(("a", "b", "c"))
    ]
    scripts = [
        turns(shell("touch a b; echo 1 > note")),
        turns(shell("rm a; echo 2 > note")),
        turns(shell("rm -f b; echo 3 > note")),
        [shell("echo note $(cat note); touch c"), *WRITES_IT],
    ]
    scenario = play(by_iteration(*scripts), plan=Answer({**PLAN, "criteria": criteria}), diagnose=new_diagnosis)
    session_id = await shop.start(scenario)
    known = await shop.end(session_id)
    assert known.status is Status.COMPLETED, known.reason
    branch = await shop.sessions.branch(session_id)
    shown = "--format=%H %T %(trailers:key=Overnight-Restores,valueonly,separator=%x2C)"
    listed = [line.split() for line in git(Path(branch.vault), "log", "--reverse", shown, branch.branch).splitlines()]
    assert len(listed) == 6, "the base, three executes, the way back, and the execute after it"
    first, back = listed[1], listed[4]
    assert back[2] == first[0]
    assert back[1] == first[1]
    results = [result.text for r in shop.asked(session_id, "execute") if r.iteration == 4 for result in r.results]
    assert any("note 1" in text for text in results), "the agent works in the restored workspace"


async def test_a_person_goes_back_to_an_iteration(shop: Shop) -> None:
    scripts = [turns(shell(f"echo {n} > note")) for n in (1, 2)]
    session_id = await shop.start(play(by_iteration(*scripts, WRITES_IT)), max_iterations=2)
    paused = await shop.end(session_id)
    assert paused.status is Status.PAUSED
    branch = await shop.sessions.branch(session_id)
    vault, last = Path(branch.vault), paused.commit
    # Going back to where it was before that is going back, too: nothing is lost.
    for iteration, expected in ((1, "1\n"), (2, "2\n")):
        await shop.sessions.rollback(session_id, iteration)
        known = await shop.until(session_id, lambda s: s.commit != last and s.status is Status.PAUSED)  # noqa: B023
        last = known.commit
        assert git(vault, "rev-parse", branch.branch).strip() == last
        assert git(vault, "show", f"{branch.branch}:note") == expected
        assert git(vault, "log", "-1", "--format=%s", branch.branch) == f"Go back to iteration {iteration}\n"
    await shop.sessions.rollback(session_id, 0)
    await shop.until(session_id, lambda s: s.commit != last and s.status is Status.PAUSED)
    assert git(vault, "ls-tree", branch.branch) == ""
    await shop.sessions.cancel(session_id)
    await shop.until(session_id, lambda s: s.status.is_final)


async def test_of_several_approaches_the_best_becomes_the_sessions(shop: Shop) -> None:
    approaches = ["Translate word by word.", STRATEGY, "Look it up in a table."]

    def execute(request: Request) -> Reply:
        content = RIGHT if STRATEGY in request.text else WRONG
        script = turns(shell("rm -f greet.py"), write("greet.py", content), shell("rm -f test_greet.py"))
        script = [*script[:-1], write("test_greet.py", TEST), script[-1]]
        return script[min(request.turn, len(script) - 1)]

    reflection = Answer({"change_approach": False, "new_strategy": None, "approaches": approaches, "lessons": []})
    session_id = await shop.start(play(execute, reflect=reflection), recovery_strategies=["parallel"])
    known = await shop.end(session_id)
    assert known.status is Status.COMPLETED, known.reason
    branch = await shop.sessions.branch(session_id)
    vault = Path(branch.vault)
    assert 'f"hello {name}"' in git(vault, "show", f"{branch.branch}:greet.py")
    refs = git(vault, "for-each-ref", "--format=%(refname:short)", f"refs/heads/{branch.branch}-*").split()
    assert refs == [f"{branch.branch}-1-a{n}" for n in (1, 2, 3)], "the others stay where a person can look at them"
    restores = git(vault, "log", "-1", "--format=%(trailers:key=Overnight-Restores,valueonly)", branch.branch).strip()
    assert restores == git(vault, "rev-parse", refs[1]).strip()
    report = await shop.sessions.report(session_id)
    assert all(ref in report for ref in refs), "and the report says where"
    metered = sum(len(shop.asked(f"{session_id}-1-a{n}", "execute")) for n in (1, 2, 3))
    assert metered >= 6
    assert known.usage.responses >= metered
