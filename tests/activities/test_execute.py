"""execute is never blindly repeated: what a second attempt does with what the first one left."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.claude import Gateway
from activities.execute import Execute
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from activities.workspace import session_tip
from overnight.base.credentials import Credential
from overnight.base.settings import Settings
from overnight.demo.reply import HttpError, Say, Text
from overnight.demo.script import Scenario
from overnight.demo.server import ScriptedModel
from tests.activities.claude.conftest import Stage
from tests.demo.prices import PRICES
from tests.sessions.plays import HALF_DONE, RIGHT, TEST, write
from workflows.contracts.outcome import Outcome, Usage
from workflows.contracts.requests import Allowance, Beat, Brief, ExecuteRequest, ExecuteResult, Site
from workflows.contracts.spec import Project


@dataclasses.dataclass
class Bench:
    host: Host
    model: ScriptedModel
    stage: Stage
    request: ExecuteRequest

    def attempt(self, number: int = 1, usage: Usage | None = None) -> ActivityEnvironment:
        env = ActivityEnvironment()
        beats = [Beat(usage=usage).model_dump(mode="json")] if usage else []
        env.info = dataclasses.replace(env.info, attempt=number, heartbeat_details=beats)
        return env

    async def run(self, env: ActivityEnvironment) -> ExecuteResult:
        return await env.run(Execute(self.host).run, self.request)

    async def busy(self) -> None:
        """Until the agent's long command runs."""
        tree = self.host.folder(self.request.site.session_id) / "tree"
        while not (tree / "test_greet.py").exists() or len(self.model.requests) < 2:
            await asyncio.sleep(0.05)

    async def tip(self) -> str | None:
        return await session_tip(await self.host.vault(self.request.site.project), self.request.site.session_id)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(home=tmp_path)
    stage = Stage()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage))
        credential = Credential(kind="api_key", secret=SecretStr("s"), source="test", upstream=model.url)
        gateway = await stack.enter_async_context(Gateway(lambda: credential).running())
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        site = Site(session_id="a-session", project=Project(key="a-project"), iteration=1)
        base = await host.base(site)
        request = ExecuteRequest(
            site=site.model_copy(update={"commit": base}),
            allowance=Allowance(model="claude-opus-5-5", cost_usd=1, seconds=60, max_turns=20),
            step="s1",
            subject="write the greeter",
            brief=Brief(goal="greet", task="write the greeter"),
        )
        yield Bench(host, model, stage, request)


async def test_a_lost_attempt_publishes_nothing_and_the_next_one_goes_on(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": HALF_DONE})
    base = await bench.tip()
    first = bench.attempt(1)
    running = asyncio.create_task(bench.run(first))
    await bench.busy()
    second = asyncio.create_task(bench.run(bench.attempt(2, Usage(calls=1, responses=2, cost_usd=0.25))))
    first.cancel(cancellation_details=ActivityCancellationDetails(timed_out=True))
    with pytest.raises(ApplicationError, match="a later attempt"):
        await running
    assert await bench.tip() == base, "the lost attempt published"
    result = await second
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert await bench.tip() == result.checkpoint.commit
    asked = [x for x in bench.model.exchanges if isinstance(x.reply, Say)]
    billed = sum(x.usage.cost_usd(PRICES[x.request.model]) for x in asked)
    assert result.usage.cost_usd == pytest.approx(billed), "what the first attempt used is lost, or counted twice"
    resumed = [r for r in bench.model.requests if "You were interrupted" in r.prompt]
    assert resumed[0].turn >= 2, "the second attempt did not go on with the conversation"
    files = {p.name for p in (bench.host.folder("a-session") / "tree").iterdir()}
    assert files >= {"greet.py", "test_greet.py"}


async def test_a_lost_completion_is_adopted(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]})
    first = await bench.run(bench.attempt(1))
    asked = len(bench.model.requests)
    again = await bench.run(bench.attempt(2))
    assert again.checkpoint == first.checkpoint
    assert len(bench.model.requests) == asked, "the model was asked again for what was done"


async def test_an_interrupted_checkpoint_is_adopted_as_interrupted(bench: Bench) -> None:
    """Its worker dies between publishing and answering: what was not finished must not pass for done."""
    bench.stage.play = Scenario({"execute": HALF_DONE})
    env = bench.attempt(1)
    running = asyncio.create_task(bench.run(env))
    await bench.busy()
    env.cancel(cancellation_details=ActivityCancellationDetails(cancel_requested=True))
    first = await running
    again = await bench.run(bench.attempt(2))
    assert (again.outcome, again.checkpoint) == (Outcome.INTERRUPTED, first.checkpoint)
    assert again.conversation == first.conversation is not None


async def test_an_overloaded_service_fails_fast_and_keeps_what_was_done(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), HttpError(status=529)]})
    with pytest.raises(ApplicationError) as raised:
        await bench.run(bench.attempt(1))
    assert raised.value.type == "ModelUnavailable"
    assert Beat.model_validate(raised.value.details[0]).usage.responses == 1
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    result = await bench.run(bench.attempt(2))
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert result.checkpoint.changed_files == 1


async def test_a_cancel_ends_in_a_checkpoint_of_what_was_done(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": HALF_DONE})
    env = bench.attempt(1)
    running = asyncio.create_task(bench.run(env))
    await bench.busy()
    env.cancel(cancellation_details=ActivityCancellationDetails(cancel_requested=True))
    result = await running
    assert result.outcome is Outcome.INTERRUPTED
    assert result.conversation is not None
    assert result.checkpoint is not None
    assert result.checkpoint.changed_files == 1
    assert await bench.tip() == result.checkpoint.commit
