"""A whole installation that is attacked from inside: Temporal, a worker process, a person's home, a scripted model."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.workspace import remove
from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from overnight.request import NewSession
from tests.escape.canary import Canary, Tap
from tests.sessions.conftest import Stage
from tests.worker_process import WorkerProcess
from tests.workflows.conftest import temporal_binary
from workflows.contracts.status import SessionStatus
from workflows.gated import SEARCH_ATTRIBUTES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LINE = re.compile(r"^(\S.*?)\|(reached|refused|broken)\|(.*)$", re.MULTILINE)

Outcomes = dict[str, tuple[str, str]]
"""Attack to outcome and detail."""


@dataclass
class Fortress:
    """Everything that a test of this suite needs."""

    nonce: str
    """In the names of its sessions."""
    sign: str
    """In all of its secrets, and nowhere else."""
    place: Path
    env: WorkflowEnvironment
    client: Client
    model: ScriptedModel
    stage: Stage
    tap: Tap
    canary: Canary
    worker: WorkerProcess
    sessions: Sessions
    http_port: int
    ui_port: int
    started: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """``OVERNIGHT_HOME``."""
        return self.worker.home

    @property
    def shared(self) -> Path:
        """A folder that the installation shows to every sandbox, with things in it that no sandbox may see."""
        return self.home.parent

    @property
    def engine_port(self) -> int:
        return int(self.env.client.service_client.config.target_host.rpartition(":")[2])

    @property
    def secret(self) -> str:
        """The worker's credential."""
        return self.worker.env["ANTHROPIC_API_KEY"]

    def tree(self, session_id: str) -> Path:
        """A session's workspace, as the host sees it."""
        return self.home / "sessions" / session_id / "tree"

    async def start(self, session_id: str, scenario: Scenario, **given: Any) -> str:
        """Start a session with a play of its own."""
        name = f"{session_id}-{self.nonce}"
        self.stage.plays[name] = scenario
        asked = {"goal": "Write greet.py that says hello to a name, with a test.", "max_iterations": 1, **given}
        await self.sessions.start(NewSession.parse(session_id=name, **asked))
        self.started.append(name)
        return name

    async def until(self, session_id: str, holds: Callable[[SessionStatus], bool]) -> SessionStatus:
        """The status as soon as ``holds`` is true of it; the test's own time limit is the deadline."""
        while True:
            known = await self.sessions.status(session_id)
            if holds(known):
                return known
            await asyncio.sleep(0.1)

    async def end(self, session_id: str) -> SessionStatus:
        """The status once the session is over or needs a person."""
        return await self.until(
            session_id, lambda s: s.status.is_final or s.status.value in {"paused", "waiting_limit"}
        )

    def asked(self, session_id: str, phase: str = "execute") -> list[Request]:
        return [r for r in self.model.requests if r.session == session_id and r.phase == phase]

    def said(self, session_id: str) -> str:
        """All that the agent's tools printed."""
        return "\n".join(result.text for r in self.asked(session_id) for result in r.results)

    async def events(self, session_id: str) -> str:
        """The session's record, as a person reads it."""
        return "\n".join(e.text for e in (await self.sessions.events(session_id)).events)

    async def history(self, session_id: str) -> list[Any]:
        """All events that Temporal holds of a session."""
        return list((await self.client.get_workflow_handle(session_id).fetch_history()).events)

    async def printed(self, session_id: str, criterion: str) -> str:
        """The whole logs of a check, one after the other, from the evidence that history points to."""
        payloads = [
            payload
            for event in await self.history(session_id)
            for payload in event.activity_task_completed_event_attributes.result.payloads
        ]
        logs = [
            one["log"]["sha256"]
            for payload in payloads
            for one in json.loads(payload.data).get("evidence", [])
            if isinstance(one, dict) and one.get("criterion") == criterion and one.get("log")
        ]
        return "\n".join((self.home / "artifacts" / sha[:2] / sha).read_text(errors="replace") for sha in logs)


def outcomes(text: str) -> Outcomes:
    """What the attacker told, by attack."""
    return {name: (outcome, detail) for name, outcome, detail in LINE.findall(text)}


def marked(mark: str) -> list[int]:
    """Processes of this machine, in whatever sandbox, with this mark on their command line; the dead do not count."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if mark in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@asynccontextmanager
async def server(ui_port: int, http_port: int) -> AsyncIterator[WorkflowEnvironment]:
    """A dev server of its own, with its Web UI, and a namespace for each kind of worker."""
    flags = ("transferProcessorMaxPollRPS=1000", "visibilityProcessorMaxPollRPS=1000")
    started = await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
        ui=True,
        ui_port=ui_port,
        dev_server_extra_args=["--http-port", str(http_port), "--namespace", "tight"]
        + [arg for flag in flags for arg in ("--dynamic-config-value", f"history.{flag}")],
    )
    async with started:
        yield started


def _no_group_left(worker: WorkerProcess) -> None:
    """A worker that left in order leaves no control group behind; what a killed one left, the next one swept."""
    left = [str(path) for path in Path("/sys/fs/cgroup").rglob(f"overnight-{worker.pid}-*")]
    assert left == []


@asynccontextmanager
async def fortress(
    nonce: str,
    sign: str,
    place: Path,
    env: WorkflowEnvironment,
    canary: Canary,
    tap_on: Callable[[int], Any],
    *,
    ports: tuple[int, int],
    namespace: str = "default",
    settings: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
) -> AsyncIterator[Fortress]:
    """A worker on ``env`` with a home in ``place``; gone, with all that it left on disk, when the context ends."""
    home, person = place / "shared" / "overnight-home", place / "person"
    for folder in (home, person):
        folder.mkdir(parents=True, exist_ok=True)
    stage = Stage()
    address = env.client.service_client.config.target_host
    async with AsyncExitStack() as stack:
        stack.callback(remove, home)
        model = await stack.enter_async_context(ScriptedModel(stage, keep=5_000))
        tap: Tap = await stack.enter_async_context(tap_on(int(model.url.rpartition(":")[2])))
        given = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(person),
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_NAMESPACE": namespace,
            "ANTHROPIC_BASE_URL": tap.url,
            "ANTHROPIC_API_KEY": f"sk-ant-api03-{sign}-of-the-worker",
            "OVERNIGHT_HOME": str(home),
            "OVERNIGHT_GRACE_SECONDS": "1",
            "OVERNIGHT_LOG_LEVEL": "debug",
            "OVERNIGHT_SANDBOX_READABLE": json.dumps([str(place / "shared")]),
            "OVERNIGHT_EGRESS_EXCEPTIONS": json.dumps([f"127.0.0.1:{canary.allowed_port}"]),
            **(settings or {}),
            **(environment or {}),
        }
        worker = WorkerProcess(home, given, HERE / "outpost.py")
        stack.callback(_no_group_left, worker)
        stack.push_async_callback(worker.stop)
        await worker.start()
        client = await Client.connect(address, namespace=namespace, data_converter=pydantic_data_converter)
        yield Fortress(
            nonce,
            sign,
            place,
            env,
            client,
            model,
            stage,
            tap,
            canary,
            worker,
            Sessions(client, Settings(home=home), ui_url=None),
            http_port=ports[0],
            ui_port=ports[1],
        )
