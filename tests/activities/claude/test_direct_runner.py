"""A whole call on Bedrock: the credential goes into the box, the cost comes from Claude Code's own report."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from activities.claude import Ask, Gateway, Lease, Runner
from activities.sandbox import Box, EgressRules, Launcher, find_isolation
from overnight.base.credentials import find_credential
from overnight.base.settings import Settings
from tests.activities.claude.service import COST, service
from tests.activities.claude.test_direct import bedrock
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import Allowance


async def test_a_call_on_bedrock_runs_in_its_box_and_is_charged(tmp_path: Path) -> None:
    """Its keys are in a file of the home, which the box shows at a place of its own."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = aws-secret\n"
    )
    (tmp_path / "work").mkdir()
    # The service is on this host's loopback, which only the mode 'host' reaches.
    settings = Settings(home=tmp_path / "home", egress_at_most="host")
    lease = Lease("session", "execute", iteration=1, attempt=1, budget_usd=1)
    conversation = str(uuid4())
    async with service(bedrock) as there:
        env = {"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BEDROCK_BASE_URL": there.url, "AWS_REGION": "eu-west-1"}
        credential = find_credential(env, tmp_path)
        assert credential is not None
        assert credential.direct
        async with Gateway(lambda: credential).running() as gateway:
            runner = Runner(settings, gateway, Launcher(settings, find_isolation()))
            box = Box(workspace=tmp_path / "work", config=tmp_path / "claude", egress=EgressRules("host"))
            costs = []
            for resume in (False, True):
                ask = Ask(
                    role="execute",
                    phase="execute",
                    prompt="hi",
                    guide="",
                    allowance=Allowance(model="claude-opus-5-5", cost_usd=1, seconds=300, max_turns=5),
                    conversation=conversation,
                    resume=resume,
                )
                lease = Lease("session", "execute", iteration=1, attempt=1, budget_usd=1)
                told = await runner.run(ask, lease, box, stop=asyncio.Event())
                assert (told.outcome, told.text) == (Outcome.COMPLETED, "ok"), told.detail
                costs.append(told.usage.cost_usd)
        assert there.asked[-1].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFILE/")
    assert costs == [pytest.approx(COST)] * 2, "a resumed conversation was charged again for what came before"
