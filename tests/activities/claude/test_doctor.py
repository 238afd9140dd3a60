"""What doctor says of the credential and the model: true for every kind, and never a secret."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities import check
from overnight.base.credentials import Credential, find_credential
from overnight.base.examination import Finding
from overnight.base.settings import Settings
from tests.activities.claude.service import SECRET, Asked, Play, credential, http, service

NAMES = ("ANTHROPIC_", "CLAUDE_", "AWS_", "GOOGLE_", "CLOUD")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(NAMES) or name.lower().endswith("_proxy") or name.startswith("SSL_CERT"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def told(finding: Finding) -> str:
    text = f"{finding.detail} {finding.fix}"
    assert "secret" not in text
    return text


def of(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Finding:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return check._credential(find_credential())


def test_an_api_key_is_green(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of({"ANTHROPIC_API_KEY": "a-secret", "ANTHROPIC_CUSTOM_HEADERS": "X-Key: a-secret"}, monkeypatch)
    assert found.state == "green"
    assert told(found).strip() == "api_key from ANTHROPIC_API_KEY, with the headers x-key"


@pytest.mark.parametrize(("hours", "state", "word"), [(3, "yellow", "ends at"), (-3, "red", "ended at")])
def test_a_login_has_an_end(hours: int, state: str, word: str) -> None:
    ends = datetime.now(UTC) + timedelta(hours=hours)
    found = check._credential(credential("https://x", "claude_login", expires_at=ends))
    assert found.state == state
    assert word in told(found)
    assert "setup-token" in found.fix


def test_none_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of({}, monkeypatch)
    assert (found.state, found.detail) == ("red", "none found")


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"ANTHROPIC_API_KEY": "a-\u201csecret\u201d"}, "ANTHROPIC_API_KEY holds characters"),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, "no AWS credential"),
        ({"CLAUDE_CODE_USE_VERTEX": "1"}, "no Google Cloud credential"),
        ({"CLAUDE_CODE_USE_FOUNDRY": "1", "ANTHROPIC_API_KEY": "a-secret"}, "CLAUDE_CODE_USE_FOUNDRY is set"),
    ],
)
def test_one_that_cannot_be_used_is_red_and_says_why(
    env: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of(env, monkeypatch)
    assert found.state == "red"
    assert words in told(found)


def test_what_goes_into_the_sandbox_is_yellow_and_says_what_that_exposes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of({"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_BEARER_TOKEN_BEDROCK": "a-secret"}, monkeypatch)
    assert found.state == "yellow"
    for words in ("AWS_BEARER_TOKEN_BEDROCK", "inside the sandbox", "neither meters nor refuses", "reports"):
        assert words in told(found)


# The model


async def model(held: Credential) -> Finding:
    found = await check._model(held)
    told(found)
    return found


def says(status: int, **headers: str) -> Play:
    async def play(asked: Asked) -> None:
        await asked.say(http(b"{}", status=status, kind="application/json", **headers))

    return play


@pytest.mark.parametrize(
    ("status", "state"), [(200, "green"), (404, "green"), (401, "red"), (403, "red"), (302, "red"), (503, "yellow")]
)
async def test_what_the_service_answers(status: int, state: str) -> None:
    async with service(says(status, location="https://elsewhere/login")) as there:
        found = await model(credential(f"{there.url}/prefix", "oauth_token"))
        assert found.state == state, found
        asked = there.asked[0]
        assert asked.target == "/prefix/v1/models"
        assert asked.headers["authorization"] == f"Bearer {SECRET}"
        assert asked.headers["anthropic-beta"] == "oauth-2025-04-20"
        assert len(there.asked) == 1


@pytest.mark.parametrize(
    "upstream", ["http://127.0.0.1:9", "nonsense", "http://[::1", "http://me:a-secret@127.0.0.1:9/a?k=a-secret"]
)
async def test_a_service_that_is_not_there(upstream: str) -> None:
    found = await model(credential(upstream))
    assert found.state == "red"
    assert found.fix


async def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:a-secret@127.0.0.1:9")
    found = await model(credential("https://127.0.0.1"))
    assert (found.state, "ALL_PROXY" in found.detail) == ("red", True)


async def test_bedrock_is_not_tried() -> None:
    found = await model(credential("https://bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"))
    assert (found.state, "not tried" in found.detail) == ("yellow", True)


@pytest.mark.parametrize("wait", ["wait", "exit"])
async def test_a_claude_code_that_is_silent_is_red_and_ended(
    wait: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_VERSION_SECONDS", 2.0)
    silent = tmp_path / "claude"
    silent.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 600 & {wait}\n")
    silent.chmod(0o700)
    found = await check._claude_code(Settings(home=tmp_path, claude_path=silent))
    assert (found.state, found.detail) == ("red", f"{silent} does not tell its version within 2 s")
    group = int((tmp_path / "pid").read_text())
    while _runs(group):
        await asyncio.sleep(0.01)


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
