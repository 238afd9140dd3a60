"""Bedrock and Vertex: what a credential passes on is what the bundled Claude Code needs, and its report is enough."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path

import pytest
from claude_agent_sdk import ResultMessage, query

from activities.claude.reported import Report
from overnight.base.credentials import find_credential
from tests.activities.claude.service import COST, USAGE, Asked, events, http, service
from tests.demo.claude import options


def framed(event: bytes) -> bytes:
    """An event of the Messages API as a frame of AWS's event stream."""
    data = event.partition(b"data: ")[2].strip()
    payload = json.dumps({"bytes": base64.b64encode(data).decode()}).encode()
    told = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
        for name, value in told.items()
    )
    prelude = (len(payload) + len(headers) + 16).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    message = prelude + zlib.crc32(prelude).to_bytes(4, "big") + headers + payload
    return message + zlib.crc32(message).to_bytes(4, "big")


async def bedrock(asked: Asked) -> None:
    if not asked.target.endswith("/invoke-with-response-stream"):
        return await asked.say(http(b"{}", status=404, kind="application/json"))
    stream = b"".join(framed(event) for event in events())
    return await asked.say(http(stream, kind="application/vnd.amazon.eventstream"))


async def vertex(asked: Asked) -> None:
    await asked.say(http(b"".join(events())))


async def said(env: dict[str, str], home: Path) -> tuple[ResultMessage, Report]:
    """One query with nothing in the environment but what the credential passes on."""
    credential = find_credential(env, home)
    assert credential is not None
    assert credential.direct
    passed = {**credential.environment(), **{name: str(path) for name, path in credential.files.items()}}
    asked = options("", home)
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_CUSTOM_HEADERS"):
        del asked.env[name]
    asked.env |= passed
    report = Report()
    result: ResultMessage | None = None
    async for message in query(prompt="hi", options=asked):
        report.hear(message)
        if isinstance(message, ResultMessage):
            result = message
    assert result is not None
    return result, report


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "ANTHROPIC_", "CLAUDE_CODE_", "GOOGLE_", "CLOUD_ML", "VERTEX_")):
            monkeypatch.delenv(name)


def check(result: ResultMessage, report: Report) -> None:
    assert (result.is_error, result.result) == (False, "ok")
    used = report.usage()
    assert used.cost_usd == pytest.approx(COST)
    assert (used.responses, used.input_tokens, used.estimated_usd) == (1, USAGE["input_tokens"], 0)


KEYS = {"AWS_ACCESS_KEY_ID": "AKIA0", "AWS_SECRET_ACCESS_KEY": "aws-secret", "AWS_SESSION_TOKEN": "aws-session"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"AWS_BEARER_TOKEN_BEDROCK": "a-bearer-token"}, "Bearer a-bearer-token"),
        (KEYS, "AWS4-HMAC-SHA256 Credential=AKIA0/"),
        ({"AWS_PROFILE": "night"}, "AWS4-HMAC-SHA256 Credential=AKIAFILE/"),
        ({"CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1", "ANTHROPIC_AUTH_TOKEN": "a-gateway-token"}, "Bearer a-gateway-token"),
    ],
    ids=["token", "keys", "profile", "gateway"],
)
async def test_bedrock(given: dict[str, str], shown: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    keys = "[night]\naws_access_key_id = AKIAFILE\naws_secret_access_key = aws-secret\n"
    (tmp_path / ".aws" / "credentials").write_text(keys)
    async with service(bedrock) as there:
        env = {"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BEDROCK_BASE_URL": there.url, "AWS_REGION": "eu-west-1"}
        check(*await said({**env, **given, "ANTHROPIC_API_KEY": "not-this-one"}, tmp_path))
        asked = there.asked[-1]
        assert asked.target == "/model/eu.anthropic.claude-opus-5-5/invoke-with-response-stream"
        assert asked.headers["authorization"].startswith(shown)
        # A gateway that takes the place of Bedrock gets what is meant for gateways, Amazon does not.
        assert ("not-this-one" in str(asked.headers)) is ("CLAUDE_CODE_SKIP_BEDROCK_AUTH" in given)


async def test_vertex_behind_a_gateway(tmp_path: Path) -> None:
    async with service(vertex) as there:
        env = {
            "CLAUDE_CODE_USE_VERTEX": "true",
            "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
            "ANTHROPIC_VERTEX_BASE_URL": f"{there.url}/v1",
            "ANTHROPIC_VERTEX_PROJECT_ID": "night",
            "CLOUD_ML_REGION": "europe-west1",
        }
        check(*await said(env, tmp_path))
        model = "/v1/projects/night/locations/europe-west1/publishers/anthropic/models/claude-opus-5-5"
        assert there.asked[-1].target.startswith(f"{model}:streamRawPredict")
