"""What one host left of an execute, another takes up: two homes that share the vault's URL and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.claude import Gateway
from activities.execute import Execute
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from activities.workspace import session_tip
from overnight.base.credentials import Credential
from overnight.base.settings import Settings
from overnight.demo.script import Scenario
from overnight.demo.server import ScriptedModel
from tests.activities.claude.conftest import Stage
from tests.sessions.plays import HALF_DONE
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import Allowance, Brief, ExecuteRequest, ExecuteResult, Site
from workflows.contracts.spec import Project

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

ID = "a-session"


@dataclass
class Fleet:
    hosts: list[Host]
    model: ScriptedModel
    request: ExecuteRequest

    async def run(self, host: Host, env: ActivityEnvironment | None = None) -> ExecuteResult:
        return await (env or ActivityEnvironment()).run(Execute(host).run, self.request)

    async def tip(self) -> str | None:
        """The branch's commit, as the second host sees it."""
        return await session_tip(await self.hosts[1].vault(self.request.site.project), ID)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        while not await holds():
            await asyncio.sleep(0.05)

    async def begun(self, host: Host) -> None:
        """Until the agent has written a file, runs its long command, and both are kept in the vault."""

        async def kept() -> bool:
            vault = host.settings.home.parent / "vaults" / "a-project.git"
            at = vault / "refs" / "overnight" / ID / "work"
            if not at.exists():
                return False
            ref = at.read_text().strip()
            files = await printed("--git-dir", vault, "ls-tree", "-r", "--name-only", ref)
            if not {"tree/test_greet.py", "transcript.jsonl"} <= set(files.split()):
                return False
            # The long command is in it, so that who goes on does not begin with that again.
            return "time.sleep(600)" in await printed("--git-dir", vault, "show", f"{ref}:transcript.jsonl")

        await self.until(kept)

    def resumed(self) -> list[int]:
        """Turns at which a conversation went on after an interruption."""
        return [r.turn for r in self.model.requests if "You were interrupted" in r.prompt]


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    stage = Stage()
    stage.play = Scenario({"execute": HALF_DONE})
    (tmp_path / "vaults").mkdir()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage))
        credential = Credential(kind="api_key", secret=SecretStr("s"), source="test", upstream=model.url)
        hosts = []
        for name in ("one", "two"):
            gateway = await stack.enter_async_context(Gateway(lambda: credential).running())
            settings = Settings(home=tmp_path / name, vault_url=f"file://{tmp_path}/vaults", snapshot_seconds=0.1)
            hosts.append(Host.of(settings, gateway, Launcher(settings, find_isolation())))
        await printed("init", "-q", "--bare", tmp_path / "vaults" / "a-project.git")
        site = Site(session_id=ID, project=Project(key="a-project"), iteration=1)
        base = await hosts[0].base(site)
        request = ExecuteRequest(
            site=site.model_copy(update={"commit": base}),
            # Who is cut off has this long to go on, and then finds out where it wants to publish.
            allowance=Allowance(model="claude-opus-5-5", cost_usd=1, seconds=60, max_turns=20),
            step="s1",
            subject="write the greeter",
            brief=Brief(goal="greet", task="write the greeter"),
        )
        yield Fleet(hosts, model, request)


async def printed(*command: str | Path) -> str:
    """What git prints."""
    process = await asyncio.create_subprocess_exec("git", *command, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode()


def files(host: Host) -> set[str]:
    return {p.name for p in (host.folder(ID) / "tree").iterdir()}


async def test_the_second_goes_on_and_the_first_can_no_longer_publish(fleet: Fleet) -> None:
    """The first host is cut off from Temporal but not from the vault: it finds out there."""
    one, two = fleet.hosts
    assert one.id != two.id
    zombie = asyncio.create_task(fleet.run(one))
    await fleet.begun(one)
    result = await fleet.run(two)
    assert result.outcome is Outcome.COMPLETED
    assert result.host == two.id
    assert files(two) >= {"greet.py", "test_greet.py"}, "what the first one wrote is lost"
    assert fleet.resumed(), "the conversation did not go on"
    assert min(fleet.resumed()) >= 2
    with pytest.raises(ApplicationError, match="a later attempt"):
        await zombie
    assert result.checkpoint is not None
    assert await fleet.tip() == result.checkpoint.commit


async def test_an_interrupted_conversation_goes_on_elsewhere(fleet: Fleet) -> None:
    """Its worker leaves in order; the one that takes over is another host's."""
    one, two = fleet.hosts
    env = ActivityEnvironment()
    first = asyncio.create_task(fleet.run(one, env))
    await fleet.begun(one)
    env.worker_shutdown()
    left = await first
    assert (left.outcome, left.detail) == (Outcome.INTERRUPTED, "the worker is leaving")
    assert left.checkpoint is not None
    site = fleet.request.site.model_copy(update={"commit": left.checkpoint.commit})
    fleet.request = fleet.request.model_copy(update={"site": site, "conversation": left.conversation})
    result = await fleet.run(two)
    assert result.outcome is Outcome.COMPLETED
    assert min(fleet.resumed()) >= 2
    assert files(two) >= {"greet.py", "test_greet.py"}


async def test_who_is_cut_off_from_temporal_stops_itself(fleet: Fleet) -> None:
    one, two = fleet.hosts
    answers = True

    async def ask() -> None:
        if not answers:
            await asyncio.sleep(3_600)

    async with one.pulse.asking(ask):
        running = asyncio.create_task(fleet.run(one))
        await fleet.begun(one)
        answers = False
        result = await running
    assert (result.outcome, result.detail) == (Outcome.INTERRUPTED, "cut off from Temporal")
    asked = len(fleet.model.requests)
    # Nobody heard its answer: the next attempt finds the checkpoint, and the conversation goes on from there.
    again = await fleet.run(two)
    assert (again.outcome, again.checkpoint) == (Outcome.INTERRUPTED, result.checkpoint)
    assert len(fleet.model.requests) == asked
