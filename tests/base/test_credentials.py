"""Which credential is found, where, and that none of it shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from overnight.base.credentials import DEFAULT_UPSTREAM, Credential, find_credential


def login(home: Path, content: object) -> None:
    (home / ".claude").mkdir()
    (home / ".claude" / ".credentials.json").write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("env", "kind", "upstream"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, "api_key", DEFAULT_UPSTREAM),
        ({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://gateway/"}, "api_key", "https://gateway"),
        ({"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_BASE_URL": "https://gateway"}, "auth_token", "https://gateway"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "o"}, "oauth_token", DEFAULT_UPSTREAM),
        ({"ANTHROPIC_API_KEY": "  ", "CLAUDE_CODE_OAUTH_TOKEN": "o"}, "oauth_token", DEFAULT_UPSTREAM),
    ],
)
def test_the_environment(env: dict[str, str], kind: str, upstream: str, tmp_path: Path) -> None:
    found = find_credential(env, tmp_path)
    assert found is not None
    assert (found.kind, found.upstream) == (kind, upstream)


def test_a_claude_login_and_its_end(tmp_path: Path) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    login(tmp_path, {"claudeAiOauth": {"accessToken": "a", "expiresAt": int(ends.timestamp() * 1000)}})
    found = find_credential({}, tmp_path)
    assert found is not None
    assert (found.kind, found.is_oauth, found.expires_at) == ("claude_login", True, ends)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"claudeAiOauth": null}', '{"claudeAiOauth": {"accessToken": 5}}']
)
def test_a_login_that_is_none(content: str, tmp_path: Path) -> None:
    login(tmp_path, content)
    assert find_credential({}, tmp_path) is None


def test_nothing(tmp_path: Path) -> None:
    assert find_credential({}, tmp_path) is None


def test_the_secret_shows_nowhere_and_two_are_told_apart() -> None:
    found = find_credential({"ANTHROPIC_API_KEY": "sk-very-secret"}, Path("/nonexistent"))
    other = find_credential({"ANTHROPIC_API_KEY": "sk-other"}, Path("/nonexistent"))
    assert isinstance(found, Credential)
    assert isinstance(other, Credential)
    assert "very-secret" not in f"{found!r} {found} {found.model_dump_json()} {found.fingerprint}"
    assert found.fingerprint != other.fingerprint
