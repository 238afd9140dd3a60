"""Two hosts that share Temporal, the vault's URL and the artifact store: what one leaves, the other goes on with."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from activities.artifacts.address import Address
from overnight.stack import find
from tests.activities.s3 import environment as credential
from tests.activities.s3 import s3_server
from tests.chaos.cable import OURS, cable
from tests.chaos.moments import TOOL
from tests.chaos.story import Story, assert_charged, assert_paid_once, assert_same_end, story
from tests.chaos.yard import (
    POLL_SECONDS,
    Held,
    Yard,
    command_lines,
    patiently,
    processes_of,
    yard,
)
from tests.sessions.conftest import git
from tests.worker_process import WorkerProcess
from workflows.calls import turns_queue
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

STOPS_WITHIN_SECONDS = 10.0
"""Half of the heartbeat time-out is 5 s; asking whether Temporal is there, and ending Claude Code, take the rest."""


@dataclass
class Relay:
    """The second host's way to Temporal, which can be cut: what is sent is lost, and nobody hears of it."""

    address: str
    cut: bool = False


@asynccontextmanager
async def relay(target: str, at: str = "127.0.0.1") -> AsyncIterator[Relay]:
    """A way to ``target`` (host and port) that begins at the address ``at``."""
    host, _, port = target.rpartition(":")
    pumps: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while data := await source.read(65_536):
                if made.cut:
                    await asyncio.Event().wait()
                sink.write(data)
                await sink.drain()
            sink.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(pump(source, sink))
            pumps.add(task)
            task.add_done_callback(pumps.discard)

    server = await asyncio.start_server(join, at, 0)
    made = Relay(f"{at}:{server.sockets[0].getsockname()[1]}")
    try:
        yield made
    finally:
        server.close()
        for task in list(pumps):
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


@dataclass
class Fleet:
    """Two hosts: the yard's own, and one that is started and ended by hand."""

    yard: Yard
    project: Path
    vault: Path
    undisturbed: Story

    @property
    def other(self) -> Path:
        """Home of the second host."""
        return self.yard.place / "other"

    @asynccontextmanager
    async def second(self, address: str, *where: str, **more: str) -> AsyncIterator[None]:
        """The second host, with its worker ready, started by way of ``where``."""
        chosen = self.yard.settings
        given = {
            **self.yard.given(),
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "OVERNIGHT_HOME": str(self.other),
            "OVERNIGHT_VAULT_URL": str(chosen.vault_url),
            "OVERNIGHT_ARTIFACTS_URL": str(chosen.artifacts_url),
            "OVERNIGHT_SNAPSHOT_SECONDS": str(chosen.snapshot_seconds),
            "OVERNIGHT_SANDBOX_READABLE": json.dumps([str(path) for path in chosen.sandbox_readable]),
            "OVERNIGHT_GRACE_SECONDS": str(chosen.grace_seconds),
            "OVERNIGHT_TURN_SLOTS": str(chosen.turn_slots),
            **more,
        }
        worker = WorkerProcess(self.other, given, where=where)
        try:
            await worker.start()
            self.yard.workers.add(worker.pid)
            yield
        finally:
            await worker.stop()

    async def start(self, name: str, *, held: bool = True) -> Held:
        return await self.yard.start(TOOL if held else None, name, project=str(self.project))

    async def end(self, held: Held) -> Story:
        """What became of it, with the vault that both hosts share."""
        while True:
            known = await patiently(lambda: self.yard.sessions.status(held.name))
            if known.status.is_final or known.status.value in {"paused", "waiting_limit"}:
                return await story(self.yard.temporal, known, self.vault, self.yard.model.exchanges)
            await asyncio.sleep(POLL_SECONDS)

    async def kept(self, held: Held) -> str:
        """The commit that keeps the work in progress, once that has the transcript."""
        ref = f"refs/overnight/{held.name}/work"
        while True:
            with suppress(subprocess.CalledProcessError):
                if "transcript.jsonl" in git(self.vault, "ls-tree", "--name-only", ref):
                    return git(self.vault, "rev-parse", ref).strip()
            await asyncio.sleep(POLL_SECONDS)

    async def queues(self, held: Held) -> list[str]:
        """Where calls were sent, by the end of the queue's name."""
        history = await self.yard.temporal.get_workflow_handle(held.name).fetch_history()
        names = [e.activity_task_scheduled_event_attributes.task_queue.name for e in history.events]
        return [name.removeprefix("overnight-") for name in names if name]


Cut = Callable[[bool], Awaitable[None]]
Second = Callable[[Fleet, str], AbstractAsyncContextManager[Cut]]
"""Starts a second host, and gives what cuts it off and joins it again."""


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, dict[str, str]]]:
    with s3_server() as server:
        yield server.url(server.new_bucket()), credential()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fleet(tmp_path_factory: pytest.TempPathFactory, bucket: tuple[str, dict[str, str]]) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet").resolve()
    project, vaults = folder / "project", folder / "vaults"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    (project / "README.md").write_text("# greeter\n")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Begin")
    vault = vaults / f"{hashlib.sha256(str(project).encode()).hexdigest()[:12]}.git"
    vault.mkdir(parents=True)
    git(vault, "init", "-q", "--bare")
    url, keys = bucket
    async with yard(keys, vault_url=f"file://{vaults}", artifacts_url=url, snapshot_seconds=0.5) as place:
        peace = await place.start(None, "peace", project=str(project))
        made = Fleet(place, project, vault, Story.__new__(Story))
        made.undisturbed = await made.end(peace)
        yield made


async def test_a_session_goes_on_where_another_host_died(fleet: Fleet) -> None:
    place = fleet.yard
    await place.up()
    held = await fleet.start("moves")
    await place.reached(held)
    await fleet.kept(held)
    stack = find(place.settings)
    assert stack is not None
    async with fleet.second(stack.address):
        place.kill("supervisor", "worker")
        while any(command_lines(held.gate(which)) for which in held.gates):
            await asyncio.sleep(POLL_SECONDS)
        place.release(held)
        assert await place.next_attempt(held) < place.due()
        told = await fleet.end(held)
        said = [e.text for e in (await patiently(lambda: place.sessions.events(held.name))).events]
        assert (fleet.other / "sessions" / held.name / "tree" / "greet.py").exists()
    assert_same_end(told, fleet.undisturbed)
    assert_paid_once(told, fleet.undisturbed, TOOL)
    assert_charged(told)
    assert any("goes on at another one" in text for text in said)


async def test_a_session_stays_where_its_worktree_is(fleet: Fleet) -> None:
    place = fleet.yard
    stack = await place.up()
    async with fleet.second(stack.address):
        sessions = [await fleet.start(f"stays-{n}", held=False) for n in range(3)]
        for held in sessions:
            assert_same_end(await fleet.end(held), fleet.undisturbed)
            # What needs no worktree, such as recalling, may be done anywhere.
            first, *rest = [where for where in await fleet.queues(held) if where != "overnight"]
            assert first == turns_queue("overnight").removeprefix("overnight-")
            assert len({where for where in rest if where.startswith("host-")}) == 1, rest


@asynccontextmanager
async def second_with_way(fleet: Fleet, address: str) -> AsyncIterator[Cut]:
    """The second host, whose network to Temporal alone can be cut."""
    async with relay(address) as way, fleet.second(way.address):

        async def cut(off: bool) -> None:
            way.cut = off

        yield cut


@asynccontextmanager
async def second_with_cable(fleet: Fleet, address: str) -> AsyncIterator[Cut]:
    """The second host in a network namespace of its own; Temporal, model and artifacts are at our end of a cable."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace that is joined to this one")
    place, store = fleet.yard, str(fleet.yard.settings.artifacts_url)
    endpoint = Address.read(store).endpoint
    assert endpoint is not None
    async with cable() as line:
        async with (
            relay(address, OURS) as temporal,
            relay(place.model.url.removeprefix("http://"), OURS) as model,
            relay(endpoint.removeprefix("http://"), OURS) as bucket,
            fleet.second(
                temporal.address,
                *line.there,
                ANTHROPIC_BASE_URL=f"http://{model.address}",
                OVERNIGHT_ARTIFACTS_URL=store.replace(endpoint, f"http://{bucket.address}"),
            ),
        ):
            yield lambda off: line.plug(into=not off)


@pytest.mark.parametrize("second", [second_with_way, second_with_cable])
async def test_who_is_cut_off_stops_itself_and_cannot_publish(fleet: Fleet, second: Second) -> None:
    """A host cannot reach Temporal, alone or among everything else; the vault is still there for it."""
    place = fleet.yard
    stack = await place.up()
    place.kill("supervisor", "worker")
    async with second(fleet, stack.address) as cut:
        held = await fleet.start(second.__name__.replace("_", "-"))
        await place.reached(held)
        await fleet.kept(held)
        running = list(processes_of(held.name, fleet.other))
        assert running
        await cut(True)
        loop = asyncio.get_running_loop()
        since = loop.time()
        while any(p.is_running() for p in running) or any(command_lines(held.gate(w)) for w in held.gates):
            await asyncio.sleep(POLL_SECONDS)
        assert loop.time() - since < STOPS_WITHIN_SECONDS
        place.release(held)
        await place.up()
        told = await fleet.end(held)
        tip = git(fleet.vault, "rev-parse", f"overnight/{held.name}").strip()
        # It hears of Temporal again, with nothing left to say.
        await cut(False)
    assert told.known.status is Status.COMPLETED, (told.known.reason, told.known.error_log, told.steps)
    assert told.tree == fleet.undisturbed.tree
    assert told.known.commit == tip == git(fleet.vault, "rev-parse", f"overnight/{held.name}").strip()
    assert told.evidence == fleet.undisturbed.evidence
    assert_paid_once(told, fleet.undisturbed, TOOL)
