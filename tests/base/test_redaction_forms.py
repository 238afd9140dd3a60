"""The ways in which files give a name its value: lists of pairs, SQL, Dockerfiles, the next line, bare YAML."""

from __future__ import annotations

import json

import pytest

from overnight.base.redaction import Redactor
from tests.planted import value_of

REDACTOR = Redactor()
VALUE = value_of("env token", 12)[:18]
ODD = "kR8$vQ,z2;" + "Lm(7Tx"


@pytest.mark.parametrize(
    "text",
    [
        f"- name: DB_PASSWORD\n  value: {VALUE}\n",
        f'  - name: "API_TOKEN"\n    value: "{VALUE}"\n',
        json.dumps({"name": "API_TOKEN", "value": VALUE}),
        json.dumps([{"name": "API_TOKEN", "value": VALUE}], indent=2),
        json.dumps(json.dumps({"name": "API_TOKEN", "value": VALUE})),
        f'<add key="DbPassword" value="{VALUE}"/>',
        f"CREATE USER app IDENTIFIED BY '{VALUE}';",
        f"create user app identified with mysql_native_password by '{VALUE}';",
        f"ALTER ROLE app WITH LOGIN PASSWORD '{VALUE}';",
        f"ALTER ROLE app PASSWORD\n  '{VALUE}';",
        f"FROM python:3.11\nENV DB_PASSWORD {VALUE}\n",
        f"ARG NPM_TOKEN={VALUE}\n",
        f"setenv API_KEY {VALUE}\n",
        f'password:\n  "{VALUE}"\n',
        f'{{"password":\n    "{VALUE}"}}',
        f'PASSWORD = (\n    "{VALUE}"\n)\n',
        f"password: >-\n  {VALUE}\n",
        f"token: |\n  {VALUE}\n",
        f"deploy --token \\\n  {VALUE}\n",
        f"password: {ODD}\n",
        f"db:\n  - db_password: {ODD}\r\n",
        f"environment:\n  - DB_PASSWORD={ODD}\n",
        f"environment:\n  DB_PASSWORD: {ODD}\n",
    ],
)
def test_a_value_is_found_however_it_is_given(text: str) -> None:
    clean = REDACTOR.text(text)
    assert VALUE not in clean
    assert ODD not in clean
    assert [found.sure for found in REDACTOR.findings(text)] == [True]
    assert REDACTOR.text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        f'"password":\n  "{VALUE}": 1',
        f"- name: DB_HOST\n  value: {VALUE}\n",
        f"- name: DB_PASSWORD_FILE\n  value: {VALUE}\n",
        "- name: DB_PASSWORD\n  value: $(DB_PASSWORD)\n",
        f"- name: DB_PASSWORD\n\nother:\n  value: {VALUE}\n",
        "IDENTIFIED BY '<password>'",
        "IDENTIFIED BY 'password'",
        "PASSWORD '${DB_PASSWORD}'",
        f"ENV DB_HOST {VALUE}\n",
        f"the password {VALUE}\n",
        "token: foo(bar2,baz),\n",
        "secret: Buffer.from(x1,y2)\n",
        "secret: !cond1&&other(x2)\n",
        "token: $SOME_TOKEN2;\n",
        f'["MySecretKey",\n  "{VALUE}"]',
        "Culture=neutral, PublicKeyToken=b77a5c56" + "1934e089",
        '"Resource": "arn:aws:secretsmanager:*:*:secret:s2' + 'svpn!*"',
        "client_request_token: Zx81kQpw" + "02Lm9aBc",
        "csrf_token: Zx81kQpw" + "02Lm9aBc",
        "?access_token=2YotnFZFEjr1zCsicMWpAA",
    ],
)
def test_what_is_not_given_stays(text: str) -> None:
    assert REDACTOR.findings(text) == []
