"""One engine for all tests of the command line: a home, a real stack on demand, a scripted model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from overnight.base.settings import Settings
from overnight.stack import down
from tests.cli.support import ROOT, VALIDATE, Cli, clean_environment, fingerprint, make_project, none_left


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder with a short name for everything of these tests."""
    folder = Path(tempfile.mkdtemp(prefix="ov-", dir="/tmp")).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """The scripted model, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "overnight.demo", "--scenario", "tests.cli.scenario:SCENARIO"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=120)
        process.stdout.close()


@pytest.fixture(scope="session")
def home(place: Path) -> Path:
    """The home of the shared engine."""
    return place / "home"


@pytest.fixture(scope="session")
def cli(place: Path, home: Path, model_url: str) -> Iterator[Cli]:
    """The command line on the shared engine, which starts with the first command that needs it."""
    environment = clean_environment(
        home, ANTHROPIC_API_KEY="key-of-the-tests", ANTHROPIC_BASE_URL=model_url, OVERNIGHT_GRACE_SECONDS="2"
    )
    here = place / "here"
    here.mkdir()
    yield Cli(environment, here)
    down(Settings(home=home, grace_seconds=0))
    none_left(home)


@dataclass(frozen=True)
class Finished:
    """A session on a person's project that was completed."""

    id: str
    project: Path
    lines: list[Any]
    untouched: bool
    """The person's project is bit for bit what it was."""
    told: str
    """What ``run`` said on stderr."""


@pytest.fixture(scope="session")
def finished(cli: Cli, place: Path) -> Finished:
    """``overnight run --json`` on a project with changes that are not committed."""
    project = make_project(place / "a project")
    before = fingerprint(project)
    done = cli(
        "run",
        "Write nightshift.py",
        "--project",
        ".",
        "--validate",
        VALIDATE,
        "--id",
        "finished",
        "--json",
        cwd=project,
    )
    assert done.code == 0, done.err + done.out
    return Finished("finished", project, done.lines, fingerprint(project) == before, done.err)


@pytest.fixture(scope="session")
def slow(cli: Cli) -> Iterator[str]:
    """A session in a turn that lasts until somebody ends it."""
    done = cli("run", "Take your time", "--id", "slow-one", "--validate", "true", "--detach", "--json")
    assert done.code == 0, done.err + done.out
    yield "slow-one"
    cli("cancel", "slow-one", "--yes")
