"""A secret in what a person types is refused before anything keeps it, and no error repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest

from overnight.cli import run
from overnight.errors import InvalidRequestError
from overnight.request import NewSession
from tests.cli.support import clean_environment
from tests.planted import value_of

SEED = 9
PAT = value_of("github classic", SEED)
LOWER = "glpat-" + "".join(c for c in value_of("gitlab", SEED).lower() if c.isalnum()) + "k7q2x9"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is not there and must not come to be, with a credential."""
    monkeypatch.setattr("os.environ", clean_environment(tmp_path / "home", ANTHROPIC_API_KEY="k"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def shows(text: str, secret: str) -> bool:
    """Whether eight characters in a row of a secret stand in a text."""
    return any(secret[i : i + 8] in text for i in range(4, len(secret) - 8))


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        ("--validate", f"TOKEN={PAT} pytest", "--validate: line 1 holds what looks like a secret (github-pat)"),
        ("--validate", f"export DEPLOY_TOKEN={value_of('env token', SEED)}\npytest", "let the command read it from"),
        ("--setup", f"git clone https://{PAT}@h.example/x", "--setup: line 1 holds what looks"),
        (
            "--criterion",
            f"curl -H 'Authorization: Bearer {PAT}' https://h answers 200",
            "--criterion (number 1): line 1",
        ),
        ("--model", PAT, "; name a model"),
        ("--allow-host", PAT, "--allow-host (number 1): line 1 holds what looks like a secret"),
        ("--allow-host", f"https://ada:{PAT}@pkgs.example/simple", "--allow-host (number 1): "),
        ("--allow-host", "a" * 201 + PAT, "--allow-host (number 1): is 241 bytes long"),
        ("--id", LOWER, "; choose another id"),
        ("--id", PAT, "--id: must be 3 to 64 characters long"),
        ("--id", f"{'a' * 40} {PAT}", "(given: not repeated here, it looks like a secret)"),
        ("--validate", f"{'x' * 2_000} {PAT}", "--validate: is 2041 bytes long"),
        ("--mode", PAT, "'--mode'"),
        ("--egress", PAT, "'--egress'"),
        ("--max-iterations", PAT, "'--max-iterations'"),
        ("--project", f"https://ada:{PAT}@git.example.com/shop.git", "--project: line 1"),
    ],
)
def test_it_is_refused_and_not_repeated(
    nowhere: Path, capsys: pytest.CaptureFixture[str], option: str, given: str, words: str, json: list[str]
) -> None:
    assert run(["run", "Write a shop.", option, given, *json]) == 2
    told = capsys.readouterr()
    assert words in told.err + told.out
    assert not [one for one in (PAT, LOWER, value_of("env token", SEED)) if shows(told.err + told.out, one)]
    assert not nowhere.exists()


@pytest.mark.parametrize(
    "given",
    [
        {"validation_command": "DB_PASSWORD=test-password-1 pytest -q"},
        {"validation_command": 'curl -H "Authorization: Bearer $TOKEN" http://localhost:8080/health'},
        {"setup_command": "pip install -r requirements.txt --hash=sha256:" + "0b1c2d3e" * 8},
        {"model": "claude-opus-5-5-20990101"},
        {"session_id": "fix-login-7f3a2c"},
        {"allow_hosts": ["pkgs.example.com:443", "2001:db8::1"]},
        {"project": "https://git.example.com/shop.git", "ref": "0b1c2d3e4f5a69780b1c2d3e4f5a69780b1c2d3e"},
    ],
)
def test_what_is_none_is_taken(given: dict[str, object]) -> None:
    assert NewSession.parse(goal="Write a shop.", **given)


def test_a_ref_is_refused_too() -> None:
    with pytest.raises(InvalidRequestError, match="ref: line 1 holds what looks like a secret"):
        NewSession.parse(goal="Write a shop.", project="shop", ref=PAT)


def test_a_credential_without_a_known_form_is_refused_too(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would become the session's id, its branch and the address of its page."""
    from overnight import request

    secret = "tok-secret-0123456789abcdef"
    monkeypatch.setattr("os.environ", clean_environment(nowhere, ANTHROPIC_AUTH_TOKEN=secret))
    request._redactor.cache_clear()
    try:
        with pytest.raises(InvalidRequestError) as refused:
            NewSession.parse(goal=f"token is {secret}")
    finally:
        request._redactor.cache_clear()
    assert "goal: line 1 holds what looks like a secret" in str(refused.value)
    assert not shows(str(refused.value), secret)


def test_down_works_whatever_the_settings_are(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"OVERNIGHT_BOX_MEMORY_GB": "abc", "OVERNIGHT_HOME": str(nowhere)}
    monkeypatch.setattr("os.environ", {**clean_environment(nowhere), **given})
    assert run(["down"]) == 0
    assert f"nothing was running in {nowhere}" in " ".join(capsys.readouterr().out.split())
    assert run(["up"]) == 2
