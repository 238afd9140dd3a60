"""One session attacks everything at once, from Claude Code's shell and from a check: it reaches nothing."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.api.enums.v1 import EventType

from activities.sandbox.devices import makes_devices
from overnight.demo.reply import Answer, Reply, Text
from overnight.demo.script import Request
from tests.escape.briefing import ALLOWED, GROUPS, NODES, attack, bring, command, everything
from tests.escape.canary import snapshot
from tests.escape.fortress import Fortress, Outcomes, marked, outcomes
from tests.sessions.conftest import git
from tests.sessions.plays import CHECK, PLAN, RIGHT, TEST, Script, by_iteration, play, shell, write
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

TWO_STEPS = {**PLAN, "steps": [{"id": f"s{n}", "title": f"step {n}", "instructions": "go on"} for n in (1, 2)]}
"""With a step left, a failed validation asks for no diagnosis."""
STEAL = (
    'python3 -c \'import json, os; json.dump({k: os.environ[k] for k in ("ANTHROPIC_API_KEY",)}, open("key.json",'
    ' "w"))\''
)
WAIT = "python3 -c 'import pathlib, time\nwhile not pathlib.Path(\"go\").exists(): time.sleep(0.1)'"
VICTIM: list[Script] = [
    [write("greet.py", 'def greet(name):\n    return "secret work of another"\n'), Text("Begun.")],
    [
        write(".gitignore", "key.json\ngo\n"),
        shell(STEAL),
        shell(WAIT, timeout=600_000),
        write("greet.py", RIGHT),
        write("test_greet.py", TEST),
        Text("Done."),
    ],
]
"""Commits something, then works until the test says go: it is the other session that must not notice anything."""


KNOWN_HOLES = {"net:unix:shared": "a Unix socket in a folder that is shown can be connected to, read-only or not"}
"""Attacks that succeed today."""
if (
    not int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)[7:], 16) >> 24
    & 1
):
    KNOWN_HOLES["power:last to be killed"] = (
        "what a box raised itself, it lowers again; root's CAP_SYS_RESOURCE hinders it"
    )
OWN_DEVICES = {f"write:{name}:same_mode" for name in (*NODES, "stdin")} if makes_devices() else set()
"""Not the host's: see ``tests/activities/sandbox/test_devices.py``."""


@dataclass
class Siege:
    """What an attack came to, and what the world looked like before it."""

    session_id: str
    known: dict[str, Any]
    status: SessionStatus
    execute: Outcomes
    validate: Outcomes
    before: dict[str, tuple[object, ...]]
    after: dict[str, tuple[object, ...]]
    paths_asked: set[str]
    workflows: set[str]


@pytest.fixture(scope="module")
def terminal() -> Iterator[str]:
    """A terminal of the host, as the one in which somebody started the worker."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture(scope="module")
def by_stander(nonce: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user that has nothing to do with it all."""
    process = subprocess.Popen(["python3", "-c", "import time; time.sleep(600)", f"by-stander-{nonce}"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
async def victim(castle: Fortress, checkout: Path) -> AsyncIterator[str]:
    """Another session of the same project, in the middle of its work."""
    bring(checkout / "brought")
    git(checkout, "add", "brought")
    git(checkout, "commit", "-q", "-m", "Bring tools along")
    name = await castle.start(
        "victim",
        play(by_iteration(*VICTIM), plan=Answer(TWO_STEPS)),
        project=str(checkout),
        max_iterations=3,
        validation_command=f"test -e test_greet.py && {CHECK}",
    )
    while not (castle.tree(name) / "key.json").exists():
        known = await castle.sessions.status(name)
        assert not known.status.is_final, known.reason
        await asyncio.sleep(0.05)
    yield name
    (castle.tree(name) / "go").touch()
    await castle.end(name)


@pytest.fixture(scope="module")
async def siege(
    castle: Fortress, checkout: Path, victim: str, terminal: str, by_stander: subprocess.Popen[bytes]
) -> Siege:
    """The attack, from its start to its end."""
    del by_stander
    (castle.shared / "visible.txt").write_text("everybody may read this\n")
    commit = (await castle.sessions.status(victim)).commit
    assert commit is not None
    key = json.loads((castle.tree(victim) / "key.json").read_text())["ANTHROPIC_API_KEY"]
    known = everything(
        castle, checkout, victim, commit=commit, key=key, terminal=terminal, bwrap="/workspace/brought/bwrap"
    )
    watched = (castle.place / "person", checkout, castle.shared / "visible.txt", castle.tree(victim))
    state = [castle.home / name for name in ("temporal.db", "stack.json", "settings.env", "knowledge/learned.db")]
    before = snapshot(*watched, *state)
    workflows = await _workflows(castle)
    name = await castle.start(
        "attacker",
        play(_attack(known), plan=Answer(TWO_STEPS)),
        project=str(checkout),
        on_limit="fail",
        validation_command=command(*GROUPS),
    )
    status = await castle.end(name)
    return Siege(
        name,
        known,
        status,
        outcomes(castle.said(name)),
        outcomes(await castle.printed(name, "validation")),
        before,
        snapshot(*watched, *state),
        castle.tap.paths,
        await _workflows(castle) - workflows - {name},
    )


def _attack(known: dict[str, Any]) -> Any:
    """The attacker's script, and an answer to whoever asks without Claude Code."""
    script = by_iteration(attack(known, *GROUPS))

    def reply(request: Request) -> Reply:
        return script(request) if request.tools else Text("yes?")

    return reply


async def _workflows(castle: Fortress) -> set[str]:
    return {found.id async for found in castle.client.list_workflows()}


def test_it_was_all_tried(siege: Siege) -> None:
    assert siege.status.status is Status.FAILED, siege.status.reason
    assert siege.status.reason.startswith("limit: iterations")
    for place in (siege.execute, siege.validate):
        broken = [f"{name}: {detail}" for name, (outcome, detail) in place.items() if outcome == "broken"]
        assert not broken, "\n".join(broken)
        groups = {name.partition(":")[0] for name in place}
        assert groups == {
            "write",
            "read",
            "look",
            "net",
            "engine",
            "gateway",
            "call",
            "space",
            "power",
            "own",
            "may",
            "sweep",
        }
        assert len(place) > 700
    assert set(siege.execute) == set(siege.validate)


@pytest.mark.parametrize("where", ["execute", "validate"])
def test_nothing_is_reached(siege: Siege, where: str) -> None:
    allowed = ALLOWED | ({"gateway:own call"} if where == "execute" else set())
    found: Outcomes = getattr(siege, where)
    # What an attacker may or may not do to the other processes of its own sandbox is the kernel's business.
    reached = {n: detail for n, (outcome, detail) in found.items() if outcome == "reached" and not n.startswith("may:")}
    escaped = [
        f"{name}: {detail}" for name, detail in reached.items() if name not in allowed | set(KNOWN_HOLES) | OWN_DEVICES
    ]
    assert not escaped, "\n".join(escaped)
    assert allowed <= set(reached), "what is allowed does not work: the attacks may fail for that reason alone"


@pytest.mark.parametrize("name", KNOWN_HOLES)
@pytest.mark.xfail(strict=True, reason="known; when it is closed, take it out of KNOWN_HOLES")
def test_known_holes(siege: Siege, name: str) -> None:
    assert siege.execute[name][0] == "refused", KNOWN_HOLES[name]


def test_the_hosts_files_are_as_they_were(siege: Siege) -> None:
    assert siege.after == siege.before


def test_no_server_of_the_host_was_reached(siege: Siege, castle: Fortress) -> None:
    assert [visit for visit in castle.canary.visits if visit != "shared"] == []
    assert castle.canary.allowed > 0, "the way out did not work at all"


def test_the_model_s_service_was_asked_for_messages_alone(siege: Siege, castle: Fortress) -> None:
    assert siege.paths_asked <= {"/v1/messages", "/v1/messages/count_tokens"}
    free = [r for r in castle.model.requests if r.prompt == "from the shell"]
    assert [r.session for r in free] == [siege.session_id], "a call came in another session's name"
    assert all(r.headers["x-api-key"] == castle.secret for r in castle.model.requests)


async def test_the_other_session_never_noticed(siege: Siege, castle: Fortress, victim: str) -> None:
    kinds = {EventType.Name(event.event_type) for event in await castle.history(victim)}
    foreign = {kind for kind in kinds if "SIGNAL" in kind or "UPDATE" in kind or "CANCEL" in kind or "TERMINAT" in kind}
    assert foreign == set()
    assert "attacker" not in "".join(str(event) for event in await castle.history(victim))
    assert siege.workflows == set(), "sessions that nobody started"
    (castle.tree(victim) / "go").touch()
    done = await castle.end(victim)
    assert done.status is Status.COMPLETED, done.reason


async def test_the_person_sees_what_was_refused(siege: Siege, castle: Fortress) -> None:
    events = await castle.events(siege.session_id)
    assert "network: blocked" in events
    assert f"127.0.0.1:{castle.engine_port}" in events
    assert "more such notes" in events
    log = await castle.printed(siege.session_id, "validation")
    for target in (f"127.0.0.1:{castle.engine_port}", f"127.0.0.1:{castle.canary.port}", "169.254.169.254:80"):
        assert f"[Overnight: network: blocked {target}" in log


def test_by_standers_live(siege: Siege, castle: Fortress, by_stander: subprocess.Popen[bytes], nonce: str) -> None:
    assert by_stander.poll() is None
    assert marked(f"by-stander-{nonce}") == [by_stander.pid]
    assert psutil.Process(castle.worker.pid).is_running()


def test_only_the_owner_comes_to_a_workspace(siege: Siege, castle: Fortress) -> None:
    """What an agent leaves there belongs to the worker's user: root's own shell with his rights, if that is root."""
    folder = castle.home / "sessions" / siege.session_id
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_nothing_of_the_worker_is_in_the_record(siege: Siege, castle: Fortress) -> None:
    said = castle.said(siege.session_id)
    assert castle.sign not in said
    assert "postgres://" not in said
