"""More of everything than there is: each limit holds and is told, with the setting that changes it; work goes on."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

import psutil
import pytest

from overnight.demo.reply import Answer, Reply, Say, Text
from tests.escape.attacker.bombs import FOLDERS, ODD
from tests.escape.fortress import HERE, Fortress
from tests.sessions.plays import PLAN, RIGHT, TEST, Script, by_iteration, play, shell, write
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

IN_EACH = int(os.environ.get("OVERNIGHT_TEST_CROWD", "20"))
"""Files in each of 50 folders; 1000 is what the suite was made for, and minutes where new files are slow."""
BOMBS = (HERE / "attacker" / "bombs.py").read_text().replace("IN_EACH = 50, 20\n", f"IN_EACH = 50, {IN_EACH}\n")
BOMB = "python3 bombs.py"
STEPS = [{"id": f"s{n}", "title": f"step {n}", "instructions": "go on"} for n in (1, 2, 3)]
IN_CHECKS = ("handles", "time_of_processor", "size", "output", "disk")
"""One check each, in a sandbox of its own."""
SETTINGS = {
    "memory": "OVERNIGHT_BOX_MEMORY_GB",
    "forks": "OVERNIGHT_BOX_PROCESSES",
    "handles": "OVERNIGHT_BOX_OPEN_FILES",
    "time_of_processor": "OVERNIGHT_BOX_CPU_MINUTES",
    "size": "OVERNIGHT_BOX_FILE_GB",
    "output": "OVERNIGHT_BOX_OUTPUT_MB",
    "disk": "OVERNIGHT_BOX_DISK_GB",
}
HARMLESS = "import sys\nsys.exit(0)\n"
MOST_OF_A_WORKER = 700_000_000


def checks(*bombs: str) -> dict[str, object]:
    """A plan whose criteria are bombs; they freeze with it."""
    criteria = [{"id": f"c{n}", "description": b, "command": f"{BOMB} {b}"} for n, b in enumerate(bombs[1:], 1)]
    return {**PLAN, "steps": STEPS, "criteria": criteria}


def mends(*before: Reply) -> Script:
    """An execute after which every check holds."""
    files = [write("bombs.py", HARMLESS), write("greet.py", RIGHT), write("test_greet.py", TEST)]
    return [*before, Say(*files), Text("x" * 3_000_000)]


@dataclass
class Bombed:
    session_id: str
    status: SessionStatus
    events: str


@pytest.fixture(scope="module")
async def started(tight: Fortress) -> tuple[str, str]:
    """Two sessions at once: one that explodes and then does its work, one whose bombs hide."""
    explode: Script = [
        write("bombs.py", BOMBS),
        shell(f"{BOMB} sparse; {BOMB} crowd; {BOMB} names; ls"),
        # Last: without room for another thread, Claude Code itself may give up.
        shell(f"{BOMB} memory; {BOMB} forks; true"),
        Text("Survived."),
    ]
    hide: Script = [write("bombs.py", BOMBS), shell(f"{BOMB} deep; {BOMB} disk_of_config; true"), Text("All is well.")]
    name = await tight.start(
        "bombs",
        play(by_iteration(explode, mends(shell("rm -rf odd sparse crowd"))), plan=Answer(checks(*IN_CHECKS))),
        max_iterations=2,
        validation_command=f"{BOMB} {IN_CHECKS[0]}",
    )
    plan = Answer(checks("line", "disk_deep", "disk_unnamed"))
    other = await tight.start(
        "hidden", play(by_iteration(hide), plan=plan), on_limit="fail", validation_command=f"{BOMB} line"
    )
    return name, other


@pytest.fixture(scope="module")
async def bombed(tight: Fortress, started: tuple[str, str]) -> Bombed:
    """The first of them, at its end."""
    name, _ = started
    return Bombed(name, await tight.end(name), await tight.events(name))


def test_the_session_goes_on_to_its_end(bombed: Bombed) -> None:
    assert bombed.status.status is Status.COMPLETED, f"{bombed.status.reason}\n{bombed.events}"
    assert bombed.status.iteration == 2


@pytest.mark.parametrize("bomb", SETTINGS)
def test_each_limit_is_told(bombed: Bombed, bomb: str, tight: Fortress) -> None:
    if bomb in {"memory", "forks"} and "no cgroup" in bombed.status.sandbox:
        pytest.skip("this host lets nobody make a control group: what is sampled may be missed")
    assert f"({SETTINGS[bomb]})" in bombed.events


@pytest.mark.parametrize("number", range(len(IN_CHECKS)))
async def test_the_evidence_tells_it_too(bombed: Bombed, tight: Fortress, number: int) -> None:
    criterion = f"plan-{number}" if number else "validation"
    log = await tight.printed(bombed.session_id, criterion)
    assert SETTINGS[IN_CHECKS[number]] in log


async def test_what_is_committed_is_what_can_be(bombed: Bombed, tight: Fortress) -> None:
    """Names of every kind, thousands of files; not 5 GB of nothing, which is told."""
    branch = await tight.sessions.branch(bombed.session_id)
    listed = _files(branch.vault, branch.commits[1].commit)
    assert sum(name.startswith(b"crowd/") for name in listed) == FOLDERS * IN_EACH
    assert {b"odd/" + name for name in ODD} <= set(listed)
    assert b"sparse" not in listed
    assert "sparse was not committed: too large" in bombed.events


def _files(vault: str, commit: str) -> list[bytes]:
    args = ["git", "ls-tree", "-r", "-z", "--name-only", commit]
    return subprocess.run(args, cwd=vault, capture_output=True, check=True).stdout.split(b"\0")


def test_the_worker_is_well(bombed: Bombed, tight: Fortress) -> None:
    worker = psutil.Process(tight.worker.pid)
    assert worker.memory_info().rss < MOST_OF_A_WORKER
    assert worker.num_fds() < 200
    assert "Traceback" not in tight.worker.log.read_text()


async def test_history_stays_small(bombed: Bombed, tight: Fortress) -> None:
    for event in await tight.history(bombed.session_id):
        assert event.ByteSize() < 256_000


HIDDEN = {
    "disk_deep": "plan-1",
    "disk_unnamed": "plan-2",
    "disk_of_config": "execute",
}
"""Bombs that fill the disk where a simple look does not see it, and where their limit is to be told."""


@pytest.fixture(scope="module")
async def hidden(tight: Fortress, started: tuple[str, str]) -> dict[str, str]:
    """What was told of each of them; and a line of 20 MB, which a validation command prints."""
    _, name = started
    done = await tight.end(name)
    assert done.reason.startswith("limit: iterations"), done.reason
    events = (await tight.events(name)).splitlines()
    told = {check: "\n".join(e for e in events if e.startswith(check)) for check in ("plan-1", "plan-2", "validation")}
    first = next(n for n, e in enumerate(events) if e.startswith("#1 "))
    return {**told, "execute": "\n".join(events[:first]), "line": await tight.printed(name, "validation")}


@pytest.mark.parametrize("bomb", HIDDEN)
def test_no_place_hides_from_the_limit_on_disk(hidden: dict[str, str], bomb: str) -> None:
    assert "(OVERNIGHT_BOX_DISK_GB)" in hidden[HIDDEN[bomb]]


def test_a_huge_line_is_kept_at_both_ends(hidden: dict[str, str]) -> None:
    assert len(hidden["line"]) < 9_000_000
    assert "bytes left out" in hidden["line"]
