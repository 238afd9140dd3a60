"""Two installations under attack: one as it comes, one with tight limits; both see everything that really happened."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from activities.sandbox import find_isolation
from tests.escape import fortress as fort
from tests.escape.canary import Canary, canaries, tap
from tests.escape.fortress import Fortress
from tests.escape.person import SECRET_VARIABLES, move_in
from tests.patience import long_answers
from tests.processes import boxes, left_behind
from tests.sessions.conftest import make_repository

TIGHT = {
    "OVERNIGHT_BOX_MEMORY_GB": "0.8",
    "OVERNIGHT_BOX_PROCESSES": "250",
    # Among 50,000 files Claude Code itself needs more than four seconds.
    "OVERNIGHT_BOX_CPU_MINUTES": "0.5" if "OVERNIGHT_TEST_CROWD" in os.environ else "0.07",
    "OVERNIGHT_BOX_OPEN_FILES": "1024",
    "OVERNIGHT_BOX_FILE_GB": "6",
    "OVERNIGHT_BOX_OUTPUT_MB": "30",
    "OVERNIGHT_BOX_DISK_GB": "0.3",
    "OVERNIGHT_LOG_LEVEL": "info",
}
"""Small enough that a test meets each limit in seconds, large enough for Claude Code."""


@pytest.fixture(scope="package", autouse=True)
def patient() -> Iterator[None]:
    with long_answers():
        yield


@pytest.fixture(scope="session", autouse=True)
def isolated() -> None:
    """Without full isolation there is nothing to attack: such a host refuses to run."""
    isolation = find_isolation()
    assert isolation.full, isolation.problem


@pytest.fixture(scope="session")
def nonce() -> str:
    """In the name of everything that this run leaves or looks for."""
    return secrets.token_hex(4)


@pytest.fixture(scope="session")
def sign() -> str:
    """In every secret that this run plants, and nowhere else."""
    return secrets.token_hex(6)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder for everything of this suite, with a short name: sockets live in it."""
    folder = Path(tempfile.mkdtemp(prefix="fortress-", dir="/tmp")).resolve()
    (folder / "shared").mkdir()
    (folder / "private").mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ports() -> tuple[int, int]:
    """Free ones, for the engine's HTTP API and its Web UI."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        return probes[0].getsockname()[1], probes[1].getsockname()[1]


@pytest_asyncio.fixture(scope="session")
async def engine(ports: tuple[int, int]) -> AsyncIterator[WorkflowEnvironment]:
    async with fort.server(ui_port=ports[1], http_port=ports[0]) as started:
        yield started


@pytest_asyncio.fixture(scope="session")
async def canary(nonce: str, place: Path) -> AsyncIterator[Canary]:
    async with canaries(nonce, {"private": place / "private", "shared": place / "shared"}) as watching:
        yield watching


@pytest.fixture(scope="session")
def checkout(place: Path) -> Path:
    """The person's project, with uncommitted work, in a folder that sandboxes may read."""
    return make_repository(place / "shared" / "checkout")


@pytest_asyncio.fixture(scope="session")
async def castle(
    nonce: str,
    sign: str,
    place: Path,
    engine: WorkflowEnvironment,
    canary: Canary,
    ports: tuple[int, int],
    checkout: Path,
) -> AsyncIterator[Fortress]:
    """An installation as it comes, of a person with secrets."""
    del checkout
    move_in(place / "person", place / "shared" / "overnight-home", sign)
    opened = fort.fortress(
        nonce,
        sign,
        place,
        engine,
        canary,
        lambda port: tap(("127.0.0.1", port)),
        ports=ports,
        environment={name: value.format(sign=sign) for name, value in SECRET_VARIABLES.items()},
    )
    async with opened as ready:
        yield ready


@pytest_asyncio.fixture(scope="session")
async def tight(
    nonce: str, sign: str, place: Path, engine: WorkflowEnvironment, canary: Canary, ports: tuple[int, int]
) -> AsyncIterator[Fortress]:
    """An installation with tight limits, in a namespace of its own."""
    opened = fort.fortress(
        nonce,
        sign,
        place / "tight",
        engine,
        canary,
        lambda port: tap(("127.0.0.1", port)),
        ports=ports,
        namespace="tight",
        settings=TIGHT,
    )
    async with opened as ready:
        yield ready


@pytest.fixture(autouse=True)
def nobody_came(canary: Canary) -> Iterator[None]:
    """After each test no canary was reached; of the one in a shown folder see ``test_reach``."""
    before = len(canary.visits)
    yield
    assert [visit for visit in canary.visits[before:] if visit != "shared"] == []


@pytest_asyncio.fixture(scope="module", autouse=True)
async def nothing_left(place: Path) -> AsyncIterator[None]:
    """After each module no sandbox runs, and nobody left a file where it does not belong."""
    yield
    assert await left_behind(boxes) == set()
    assert not list(place.rglob("was-here-*"))
    for folder in ("/etc", "/etc/cron.d", "/usr/bin", "/opt", "/", "/run", "/var/spool", Path.home()):
        assert not list(Path(folder).glob("was-here-*"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make escape` runs these; `make test` has its time for the rest."""
    for item in items:
        if "escape" in item.path.parts:
            item.add_marker(pytest.mark.escape)
