"""Processes that do not want to end, in an execute and in a validation: none outlives its call, however that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from overnight.demo.reply import Answer, Reply, Text
from overnight.demo.script import Request
from tests.escape.attacker.daemons import KINDS
from tests.escape.fortress import HERE, Fortress, marked
from tests.sessions.plays import CHECK, PLAN, RIGHT, TEST, Script, by_iteration, play, shell, write
from workflows.contracts.state import Status

DAEMONS = (HERE / "attacker" / "daemons.py").read_text()
STEPS = [{"id": f"s{n}", "title": f"step {n}", "instructions": "go on"} for n in (1, 2, 3)]
SETTLE = "python3 -c 'import time; time.sleep(0.7)'"
"""Long enough for all of them to have come up."""
REST = "python3 -c 'import time; time.sleep(600)'"
KILL_ALL = "kill -9 -1"
ORPHAN = "daemon-{}-orphan"


def begins(mark: str, *more: Reply) -> Script:
    """An execute that starts daemons of every kind."""
    start = f"python3 daemons.py {mark}; {SETTLE}"
    return [write("daemons.py", DAEMONS), shell(start), *more, Text("They are up.")]


def looking(seen: dict[str, list[int]], name: str, mark: str, then: Reply) -> Callable[[Request], Reply]:
    """A reply that first counts, at that moment, the daemons of the whole machine."""

    def reply(request: Request) -> Reply:
        seen[name] = marked(mark)
        return then

    return reply


@pytest.fixture(scope="module")
async def orphan(castle: Fortress, nonce: str) -> str:
    """A session in the middle of an execute that has started daemons."""
    mark = ORPHAN.format(nonce)
    script = begins(mark, shell(f"test -e again || {{ touch again; {REST}; }}", timeout=900_000))
    finished: Script = [*script[:3], write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]
    name = await castle.start("orphan", play(by_iteration(finished)), validation_command=f"test -e greet.py && {CHECK}")
    await castle.until(name, lambda s: len(marked(mark)) > len(KINDS) and (castle.tree(name) / "again").exists())
    return name


async def test_daemons_end_with_a_worker_that_is_killed(castle: Fortress, orphan: str, nonce: str) -> None:
    """kill -9 on the worker, in the middle of an execute: all of it is gone at once."""
    assert orphan
    assert marked(ORPHAN.format(nonce))
    await castle.worker.kill()
    async with asyncio.timeout(30):
        while marked(ORPHAN.format(nonce)):
            await asyncio.sleep(0.05)
    await castle.worker.start()


async def test_daemons_end_with_their_call(castle: Fortress, nonce: str) -> None:
    mark, check_mark = f"daemon-{nonce}-execute", f"daemon-{nonce}-check"
    seen: dict[str, list[int]] = {}
    wrong = begins(mark)
    right: Script = [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]

    def execute(request: Request) -> Reply:
        if request.iteration == 1 and request.turn == 2:
            seen["while it ran"] = marked(mark)
        if request.iteration == 2 and request.turn == 0:
            seen["after the execute"], seen["after the check"] = marked(mark), marked(check_mark)
        return by_iteration(wrong, right)(request)

    check = f"test -e daemons.py && python3 daemons.py {check_mark} && {SETTLE}"
    name = await castle.start(
        "daemons",
        play(execute, plan=Answer({**PLAN, "steps": STEPS[:2]})),
        max_iterations=2,
        validation_command=f"{check} && {CHECK} && test -e greet.py",
    )
    done = await castle.end(name)
    assert done.status is Status.COMPLETED, done.reason
    assert len(seen["while it ran"]) >= len(KINDS) + 1, "they did not come up: their end means nothing"
    assert seen["after the execute"] == []
    assert seen["after the check"] == []
    assert marked(mark) + marked(check_mark) == []


@pytest.mark.parametrize("how", ["cancel", "pause"])
async def test_daemons_end_when_a_person_says_so(castle: Fortress, nonce: str, how: str) -> None:
    mark = f"daemon-{nonce}-{how}"
    name = await castle.start(how, play(by_iteration(begins(mark, shell(REST, timeout=900_000)))))
    await castle.until(name, lambda s: len(marked(mark)) > len(KINDS) and len(castle.asked(name)) >= 3)
    if how == "cancel":
        await castle.sessions.cancel(name, reason="enough")
    else:
        await castle.sessions.pause(name, reason="enough", when="now")
    wanted = Status.CANCELLED if how == "cancel" else Status.PAUSED
    await castle.until(name, lambda s: s.status is wanted)
    assert marked(mark) == []
    if how == "pause":
        await castle.sessions.cancel(name)
        await castle.end(name)


async def test_a_call_that_kills_all_it_can_kills_itself_alone(castle: Fortress) -> None:
    """``kill -9 -1`` takes Claude Code with it: that is on record, the session goes on, and nobody else is hurt."""
    pid = castle.worker.pid
    right: Script = [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]
    suicide: Script = [write("before.txt", "kept"), shell(KILL_ALL), Text("unreachable")]
    name = await castle.start(
        "suicide",
        play(by_iteration(suicide, right), plan=Answer({**PLAN, "steps": STEPS})),
        max_iterations=2,
        validation_command=f"test -e greet.py || {{ {KILL_ALL}; }}; test -e greet.py && {CHECK}",
    )
    done = await castle.end(name)
    assert done.status is Status.COMPLETED, done.reason
    events = await castle.events(name)
    assert "Claude Code died and its conversation went on" in events
    assert (castle.tree(name) / "before.txt").read_text() == "kept"
    assert castle.worker.pid == pid
    assert (await castle.sessions.host()).pid == pid


async def test_the_session_of_the_killed_worker_goes_on(castle: Fortress, orphan: str, nonce: str) -> None:
    """Last, since Temporal needs its time to notice; another worker takes over."""
    done = await castle.end(orphan)
    assert done.status is Status.COMPLETED, done.reason
    assert marked(ORPHAN.format(nonce)) == []
    assert [p.name for p in (castle.home / "tmp").iterdir()] == [str(castle.worker.pid)], "left by the dead worker"
