"""A runner with a gateway and a scripted model: what Claude Code does, without Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import SecretStr

from activities.claude import Ask, Gateway, Lease, Runner, Told
from activities.sandbox import Box, Launcher, find_isolation
from overnight.base.credentials import Credential
from overnight.base.settings import Settings
from overnight.demo.reply import Fault, Say
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from workflows.contracts.answers import Answer, DiagnosisAnswer
from workflows.contracts.requests import Allowance

SECRET = "sk-ant-the-real-secret"


class Stage(Scenario):
    """One scenario at a time, exchanged by each test."""

    def __init__(self) -> None:
        super().__init__([])
        self.play = Scenario([])

    def reply(self, request: Request) -> Say | Fault:
        return self.play.reply(request)


@dataclass
class Bench:
    runner: Runner
    gateway: Gateway
    model: ScriptedModel
    stage: Stage
    folder: Path

    async def run(
        self,
        scenario: Scenario,
        *,
        answer: type[Answer] | None = None,
        stop: asyncio.Event | None = None,
        seconds: float = 60,
        budget_usd: float = 1.0,
        max_turns: int = 20,
        conversation: str | None = None,
        resume: bool = False,
        progress: Callable[[str], None] = lambda _did: None,
    ) -> Told:
        """One call; with ``answer`` a read-only question, else work in the folder."""
        self.stage.play = scenario
        self.model.forget()
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        role: Literal["execute", "diagnose"] = "execute" if answer is None else "diagnose"
        ask = Ask(
            role=role,
            phase=role,
            prompt="Go on.",
            guide="",
            allowance=Allowance(model="claude-opus-5-5", cost_usd=budget_usd, seconds=seconds, max_turns=max_turns),
            answer=answer,
            conversation=conversation or (str(uuid4()) if answer is None else None),
            resume=resume,
        )
        lease = Lease("session", role, iteration=1, attempt=1, budget_usd=budget_usd)
        box = Box(workspace=work, writable=answer is None, config=self.folder / "claude" if answer is None else None)
        return await self.runner.run(ask, lease, box, stop=stop or asyncio.Event(), progress=progress)

    async def ask(self, scenario: Scenario, **more: object) -> Told:
        return await self.run(scenario, answer=DiagnosisAnswer, **more)  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="session")
async def parts(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Runner, Gateway, ScriptedModel, Stage]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    stage = Stage()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage))
        credential = Credential(kind="api_key", secret=SecretStr(SECRET), source="test", upstream=model.url)
        gateway = await stack.enter_async_context(Gateway(lambda: credential).running())
        yield Runner(settings, gateway, Launcher(settings, find_isolation())), gateway, model, stage


@pytest.fixture
def bench(parts: tuple[Runner, Gateway, ScriptedModel, Stage], tmp_path: Path) -> Bench:
    return Bench(*parts, folder=tmp_path)
