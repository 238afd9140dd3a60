"""A whole installation whose processes can be killed one by one: supervisor, Temporal server, worker, Claude Code."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.client import Client
from temporalio.service import RPCError

from activities.sandbox.cgroup import find_cgroups
from activities.workspace import remove
from overnight.base.settings import Settings
from overnight.base.temporal import connect
from overnight.client import Sessions
from overnight.errors import NotReadyError, UnreachableError
from overnight.request import NewSession
from overnight.stack import Process, Stack, down, find
from overnight.stack.control import bring_up
from overnight.stack.processes import is_alive
from tests.chaos.moments import Kind, Moment, scenario
from tests.chaos.stage import Model, Stage
from tests.chaos.story import UNCLAIMED, Story, history, story
from tests.escape.attacker.daemons import KINDS
from tests.sessions.plays import GOAL
from workflows.calls import HEARTBEAT
from workflows.contracts.status import SessionStatus

HERE = Path(__file__).parent
DAEMONS = HERE.parent / "escape" / "attacker" / "daemons.py"
POLL_SECONDS = 0.1
TO_BEGIN_SECONDS = 5.0
"""From when a worker is known to be dead, and another one is there, to the next attempt."""

T = TypeVar("T")


@dataclass
class Held:
    """A session on its way to a moment."""

    name: str
    moment: Moment | None = None
    gates: set[str] = field(default_factory=set)

    def gate(self, which: str) -> str:
        """The name of a gate, which is the mark of the daemons that it starts."""
        return f"{self.name}-{which}"


@dataclass
class Yard:
    """Everything that a test of this suite needs."""

    place: Path
    settings: Settings
    model: Model
    stage: Stage
    nonce: str
    more: Mapping[str, str] = field(default_factory=dict)
    """Variables of its processes beside the usual ones."""
    client: Client | None = None
    workers: set[int] = field(default_factory=set)
    """Pids of all workers that it ever had, as far as anybody saw them."""
    blows: int = 0
    killed_at: float = 0.0
    """When the last process was killed, by the wall clock."""

    # ------------------------------------------------------------------ processes

    async def up(self) -> Stack:
        """``overnight up``: what is missing is started, what is there is used."""
        stack = await asyncio.to_thread(self._bring_up)
        self.client = await connect(stack.address)
        self._note(stack)
        return stack

    def _bring_up(self) -> Stack:
        with environment(self.given()):
            return bring_up(self.settings, ["-P", str(HERE / "supervisor_with_stops.py")], wait_seconds=180)

    def given(self) -> dict[str, str]:
        person = self.place / "person"
        person.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(person),
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": f"sk-ant-api03-{self.nonce}-of-the-worker",
            "CHAOS_STOPS": str(self.place / "stops"),
            **self.more,
        }

    async def down(self) -> None:
        """``overnight down``."""
        self._note(find(self.settings))
        await asyncio.to_thread(down, self.settings)

    async def healthy(self, but: Process | None = None) -> Stack:
        """The stack once it is up, without ``but``, nothing being started."""
        while True:
            stack = find(self.settings)
            if stack is not None and stack.up and but not in (stack.server, stack.worker):
                self._note(stack)
                return stack
            await asyncio.sleep(0.05)

    def kill(self, *which: str) -> list[Process]:
        """kill -9, all at one moment: ``worker``, ``server``, ``supervisor``."""
        stack = find(self.settings)
        assert stack is not None
        victims: list[Process] = [getattr(stack, one) for one in which]
        assert all(is_alive(one) for one in victims), stack
        self.killed_at = time.time()
        for one in victims:
            os.kill(one.pid, signal.SIGKILL)
        while any(is_alive(one) for one in victims):
            time.sleep(0.005)
        return victims

    def terminate_worker(self) -> Process:
        """SIGTERM, as a supervisor, a container or an operator would send it."""
        stack = find(self.settings)
        assert stack is not None
        assert stack.worker is not None
        self.killed_at = time.time()
        os.kill(stack.worker.pid, signal.SIGTERM)
        return stack.worker

    def kill_claude(self, session: str) -> None:
        """kill -9 of the Claude Code that works for a session."""
        found = [p for p in processes_of(session, self.settings.home) if name_of(p) == "claude"]
        assert found, "no Claude Code runs for it"
        self.killed_at = time.time()
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _note(self, stack: Stack | None) -> None:
        if stack is not None and stack.worker is not None:
            self.workers.add(stack.worker.pid)

    # ------------------------------------------------------------------ sessions

    @property
    def temporal(self) -> Client:
        assert self.client is not None
        return self.client

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.temporal, self.settings, ui_url=None)

    async def start(
        self, moment: Moment | None, name: str, *, kind: Kind = "fixed", cut: bool = True, **more: Any
    ) -> Held:
        """Start a session that is held at ``moment``, or at none, in a play of ``kind``.

        ``cut``: whoever makes the held request is going to be killed. Else it is answered once it is released.
        """
        held = Held(f"{name}-{self.nonce}", moment)
        if moment is not None:
            self._hold(held, moment, cut=cut)
        self.stage.plays[held.name] = scenario(
            self.command(held.gate("tool")), moment.kind if moment is not None else kind
        )
        asked = NewSession.parse(
            session_id=held.name,
            goal=GOAL,
            validation_command=f"{self.command(held.gate('check'))} && python3 -m unittest test_greet",
            **more,
        )
        await patiently(lambda: self.sessions.start(asked))
        return held

    def command(self, gate: str) -> str:
        shown = self.place / "shown"
        return f"python3 {shown / 'gate.py'} {shown / 'holds'} {gate}"

    def close(self, held: Held, which: str) -> None:
        """Close a gate: whoever comes to it starts daemons and waits."""
        held.gates.add(which)
        (self.place / "shown" / "holds" / held.gate(which)).touch()

    def _hold(self, held: Held, moment: Moment, *, cut: bool) -> None:
        if moment.place is not None:
            self._stop(held, moment.place).touch()
        if moment.gate is not None and moment.after is None:
            self.close(held, moment.gate)
        elif moment.gate is not None and moment.after is not None:
            gate = moment.gate
            self.stage.cues[held.name, moment.after] = lambda: self.close(held, gate)
        elif moment.turn is not None and cut:
            self.stage.cut[held.name] = moment.turn
        elif moment.turn is not None:
            self.stage.waiting[held.name] = (moment.turn, asyncio.Event())

    def _stop(self, held: Held, place: str) -> Path:
        return self.place / "stops" / f"{held.name}.{place}"

    async def reached(self, *sessions: Held) -> None:
        """Until all of them are where they are held; the test's own time limit is the deadline."""
        for held in sessions:
            while not self._is_there(held):
                await asyncio.sleep(POLL_SECONDS)
                await self._still_runs(held)

    def _is_there(self, held: Held) -> bool:
        moment = held.moment
        assert moment is not None
        if moment.place is not None and not self._stop(held, f"{moment.place}.reached").exists():
            return False
        if moment.gate is not None and daemons(held.gate(moment.gate)) != set(KINDS):
            return False
        return moment.turn is None or held.name in self.stage.reached

    async def _still_runs(self, held: Held) -> None:
        with suppress(UnreachableError):
            known = await self.sessions.status(held.name)
            assert not known.status.is_final, f"{held.name} ended without coming there: {known.reason}"
            assert known.status.value not in {"paused", "waiting_limit"}, f"{held.name}: {known.reason}"

    def release(self, held: Held) -> None:
        """Let it go on, wherever it is held, or comes to be held."""
        for which in held.gates:
            (self.place / "shown" / "holds" / held.gate(which)).unlink(missing_ok=True)
        if held.moment is not None and held.moment.place is not None:
            self._stop(held, held.moment.place).unlink(missing_ok=True)
        self.stage.release(held.name)

    def due(self) -> float:
        """Seconds from the last kill within which what was cut off has to begin again.

        Heartbeat time-out and 5 s; later only where the machine takes longer than that time-out to start a worker.
        """
        ready = (self.settings.home / "worker.json").stat().st_mtime - self.killed_at
        return max(HEARTBEAT.total_seconds(), ready) + TO_BEGIN_SECONDS

    async def next_attempt(self, held: Held) -> float:
        """Seconds from the last kill until what was cut off had begun again."""
        while True:
            with suppress(RPCError):
                if begun := await self._begun_again(held):
                    return begun - self.killed_at
            await asyncio.sleep(POLL_SECONDS)

    async def _begun_again(self, held: Held) -> float | None:
        assert held.moment is not None
        handle = self.temporal.get_workflow_handle(held.name)
        for pending in (await handle.describe()).raw_description.pending_activities:
            begun = _seconds(pending.last_started_time)
            if pending.activity_type.name == held.moment.activity and begun > self.killed_at:
                return begun
        # A short one may be over already. Of an attempt that is over, history has the time.
        names: dict[int, str] = {}
        async for event in handle.fetch_history_events():
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
            scheduled = event.activity_task_started_event_attributes.scheduled_event_id
            if names.get(scheduled) == held.moment.activity and _seconds(event.event_time) > self.killed_at:
                return _seconds(event.event_time)
        return None

    async def given_up(self, held: Held) -> bool:
        """Whether what was cut off waited for its host in vain."""
        steps, _ = await history(self.temporal, held.name)
        return any(step.outcome == UNCLAIMED for step in steps)

    async def end(self, held: Held) -> Story:
        """What is on record once it is over, or needs a person."""
        while True:
            known = await patiently(lambda: self.sessions.status(held.name))
            if known.status.is_final or known.status.value in {"paused", "waiting_limit"}:
                return await self.told(known)
            await asyncio.sleep(POLL_SECONDS)

    async def told(self, known: SessionStatus) -> Story:
        vault = Path((await patiently(lambda: self.sessions.branch(known.session_id))).vault)
        return await story(self.temporal, known, vault, self.model.exchanges)


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, however often nobody is there to give it; the test's own time limit is the deadline."""
    while True:
        try:
            return await ask()
        except (UnreachableError, NotReadyError, RPCError):
            await asyncio.sleep(POLL_SECONDS)


def daemons(mark: str) -> set[str]:
    """Kinds of the daemons of this machine that carry a mark; the dead do not count."""
    return {line.rpartition(" ")[2] for line in command_lines(mark)} & set(KINDS)


def command_lines(mark: str) -> list[str]:
    """Command lines of the processes of this machine with this mark, in whatever sandbox."""
    found: list[str] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if mark in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
    return found


def is_there(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def name_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return Path(process.cmdline()[0]).name
    return ""


def processes_of(session: str, home: Path) -> Iterator[psutil.Process]:
    """Processes that see a session's workspace in a mount namespace of their own."""
    tree = f"{home.name}/sessions/{session}/"
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if tree in Path(f"/proc/{process.pid}/mountinfo").read_text():
                yield process


@contextmanager
def environment(given: dict[str, str]) -> Iterator[None]:
    """Nothing but ``given`` in this process's environment."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@asynccontextmanager
async def yard(more: Mapping[str, str] | None = None, **settings: Any) -> AsyncIterator[Yard]:
    """An installation that is up, with ``more`` variables; when the context ends, nothing of it is left."""
    place = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp")).resolve()
    for folder in (place / "stops", place / "shown" / "holds"):
        folder.mkdir(parents=True)
    shutil.copy(HERE / "gate.py", place / "shown" / "gate.py")
    shutil.copy(DAEMONS, place / "shown" / "daemons.py")
    chosen: dict[str, Any] = {
        "grace_seconds": 10,
        "turn_slots": 12,
        "snapshot_seconds": 2,
        "sandbox_readable": [place / "shown"],
        **settings,
    }
    stage = Stage()
    nonce = secrets.token_hex(4)
    async with Model(stage) as model:
        made = Yard(place, Settings(home=place / "home", **chosen), model, stage, nonce, more or {})
        try:
            await made.up()
            yield made
            await made.down()
            _assert_nothing_left(made)
        finally:
            for session in stage.waiting:
                stage.release(session)
            for process in _processes(place):
                with suppress(psutil.Error):
                    process.kill()
            remove(place)


def _assert_nothing_left(made: Yard) -> None:
    assert [p.cmdline() for p in _processes(made.place)] == []
    assert command_lines(made.nonce) == []
    ours = tuple(f"overnight-{pid}-" for pid in made.workers)
    # A group that still had a process when its worker looked goes with the next worker's sweep.
    find_cgroups()
    # Others make and remove groups all the while, which a walk takes as it comes.
    groups = [name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith(ours)]
    assert groups == [], groups


def _processes(place: Path) -> list[psutil.Process]:
    """Live processes that name this place on their command line, or work in it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            inside = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            if inside and any(str(place) in part for part in (*process.cmdline(), process.cwd())):
                found.append(process)
    return found
