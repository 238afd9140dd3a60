"""The attacks outside the sandbox, on decoys: each one notices when it succeeds, so its failure inside means something.

Nothing of the machine is touched: what would is aimed at files of the test, or at namespaces of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.escape.briefing import GROUPS, bring, everything
from tests.escape.canary import Canary, canaries
from tests.escape.fortress import ROOT, Fortress, Outcomes, outcomes
from tests.escape.naive import naive_gateway, naive_proxy
from tests.sessions.conftest import git

NOT_HERE = ["clock", "modules", "firewall"]
"""Commands that would change the machine even from namespaces of one's own."""
NOT_ON_EVERY_HOST = ("ENOSYS", "not found", "No such file", "EAFNOSUPPORT", "ENODEV", "EPROTONOSUPPORT", "EOPNOTSUPP")
"""Ends of attacks on what this host does not have: they prove nothing, here as inside."""
LEAD_NOWHERE = ("[64:ff9b", "[2002:", "fe80", "private.test", "[::127.0.0.1]", "[::1%25lo]", "metadata", "net:metadata")
"""Where not even a naive proxy gets to."""
NOT_OUTSIDE = ("join pid", "join user", "remount /usr", "remount /etc", "/dev/tty", "limits")
"""Attacks that need what is so inside alone, or rights that not even every root has."""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces without a user namespace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoys")


@pytest.fixture(scope="module")
def decoy(folder: Path, sign: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a secret in its environment, on its command line and in its memory, in namespaces of its own."""
    spaces = ["unshare", "--ipc", "--uts", "--net", "--mount", "--cgroup"] if os.geteuid() == 0 else []
    code = (
        "import sys, time; kept = open(sys.argv[2]); text = 'in memory ' + sys.argv[1]; print(1, flush=True)\n"
        "time.sleep(300)"
    )
    held = folder / "held"
    held.touch()
    process = subprocess.Popen(
        [*spaces, sys.executable, "-c", code, sign, str(held), "outpost"],
        env={**os.environ, "SECRET": sign},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def terminal() -> Iterator[str]:
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture(scope="module")
async def sacrifice(castle: Fortress) -> str:
    """A workflow that nobody works on."""
    handle = await castle.client.start_workflow("Sacrifice", id=f"sacrifice-{uuid4().hex}", task_queue="nobody")
    return handle.id


@pytest.fixture(scope="module")
async def practice(
    castle: Fortress, checkout: Path, folder: Path, decoy: subprocess.Popen[bytes], terminal: str, sacrifice: str
) -> AsyncIterator[dict[str, Outcomes]]:
    """What came of each group outside."""
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(canaries("practice", {"private": folder}))
        yield await _practise(castle, checkout, folder, decoy, terminal, sacrifice, own)


async def _practise(
    castle: Fortress,
    checkout: Path,
    folder: Path,
    decoy: subprocess.Popen[bytes],
    terminal: str,
    sacrifice: str,
    own: Canary,
) -> dict[str, Outcomes]:
    (castle.home / "vault" / "decoy.git").mkdir(parents=True, exist_ok=True)
    known = everything(
        castle, checkout, sacrifice, commit="", key="made-up", terminal=terminal, bwrap=str(folder / bring(folder))
    )
    told = folder / "told.json"
    told.write_text(json.dumps(_aside(known, folder, decoy.pid, own)))
    found: dict[str, Outcomes] = {}
    async with naive_proxy() as proxy, naive_gateway() as gateway:
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ATTACK_TOLD": str(told),
            "HTTP_PROXY": proxy,
            "http_proxy": proxy,
            "ANTHROPIC_BASE_URL": gateway,
            "ANTHROPIC_API_KEY": "a key",
        }
        for group in GROUPS:
            found[group] = outcomes(await _run(group, folder / "work", env))
    return found


async def _run(group: str, work: Path, env: dict[str, str]) -> str:
    spaces = ["unshare", "--mount", "--uts", "--ipc"] if group in {"syscalls", "powers"} and os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        *spaces, sys.executable, "-m", "tests.escape.attacker", group, cwd=work, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode(errors="replace")


def _aside(known: dict[str, Any], folder: Path, pid: int, own: Canary) -> dict[str, Any]:
    """The same labels, aimed at what may be reached."""
    work = folder / "work"
    work.mkdir()
    git(work, "init", "-q")
    git(work, "commit", "-q", "--allow-empty", "-m", "Decoy")
    numbers = iter(range(10_000))

    def file(_: object) -> str:
        path = folder / f"decoy-{next(numbers)}"
        path.write_text("worth a visit\n")
        return str(path)

    def place(_: object) -> str:
        path = folder / f"decoy-{next(numbers)}"
        path.mkdir()
        return str(path)

    def aimed(labels: dict[str, str], make: Any) -> dict[str, str]:
        return {label: make(path) for label, path in labels.items()}

    return {
        **known,
        "place": str(folder),
        "hidden_names": [str(folder)],
        "pid": pid,
        "only_processes": [pid],
        "first_process": pid,
        "not_here": NOT_HERE,
        "commit_of_another": git(work, "rev-parse", "HEAD").strip(),
        "write": {
            kind: aimed(labels, place if kind in {"folder", "system folder"} else file)
            for kind, labels in known["write"].items()
        },
        "read": aimed(known["read"], file),
        "read_once": aimed(known["read_once"], file),
        "repositories": dict.fromkeys(known["repositories"], str(work / ".git")),
        "objects": {label: path and str(work / ".git" / "objects") for label, path in known["objects"].items()},
        "ports": dict.fromkeys(known["ports"], own.port),
        "canary_port": own.port,
        "allowed_port": own.allowed_port,
        "udp_port": own.udp_port,
        "sockets": {
            label: own.abstract if label == "abstract" else str(own.sockets["private"]) for label in known["sockets"]
        },
    }


def _all_noticed(found: Outcomes, *but: str, least: int) -> None:
    """Every attack noticed its success, but for those that lead nowhere anyhow."""
    missed = [
        f"{name}: {outcome} {detail}"
        for name, (outcome, detail) in found.items()
        if outcome != "reached"
        and not any(words in detail for words in NOT_ON_EVERY_HOST)
        and not any(part in name for part in but)
    ]
    assert not missed, "\n".join(missed)
    assert len(found) >= least


@root_only
def test_every_write_notices_that_it_wrote(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["files"], least=150)


@root_only
def test_every_read_notices_that_it_read(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["reads"], least=200)


def test_a_naive_proxy_lets_everything_through(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["network"], *LEAD_NOWHERE, least=150)


async def test_the_engine_obeys_whoever_reaches_it(
    practice: dict[str, Outcomes], castle: Fortress, sacrifice: str
) -> None:
    _all_noticed(practice["engine"], least=2 * 3 * 7)
    kinds = {event.WhichOneof("attributes") for event in await castle.history(sacrifice)}
    assert "workflow_execution_signaled_event_attributes" in kinds
    assert "workflow_execution_terminated_event_attributes" in kinds


def test_a_naive_gateway_lets_everything_through(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["gateway"], least=15)


@root_only
def test_the_kernel_answers_whoever_may_ask(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["syscalls"], least=60)


@root_only
def test_the_sweep_finds_what_is_open(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["sweep"], least=4)


@root_only
def test_root_has_all_powers(practice: dict[str, Outcomes]) -> None:
    _all_noticed(practice["powers"], *NOT_OUTSIDE, least=45)
