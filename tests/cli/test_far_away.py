"""A project that takes its time, at a URL or for its size, is waited for, and is no worker that does not answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from overnight.base.settings import Settings
from overnight.stack import find
from tests.cli.support import Cli, git, make_project

GIT_DAEMON = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip()) / "git-daemon"

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(not GIT_DAEMON.is_file(), reason="git without its daemon"),
]

DELAY_SECONDS = 3.0
"""Of each connection: a server at the other end of the world, asked for its refs and then for a commit."""


class Far:
    """A server that takes its time."""

    url = ""
    silent = False
    """It answers nobody any more."""


@asynccontextmanager
async def far_away(folder: Path) -> AsyncIterator[Far]:
    """Serves the repositories in ``folder``, slowly."""
    far = Far()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task) if (task := asyncio.current_task()) else None
        await asyncio.sleep(DELAY_SECONDS)
        if far.silent:
            await asyncio.Event().wait()
        daemon = await asyncio.create_subprocess_exec(
            *(GIT_DAEMON, "--inetd", "--export-all", f"--base-path={folder}", folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        with suppress(OSError):
            await asyncio.gather(_pump(reader, daemon.stdin), _pump(daemon.stdout, writer))
        await daemon.wait()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        far.url = f"git://127.0.0.1:{server.sockets[0].getsockname()[1]}/bare.git"
        yield far
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while part := await source.read(65_536):
        sink.write(part)
        await sink.drain()
    sink.close()


@pytest.fixture
def bare(place: Path) -> Iterator[Path]:
    """The folder of a project's repository without files."""
    folder = place / "far"
    project = make_project(folder / "project")
    shutil.copytree(project / ".git", folder / "bare.git")
    git(folder / "bare.git", "config", "core.bare", "true")
    yield folder
    shutil.rmtree(folder)


def fetching(url: str) -> list[psutil.Process]:
    """The processes of git that fetch from there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name().startswith("git") and url in process.cmdline():
                found.append(process)
    return found


async def test_a_project_far_away_is_waited_for(cli: Cli, bare: Path) -> None:
    async with far_away(bare) as far:
        command = ("run", "Take your time", "--id", "slow-far-away", "--validate", "true", "--detach", "--json")
        done = await asyncio.to_thread(cli, *command, "--project", far.url)
        assert done.code == 0, done.out + done.err
        assert done.json["status"] == "queued"
        wrong = await asyncio.to_thread(cli, "run", "x", "--detach", "--project", far.url, "--ref", "none")
        assert wrong.code == 2, wrong.err
        assert "has no branch or tag named 'none'" in wrong.err
    assert cli("cancel", "slow-far-away", "--yes").code == 0


async def test_nobody_waits_for_a_project_that_has_become_silent(cli: Cli, home: Path, bare: Path) -> None:
    async with far_away(bare) as far:
        command = ("run", "Wait for it", "--id", "slow-silent", "--validate", "true", "--detach")
        done = await asyncio.to_thread(cli, *command, "--project", far.url)
        assert done.code == 0, done.out + done.err
        far.silent = True
        while not (first := fetching(far.url)):
            await asyncio.sleep(0.05)
        stack = find(Settings(home=home))
        assert stack is not None
        assert stack.worker is not None
        os.kill(stack.worker.pid, signal.SIGKILL)
        psutil.wait_procs(first, timeout=100)
        assert not any(process.is_running() for process in first), "the next worker ends what the dead one left"
        while not fetching(far.url):
            await asyncio.sleep(0.05)
        assert (await asyncio.to_thread(cli, "cancel", "slow-silent", "--yes")).code == 0
        while fetching(far.url):
            await asyncio.sleep(0.05)
        watched = await asyncio.to_thread(cli, "watch", "slow-silent", "--json")
        assert watched.lines[-1]["status"]["status"] == "cancelled"
