"""Which credential is found, where, and that none of it shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from overnight.base.credentials import DEFAULT_UPSTREAM, Credential, find_credential, why_none


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
        ({"ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "o"}, "api_key", DEFAULT_UPSTREAM),
        ({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}, "auth_token", DEFAULT_UPSTREAM),
        ({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": " https://gateway/a/ "}, "api_key", "https://gateway/a"),
        ({"ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_USE_BEDROCK": "0"}, "api_key", DEFAULT_UPSTREAM),
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


def test_a_login_elsewhere(tmp_path: Path) -> None:
    login(tmp_path, {"claudeAiOauth": {"accessToken": "a"}})
    assert find_credential({}, tmp_path / "nobody") is None
    found = find_credential({"CLAUDE_CONFIG_DIR": str(tmp_path / ".claude")}, tmp_path / "nobody")
    assert found is not None
    assert (found.source, found.expires_at) == (str(tmp_path / ".claude" / ".credentials.json"), None)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", "[" * 100_000, '{"claudeAiOauth": null}', '{"claudeAiOauth": {"accessToken": 5}}'),
        '{"claudeAiOauth": {"accessToken": "with a \\u201cquote\\u201d"}}',
    ],
)
def test_a_login_that_is_none(content: str, tmp_path: Path) -> None:
    login(tmp_path, content)
    assert find_credential({}, tmp_path) is None
    assert ".credentials.json" in why_none({}, tmp_path)


@pytest.mark.parametrize("ends", ['"soon"', "true", "1e300", "NaN", "-1e300", "null", "[]"])
def test_a_login_whose_end_is_no_moment_has_none(ends: str, tmp_path: Path) -> None:
    login(tmp_path, f'{{"claudeAiOauth": {{"accessToken": "a", "expiresAt": {ends}}}}}')
    found = find_credential({}, tmp_path)
    assert found is not None
    assert found.expires_at is None


def test_the_login_of_a_console_account_is_an_api_key(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text('{"primaryApiKey": "managed"}')
    found = find_credential({}, tmp_path)
    assert found is not None
    assert (found.kind, found.source, found.is_oauth) == ("api_key", str(tmp_path / ".claude.json"), False)
    login(tmp_path, {"claudeAiOauth": {"accessToken": "a"}})
    subscription = find_credential({}, tmp_path)
    assert subscription is not None
    assert subscription.kind == "claude_login"
    elsewhere = find_credential({"CLAUDE_CONFIG_DIR": str(tmp_path)}, tmp_path / "nobody")
    assert elsewhere is not None
    assert elsewhere.kind == "api_key"


def test_nothing(tmp_path: Path) -> None:
    assert find_credential({}, tmp_path) is None
    assert why_none({}, tmp_path) == ""


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_a_secret_that_no_header_takes_is_said_and_not_shown(name: str, tmp_path: Path) -> None:
    for secret in ("sk-\u201csecret\u201d", "sk-se\ncret", "sk-se\x00cret"):
        assert find_credential({name: secret}, tmp_path) is None
        why = why_none({name: secret}, tmp_path)
        assert name in why
        assert "cret" not in why


def test_custom_headers(tmp_path: Path) -> None:
    text = "X-A: b: c\r\n\nno header\n: nameless\n  Authorization :Bearer the-token \nX-Empty:\nContent-Length: 5"
    found = find_credential({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_CUSTOM_HEADERS": text}, tmp_path)
    assert found is not None
    assert found.presented() == {"x-api-key": "k", "x-a": "b: c", "authorization": "Bearer the-token", "x-empty": ""}
    assert "the-token" not in f"{found!r} {found.model_dump_json()}"
    assert found.secrets == {"Bearer the-token", "the-token"}, "what is shorter than any key is none"


@pytest.mark.parametrize("line", ["X Y: z", "X-\u00c4: z", "X-Y: se\u201ccret"])
def test_a_header_that_is_none_is_said(line: str, tmp_path: Path) -> None:
    env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_CUSTOM_HEADERS": line}
    assert find_credential(env, tmp_path) is None
    assert "ANTHROPIC_CUSTOM_HEADERS" in why_none(env, tmp_path)
    assert "cret" not in why_none(env, tmp_path)


def test_a_gateway_s_token_and_a_key_go_together_as_with_claude_code(tmp_path: Path) -> None:
    found = find_credential({"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_API_KEY": "k"}, tmp_path)
    assert found is not None
    assert found.presented() == {"authorization": "Bearer t", "x-api-key": "k"}


def test_an_address_is_shown_without_its_password(tmp_path: Path) -> None:
    env = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://me:word@gateway:8443/a?key=word"}
    found = find_credential(env, tmp_path)
    assert found is not None
    assert found.place == "https://gateway:8443/a"
    broken = Credential(kind="api_key", secret=found.secret, source="test", upstream="http://[::1")
    assert broken.place == "an address that is none"


def test_the_secret_shows_nowhere_and_two_are_told_apart() -> None:
    found = find_credential({"ANTHROPIC_API_KEY": "sk-very-secret"}, Path("/nonexistent"))
    other = find_credential({"ANTHROPIC_API_KEY": "sk-other"}, Path("/nonexistent"))
    assert isinstance(found, Credential)
    assert isinstance(other, Credential)
    assert "very-secret" not in f"{found!r} {found} {found.model_dump_json()} {found.fingerprint}"
    assert found.fingerprint != other.fingerprint
