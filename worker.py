"""One Temporal worker process: it wires workflows and activities, and says when it is ready.

``python worker.py`` serves until SIGTERM; with ``--check --json`` it examines the host, for ``overnight doctor``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import psutil
import structlog
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.announce import Announcement, until_polling
from activities.check import examine
from activities.claude import Gateway
from activities.diagnose import Diagnose
from activities.execute import Execute
from activities.host import Host, turn_slots
from activities.judge import Judge
from activities.knowing import Knowing
from activities.plan import Plan
from activities.pulse import is_there
from activities.read import Read
from activities.reflect import Reflect
from activities.restore import Fork, Restore
from activities.sandbox import Launcher, find_isolation
from activities.validate import Validate
from activities.workspace import remove
from overnight.base import chosen, sanity
from overnight.base.credentials import find_credential
from overnight.base.finish import finish
from overnight.base.parts import end_left_behind
from overnight.base.redaction.interceptor import RedactResults
from overnight.base.settings import Settings
from overnight.base.telemetry import BindContext, configure_logging
from overnight.base.temporal import TASK_QUEUE, connect, ensure_search_attributes
from overnight.base.thinking import patient
from overnight.base.traced_worker import TracedWorker
from overnight.base.tracing import configure_tracing, is_on
from workflows.calls import turns_queue
from workflows.session import AutonomousSession
from workflows.step import PlanStep

log = structlog.get_logger("worker")

OPEN_FILES = 65_536
KEPT_SECONDS = 7 * 86_400
CONNECT_ATTEMPTS = 30
HEARTBEAT_THROTTLE = timedelta(seconds=1)
STICKY = timedelta(seconds=1)


def versioning(settings: Settings) -> dict[str, Any]:
    """Temporal's worker versioning, when a build id is set: sessions move to the current version by themselves."""
    if settings.build_id is None:
        return {}
    version = WorkerDeploymentVersion(settings.deployment, settings.build_id)
    config = WorkerDeploymentConfig(
        version=version,
        use_worker_versioning=True,
        # A session may last for weeks: it is carried over by patched code, not kept on a worker that nobody mends.
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
    return {"deployment_config": config}


def workers(client: Client, host: Host, settings: Settings, task_queue: str = TASK_QUEUE) -> list[Worker]:
    """Workflows and light reads on one queue, Claude Code and validation on another."""
    read, knowing = Read(host), Knowing(host.knowledge)
    light: list[Callable[..., Any]] = [read.project, read.about, read.diff, read.branch]
    light += [knowing.recall, knowing.learn, knowing.ask, knowing.suggest]
    steps = (Plan, Execute, Validate, Judge, Diagnose, Reflect, Restore, Fork)
    turns: list[Callable[..., Any]] = [step(host).run for step in steps]
    grace = timedelta(seconds=settings.grace_seconds)
    common: dict[str, Any] = {
        "client": client,
        "graceful_shutdown_timeout": grace,
        "max_heartbeat_throttle_interval": HEARTBEAT_THROTTLE,
        "interceptors": [*([TracedWorker()] if is_on() else []), BindContext(), RedactResults(host.redactor)],
    }
    versioned = versioning(settings)
    # Entered in this order and left in the reverse: who decides leaves first. What the calls that come to rest report
    # is then for the next worker, and no decision is handed to one that is on its way out.
    return [
        *(
            Worker(
                task_queue=turns_queue(task_queue, on),
                activities=turns,
                max_concurrent_activities=most,
                # One question at a time: to a host that is cut off without a word, the server still hands what it
                # asked for, and each of these calls is lost until its heartbeat is missed. Turns last minutes.
                max_concurrent_activity_task_polls=1,
                **common,
                **build,
            )
            # Work that any host may take, and that of the sessions whose worktrees are here, which waits for a slot
            # here rather than move. A host's own queue has no versions: no other host could ever serve it, and
            # Temporal makes no version the current one that lacks a queue of the one before.
            for on, most, build in (
                (None, turn_slots(settings), versioned),
                (host.id, 2 * turn_slots(settings) + 2, dict[str, Any]()),
            )
        ),
        patient(
            Worker(
                task_queue=task_queue,
                workflows=[AutonomousSession, PlanStep],
                activities=light,
                max_concurrent_activities=20,
                max_concurrent_workflow_tasks=8,
                # Questions go to the worker that knows the session; after its death they must not wait for it for long.
                sticky_queue_schedule_to_start_timeout=STICKY,
                **common,
                **versioned,
            )
        ),
    ]


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; running calls come to rest first. Returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    _look_at(settings)
    _own_temporary_folder(settings)
    _forget_old_ledgers(settings)
    _many_open_files()
    client = await _connected()
    await ensure_search_attributes(client)
    launcher = Launcher(settings, await asyncio.to_thread(find_isolation))
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway(find_credential).running())
        host = Host.of(settings, gateway, launcher)
        stack.callback(host.knowledge.close)
        await stack.enter_async_context(host.pulse.asking(lambda: is_there(client)))
        serving = workers(client, host, settings)
        for worker in serving:
            await stack.enter_async_context(worker)
        await until_polling(client, serving)
        credential = gateway.credential
        announcement = Announcement(settings.home, credential=credential.fingerprint if credential else None)
        await stack.enter_async_context(announcement.kept())
        host.knowledge.warm()
        log.info("ready", isolation=launcher.isolation.name, turns=turn_slots(settings))
        await stop.wait()
        log.info("leaving", grace_seconds=settings.grace_seconds)
    return 0


def _look_at(settings: Settings) -> None:
    """Log what of the settings does nothing or leaves too little. Raises ``ValueError`` for what no session may have.

    A folder that is missing keeps nothing from running: it may be on a disk that is not there after every start.
    """
    if wrong := sanity.exposing(settings, masked=False):
        raise ValueError("; ".join(wrong))
    doubts = [*sanity.exposing(settings), *sanity.missing(settings), *sanity.tight(settings)]
    for text in [*chosen.unknown(os.environ), *doubts]:
        log.warning("settings", problem=text)


async def _connected() -> Client:
    for attempt in range(CONNECT_ATTEMPTS):
        try:
            return await connect()
        except RuntimeError as error:
            if attempt + 1 == CONNECT_ATTEMPTS:
                raise
            log.info("Temporal is not there yet", error=str(error))
            await asyncio.sleep(1)
    raise AssertionError("unreachable")


def _own_temporary_folder(settings: Settings) -> None:
    """Keep temporary files in the home, and remove what workers that are gone left there, or left running."""
    root = settings.home / "tmp"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.home.chmod(0o700)
    end_left_behind(settings.home)
    for old in root.iterdir():
        if not (old.name.isdigit() and psutil.pid_exists(int(old.name))):
            with suppress(OSError, subprocess.SubprocessError):
                remove(old)
    own = root.resolve() / str(os.getpid())
    own.mkdir(exist_ok=True, mode=0o700)
    tempfile.tempdir = str(own)


def _forget_old_ledgers(settings: Settings) -> None:
    """Remove what calls used that no attempt will ask about any more: their sessions went on without them."""
    oldest = time.time() - KEPT_SECONDS
    for account in (settings.home / "ledger").glob("*"):
        with suppress(OSError):
            if account.stat().st_mtime < oldest:
                remove(account)


def _many_open_files() -> None:
    """Every box may hold several hundred connections, and each is two handles of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Entry point of ``overnight-worker``."""
    parser = argparse.ArgumentParser(prog="overnight-worker", description="Overnight's worker process")
    parser.add_argument("--check", action="store_true", help="examine this host and exit")
    parser.add_argument("--json", action="store_true", help="with --check: the result as JSON")
    parser.add_argument("--reach-model", action="store_true", help="with --check: ask the model's service, too")
    options = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"overnight-worker: {'; '.join(chosen.problems(error))}\n")
        finish(2)
    configure_logging(settings)
    if options.check:
        report = asyncio.run(examine(settings, reach_model=options.reach_model))
        sys.stdout.write(report.model_dump_json() if options.json else report.as_text())
        sys.stdout.write("\n")
        finish(0 if report.ok else 1)
    if wrong := configure_tracing(settings, "worker"):
        log.warning("no traces", problem=wrong)
    try:
        finish(asyncio.run(serve(settings)))
    except Exception as error:
        log.exception("the worker cannot go on", error=str(error))
        with suppress(OSError):
            Announcement(settings.home, problem=f"{type(error).__name__}: {error}"[:1_000]).write()
        finish(1)


if __name__ == "__main__":
    main()
