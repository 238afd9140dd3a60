"""Values that the process knows, and the forms in which they turn up."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from overnight.base.redaction import Redactor, known_secrets
from overnight.base.redaction.known import forms
from tests.planted import value_of

VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=40).filter(
    lambda text: len(set(text)) > 3
)


@settings(deadline=None)
@example(value="pass word/with+all", before="", after="")
@given(VALUES, st.text(st.characters(codec="utf-8"), max_size=12), st.text(st.characters(codec="utf-8"), max_size=12))
def test_every_form_is_found(value: str, before: str, after: str) -> None:
    redactor = Redactor.of([value])
    forms = [
        value,
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value))[3:-3],
    ]
    for form in forms:
        assert form not in redactor.text(f"{before} {form} {after}").replace("<redacted:known-value>", "")


@settings(deadline=None)
@given(VALUES, st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_base64_of_anything_that_holds_it(value: str, before: bytes, after: bytes, url: bool) -> None:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    text = encode(before + value.encode() + after).decode()
    clean = Redactor.of([value]).text(f"data: {text}")
    for part in re.split(r"[^A-Za-z0-9+/_-]+", clean):
        for shift in range(4):
            whole = part[shift : shift + (len(part) - shift) // 4 * 4]
            assert value.encode()[1:-1] not in base64.b64decode(whole.replace("-", "+").replace("_", "/"))
    # Of the value's bits no more than those of its first and its last byte stay.
    assert any(form in text and 6 * len(form) > 8 * len(value.encode()) - 14 for form in forms(value))


def test_short_and_uniform_values_are_not_looked_for() -> None:
    redactor = Redactor.of(["short", "", "a" * 20, "seven77"])
    assert redactor.text("a short seven77 " + "a" * 30) == "a short seven77 " + "a" * 30
    assert repr(redactor) == "Redactor(0 known values)"


def test_overlapping_values_leave_nothing() -> None:
    first, second = "alpha-beta-1", "beta-1-gamma"
    assert Redactor.of([first, second]).text("x alpha-beta-1-gamma y") == f"x {'*' * 18} y"


def test_which_values_of_an_environment_are_secrets() -> None:
    token, word = value_of("flag", 1), value_of("url password", 1)
    environ = {
        "ANTHROPIC_API_KEY": token,
        "gitlab_token": f" {token}x\n",
        "DB_PASSWORD": "correct horse battery",
        "AWS_CREDENTIALS": json.dumps({"id": token}),
        "DATABASE_URL": f"postgres://app:{quote(word + '/?', safe='')}@db:5432/app",
        "PIP_INDEX_URL": f"https://{token}@pypi.corp/simple",
        "HTTPS_PROXY": "http://proxy.corp:3128",
        "HOME": "/home/ada",
        "SOMETHING": token + "y",
        "SSH_KEY_FILE": "/home/ada/.ssh/id_rsa",
        "GOOGLE_CREDENTIALS": "/etc/google/credentials.json",
        "TOKEN_URL": "https://auth.corp/oauth2/token",
        "USE_TOKEN": "true",
        "SECRET_BACKEND": "production",
        "MAX_OUTPUT_TOKENS": "32000000",
        "CACHE_KEY": "12345678",
        "PRIVATE_KEY": "<your-private-key>",
        "PASSWORD": "short",
        "KEYBOARD_LAYOUT": "us-intl-with-dead-keys-2",
        "BAD_URL": "http://[broken@x",
    }
    assert set(known_secrets(environ)) == {
        token,
        f"{token}x",
        "correct horse battery",
        environ["AWS_CREDENTIALS"],
        quote(word + "/?", safe=""),
        word + "/?",
    }


@pytest.mark.parametrize("name", ["X_KEY", "x_token", "MY_SECRET_1", "PGPASSWORD", "AWS_CREDENTIAL", "DB_PASS"])
def test_every_telling_name(name: str) -> None:
    assert known_secrets({name: "some-Value-19"}) == ["some-Value-19"]


def test_what_a_collector_of_traces_is_told() -> None:
    headers = "authorization=Basic%20dXNlcjpwYXNzd29yZA,x-api-key=some-Value-19,x-team=blue"
    found = known_secrets({"OTEL_EXPORTER_OTLP_HEADERS": headers, "OTHER_HEADERS": "x=another-Value-20"})
    assert found == ["dXNlcjpwYXNzd29yZA", "some-Value-19"]
