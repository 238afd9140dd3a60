"""A fleet whose workers are replaced by those of a new build while a session works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.demo.reply import Text
from overnight.request import NewSession
from tests.sessions.conftest import Shop
from tests.sessions.plays import CHECK, GOAL, RIGHT, TEST, by_iteration, play, shell, write
from tests.workflows.conftest import temporal_binary
from worker import workers
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

WAITS = play(
    by_iteration(
        [
            write("greet.py", RIGHT),
            shell("echo waiting > waits; until test -e go; do sleep 0.1; done; rm go waits", timeout=600_000),
            write("test_greet.py", TEST),
            Text("Done."),
        ]
    )
)


@asynccontextmanager
async def host(shop: Shop, home: Path, queue: str) -> AsyncIterator[Host]:
    """The workers of a host, whose build is named as its home; hosts share what lies beside their homes."""
    home.mkdir()
    for shared in ("vault", "artifacts"):
        (home.parent / shared).mkdir(exist_ok=True)
        (home / shared).symlink_to(home.parent / shared)
    settings = Settings(home=home, grace_seconds=1, build_id=home.name, deployment=queue)
    made = Host.of(settings, shop.host.gateway, Launcher(settings, find_isolation()))
    async with AsyncExitStack() as stack:
        for worker in workers(shop.env.client, made, settings, queue):
            await stack.enter_async_context(worker)
        yield made


async def make_current(shop: Shop, queue: str, build: str) -> None:
    """What docs/operations.md says; the server may not have heard of the version yet."""
    command = ["worker", "deployment", "set-current-version", "--deployment-name", queue, "--build-id", build, "--yes"]
    address = shop.env.client.service_client.config.target_host
    while True:
        done = await asyncio.create_subprocess_exec(
            *(temporal_binary(), *command, "--address", address),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await done.communicate()
        if done.returncode == 0:
            return
        assert b"missing active task queues" not in said, said
        await asyncio.sleep(0.1)


async def test_a_session_comes_through_the_upgrade_of_its_fleet(shop: Shop, tmp_path: Path) -> None:
    queue, name = f"fleet-{tmp_path.name}", "upgraded"
    sessions = Sessions(shop.env.client, shop.settings, ui_url=None, task_queue=queue)
    shop.stage.plays[name] = WAITS
    async with AsyncExitStack() as old, AsyncExitStack() as new:
        first = await old.enter_async_context(host(shop, tmp_path / "one", queue))
        await make_current(shop, queue, "one")
        await sessions.start(NewSession.parse(session_id=name, goal=GOAL, validation_command=CHECK))
        tree = first.folder(name) / "tree"
        while not (tree / "waits").exists():
            await asyncio.sleep(0.05)
        second = await new.enter_async_context(host(shop, tmp_path / "two", queue))
        await make_current(shop, queue, "two")
        assert "greet.py" not in (await sessions.diff(name)).patch, "nothing is committed yet"
        await old.aclose()
        while not (second.folder(name) / "tree" / "waits").exists():
            await asyncio.sleep(0.05)
        (second.folder(name) / "tree" / "go").touch()
        [done], _ = await sessions.wait([name], until="attention", timeout_seconds=60)
        assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
        assert "def greet" in (await sessions.diff(name)).patch
