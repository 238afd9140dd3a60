"""Bedrock and Vertex: what is passed to Claude Code, what is said of it, and that none of it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from overnight.base.credentials import Credential, find_credential, why_none

BEDROCK = {"CLAUDE_CODE_USE_BEDROCK": "1"}
VERTEX = {"CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_VERTEX_PROJECT_ID": "night", "CLOUD_ML_REGION": "us-east5"}
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIA-secret",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "AWS_SESSION_TOKEN": "session-secret",
}
REST = {"ANTHROPIC_API_KEY": "other", "ANTHROPIC_BASE_URL": "https://gateway", "PATH": "/bin", "GITHUB_TOKEN": "mine"}


def found(env: dict[str, str], home: Path) -> Credential:
    credential = find_credential({**REST, **env}, home)
    assert credential is not None
    return credential


def test_bedrock_with_a_token(tmp_path: Path) -> None:
    env = {**BEDROCK, "AWS_BEARER_TOKEN_BEDROCK": "bearer-secret", "AWS_REGION": "eu-west-1"}
    credential = found({**env, **KEYS}, tmp_path)
    assert (credential.kind, credential.direct, credential.is_oauth) == ("bedrock", True, False)
    assert credential.environment() == env, "what it needs, and no other of the person's credentials"
    assert credential.source == "CLAUDE_CODE_USE_BEDROCK with AWS_BEARER_TOKEN_BEDROCK"
    assert credential.upstream == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert credential.secrets == {"bearer-secret"}


def test_bedrock_with_keys_and_settings(tmp_path: Path) -> None:
    more = {"ANTHROPIC_BEDROCK_BASE_URL": "https://vpce.example", "ANTHROPIC_BEDROCK_SERVICE_TIER": "flex"}
    credential = found({**BEDROCK, **KEYS, **more}, tmp_path)
    assert credential.environment() == {**BEDROCK, **KEYS, **more}
    assert credential.upstream == "https://vpce.example"
    assert credential.secrets == set(KEYS.values())


def test_bedrock_with_a_profile(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n")
    assert find_credential(BEDROCK, tmp_path) is None, "a region is no credential"
    (tmp_path / ".aws" / "credentials").write_text("[default]\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("[night]\n")
    credential = found({**BEDROCK, "AWS_PROFILE": "night", "AWS_SHARED_CREDENTIALS_FILE": str(elsewhere)}, tmp_path)
    config = tmp_path / ".aws" / "config"
    assert credential.files == {"AWS_SHARED_CREDENTIALS_FILE": elsewhere, "AWS_CONFIG_FILE": config}
    assert credential.environment() == {**BEDROCK, "AWS_PROFILE": "night"}
    assert credential.secrets == frozenset(), "the name of a profile is none"


@pytest.mark.parametrize(
    "env",
    [BEDROCK, {**BEDROCK, "AWS_PROFILE": "night"}, {**BEDROCK, "AWS_ACCESS_KEY_ID": "AKIA"}, {**BEDROCK, **REST}],
)
def test_bedrock_without_a_credential_is_none_and_no_other_takes_its_place(env: dict[str, str], tmp_path: Path) -> None:
    assert find_credential(env, tmp_path) is None
    assert "AWS_BEARER_TOKEN_BEDROCK" in why_none(env, tmp_path)


def test_vertex_with_a_file(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    env = {**VERTEX, "GOOGLE_APPLICATION_CREDENTIALS": str(key), "VERTEX_REGION_CLAUDE_5_5_OPUS": "europe-west1"}
    assert find_credential(env, tmp_path) is None
    assert "GOOGLE_APPLICATION_CREDENTIALS" in why_none(env, tmp_path)
    key.write_text("{}")
    credential = found(env, tmp_path)
    assert (credential.kind, credential.direct) == ("vertex", True)
    assert credential.files == {"GOOGLE_APPLICATION_CREDENTIALS": key}
    assert credential.environment() == {**VERTEX, "VERTEX_REGION_CLAUDE_5_5_OPUS": "europe-west1"}
    assert credential.upstream == "https://us-east5-aiplatform.googleapis.com/v1"


def test_vertex_with_the_login_of_gcloud(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    login = folder / "application_default_credentials.json"
    login.write_text("{}")
    assert found(VERTEX, tmp_path).files == {"GOOGLE_APPLICATION_CREDENTIALS": login}
    assert found({**VERTEX, "CLOUD_ML_REGION": "global"}, tmp_path).upstream == "https://aiplatform.googleapis.com/v1"


@pytest.mark.parametrize("service", ["BEDROCK", "VERTEX"])
def test_a_gateway_in_the_place_of_the_service(service: str, tmp_path: Path) -> None:
    env = {
        f"CLAUDE_CODE_USE_{service}": "1",
        f"CLAUDE_CODE_SKIP_{service}_AUTH": "1",
        f"ANTHROPIC_{service}_BASE_URL": "https://gateway/",
        "ANTHROPIC_AUTH_TOKEN": "gateway-secret",
        "ANTHROPIC_CUSTOM_HEADERS": "X-Team: night",
    }
    credential = found(env, tmp_path)
    assert credential.environment() == {**env, "ANTHROPIC_API_KEY": "other"}
    assert (credential.upstream, credential.files) == ("https://gateway", {})
    assert credential.secrets == {"gateway-secret"}


def test_bedrock_comes_before_vertex_as_with_claude_code(tmp_path: Path) -> None:
    assert found({**VERTEX, **BEDROCK, **KEYS}, tmp_path).kind == "bedrock"


@pytest.mark.parametrize("flag", ["FOUNDRY", "MANTLE", "ANTHROPIC_AWS", "ANTHROPIC_GOOGLE_CLOUD"])
def test_a_service_that_overnight_does_not_know_is_refused_not_ignored(flag: str, tmp_path: Path) -> None:
    env = {**REST, f"CLAUDE_CODE_USE_{flag}": "1"}
    assert find_credential(env, tmp_path) is None
    assert f"CLAUDE_CODE_USE_{flag}" in why_none(env, tmp_path)


def test_what_it_exposes_is_said_and_no_value_shows(tmp_path: Path) -> None:
    credential = found({**BEDROCK, **KEYS}, tmp_path)
    assert "inside the sandbox" in credential.exposes
    assert "neither meters nor refuses" in credential.exposes
    shown = f"{credential!r} {credential} {credential.model_dump_json()} {credential.fingerprint} {credential.exposes}"
    assert not [value for value in KEYS.values() if value in shown]
    assert Credential(kind="api_key", secret=credential.secret, source="test").exposes == ""


def test_two_are_told_apart(tmp_path: Path) -> None:
    one = found({**BEDROCK, **KEYS}, tmp_path)
    assert one.fingerprint == found({**KEYS, **BEDROCK}, tmp_path).fingerprint
    others = [{"AWS_SECRET_ACCESS_KEY": "x"}, {"AWS_REGION": "eu-west-1"}, {"AWS_SESSION_TOKEN": "y"}]
    prints = {found({**BEDROCK, **KEYS, **other}, tmp_path).fingerprint for other in others}
    assert len(prints | {one.fingerprint}) == 4
