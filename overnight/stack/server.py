"""The Temporal server: where its program is, its command line, when it is healthy, what its failures mean."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from overnight.stack.home import Home
from overnight.stack.model import NAMESPACE
from overnight.stack.ports import LOOPBACK

SEARCH_ATTRIBUTES: Mapping[str, str] = {
    "OvernightStatus": "Keyword",
    "OvernightPhase": "Keyword",
    "OvernightProject": "Keyword",
    "OvernightIteration": "Int",
    "OvernightCostUsd": "Double",
    "OvernightRecovery": "Keyword",
    "OvernightOwner": "Keyword",
}
"""Search attributes, with their types, that the server knows from its start."""

# The development server paces its queues for a laptop's peace: each dispatch waits for a 50 ms slot, timers round to
# a second. A session would feel both at every step.
_DYNAMIC_CONFIG: Mapping[str, str] = {
    "history.transferProcessorMaxPollRPS": "1000",
    "history.timerProcessorMaxPollRPS": "1000",
    "history.visibilityProcessorMaxPollRPS": "1000",
    "history.timerProcessorMaxTimeShift": '"10ms"',
}

FILE_OPTION, PORT_OPTION, UI_PORT_OPTION = "--db-filename", "--port", "--ui-port"
"""Options of the server by which one that runs is known again."""

_SQLITE = b"SQLite format 3\0"

RETENTION = "90d"
"""How long closed sessions stay; the server's own default is one day."""


def find_program() -> str | None:
    """Path of the ``temporal`` program: on PATH, else where pip puts scripts for this interpreter; None if nowhere."""
    return shutil.which("temporal") or shutil.which("temporal", path=sysconfig.get_path("scripts"))


def command(program: str, home: Home, port: int, ui_port: int) -> list[str]:
    """Command line of the server for a home; it listens on loopback only."""
    line = [program, "server", "start-dev", "--ip", LOOPBACK, PORT_OPTION, str(port), UI_PORT_OPTION, str(ui_port)]
    line += [FILE_OPTION, str(home.database), "--log-format", "json", "--log-level", "warn"]
    line += ["--ui-disable-news-fetch"]
    for key, value in _DYNAMIC_CONFIG.items():
        line += ["--dynamic-config-value", f"{key}={value}"]
    for key, kind in SEARCH_ATTRIBUTES.items():
        line += ["--search-attribute", f"{key}={kind}"]
    return line


def ports_of(line: Sequence[str]) -> tuple[int, int] | None:
    """Port and Web UI port of a server that was started with the command line ``line``; None when it tells none."""
    given = dict(pairwise(line))
    port, ui_port = given.get(PORT_OPTION, ""), given.get(UI_PORT_OPTION, "")
    return (int(port), int(ui_port)) if port.isdecimal() and ui_port.isdecimal() else None


def environment() -> dict[str, str]:
    """Environment of the server and of commands to it: no secrets, and no profile of another Temporal."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG", "TZ") if name in os.environ}
    return {**kept, "TEMPORAL_CONFIG_FILE": os.devnull}


def set_retention(program: str, address: str) -> bool:
    """Set the retention of closed sessions; as it needs the whole server, True also means that it is healthy."""
    line = [program, "operator", "namespace", "update", "--namespace", NAMESPACE, "--retention", RETENTION]
    try:
        done = subprocess.run(
            [*line, "--address", address],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=15,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def damaged(database: Path) -> str:
    """What to do about a ``database`` that no server will start on; empty where none is to be seen."""
    try:
        with database.open("rb") as file:
            begins = file.read(len(_SQLITE))
    except OSError:
        return ""
    return explain("not a database", database) if begins and begins != _SQLITE else ""


def explain(tail: str, database: Path) -> str:
    """What to do about a server that ended, judged by the ``tail`` of its log; empty when that is open."""
    if any(sign in tail for sign in ("not a database", "malformed", "unable to open database", "database schema")):
        return (
            f"Its database looks damaged. Move {database} away (keep it: it holds your sessions; "
            f"take {database.name}-wal and {database.name}-shm along if they exist), then start again."
        )
    if "readonly database" in tail or "read-only" in tail:
        return f"{database} cannot be written. Give this user write access to it, then start again."
    if "disk is full" in tail or "no space left" in tail:
        return f"The disk that holds {database} is full. Free some space, then start again."
    if "unknown flag" in tail:
        return "The `temporal` program on PATH is too old. Update it, or put the one of `overnight[embedded]` first."
    return ""
