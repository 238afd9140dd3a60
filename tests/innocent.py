"""Text without secrets that looks like some: build logs, lock files, hashes, minified and ordinary code, JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from random import Random
from uuid import UUID

from tests.planted import B64, HEX, URL, WORD

PLACE = "https://pkgs.example.org"
NAMES = ("lodash", "react-dom", "pydantic", "uvicorn", "tokenize", "secretary", "passport", "keyv", "jsonwebtoken")
SOURCE = """
password: str = os.environ["DB_PASSWORD"]
token = await self._tokens.fetch(request.user_id, scope="read:all")
api_key = config.get("api_key") or getenv("API_KEY2", None)
secret = hashlib.sha256(secret_bytes + salt2).hexdigest()[:32]
def login(self, password: str | None = None, token: Token2 | None = None) -> Session: ...
class PasswordResetTokenGenerator2(BaseTokenGenerator): key_salt = "django.contrib.auth.tokens.PasswordReset"
const token = useMemo(() => tokens[index2]?.value ?? null, [tokens, index2]);
if (!apiKey || apiKey.length < 32) throw new Error("API key must have 32 characters: see https://docs.example.com/keys");
headers: { Authorization: `Bearer ${token}`, "X-Api-Key": process.env.X_API_KEY2, Cookie: `sid=${sid}` },
export DATABASE_URL="postgres://${DB_USER}:${DB_PASSWORD}@${DB_HOST}:5432/app"
DATABASE_URL=postgres://postgres:postgres@localhost:5432/test
password = "changeme"  # replaced by the operator; see <your-password-here> in values.yaml
client = Client(password="password123", token="test-token", secret="xxxxxxxxxxxxxxxxxxxx")
user = User(email="bob@example.com", password="secret"); assert user.check_password("secret")
- name: DEPLOY_TOKEN
  valueFrom: {secretKeyRef: {name: app-credentials-v2, key: deploy-token-2024}}
  secretName: wildcard-example-com-tls-2024
token: ${{ secrets.GITHUB_TOKEN }}
key: ${{ runner.os }}-node-${{ hashFiles('**/package-lock.json') }}
var e=t.token||n.password,r=e?i[e]:{secret:a.b,apiKey:c.d,pass:1};function o(t){return t.token===e.token&&!t.pwd}
const KEY_LENGTH=32,TOKEN_TYPE="Bearer",PASSWORD_FIELD="user_password2",SECRET_NAME="prod/app/db2";
next_page_token: CAEQAhgBIiQKIGZvbzEyMzQ1Njc4OTAx
max_tokens=4096 prompt_tokens=1234 completion_tokens=567 total_tokens=1801 tokens_per_second=88.5
curl -fsSL -u "$USER:$TOKEN" https://pkgs.example.org/v2/ -H "Authorization: Bearer $TOKEN"
-----BEGIN PUBLIC KEY-----
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 deploy@build-7
if text.startswith("-----BEGIN RSA PRIVATE " "KEY-----"): raise ValueError("no keys")
""".strip().splitlines()


def _hex(random: Random, size: int) -> str:
    return "".join(random.choice(HEX) for _ in range(size))


def _some(random: Random, alphabet: str, size: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(size))


def _integrity(random: Random) -> str:
    digest = base64.b64encode(hashlib.sha512(random.randbytes(8)).digest()).decode()
    name = random.choice(NAMES)
    return f'    "resolved": "{PLACE}/{name}/-/{name}-4.17.2.tgz", "integrity": "sha512-{digest}",'


def _event(random: Random) -> str:
    data = base64.b64encode(json.dumps({"goal": "add a login", "token_budget": 7}).encode()).decode()
    event = {
        "eventId": str(random.randrange(900)),
        "eventType": "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
        "activityTaskScheduledEventAttributes": {"activityId": "1", "input": {"payloads": [{"data": data}]}},
        "workflowRunId": str(UUID(int=random.getrandbits(128), version=4)),
        "taskToken": base64.b64encode(random.randbytes(60)).decode(),
        "nextPageToken": base64.b64encode(random.randbytes(30)).decode(),
    }
    return json.dumps(event)


def _minified(random: Random) -> str:
    parts = []
    for _ in range(12):
        a, b, c = (random.choice("abcdefghnort") + random.choice("0123456789_$") for _ in range(3))
        parts.append(f'{a}.token={b}?{c}.password:{a}[{b}],{c}={{secret:{a},key:"{b}",pass:!0}}')
    return ";".join(parts)


MAKERS: tuple[Callable[[Random], str], ...] = (
    lambda r: f"2026-03-04T05:{r.randrange(60):02}:07.{r.randrange(1000):03}Z INFO {r.choice(NAMES)}: compiled in 1.2s",
    lambda r: f"npm http fetch GET 200 {PLACE}/{r.choice(NAMES)} {r.randrange(900)}ms (cache miss)",
    lambda r: f"Collecting {r.choice(NAMES)}==2.31.0 --hash=sha256:{_hex(r, 64)}",
    lambda r: f"commit {_hex(r, 40)} Merge pull request #{r.randrange(999)} from o/fix-token-refresh",
    lambda r: f"index {_hex(r, 7)}..{_hex(r, 7)} 100644  blob {_hex(r, 40)}  src/{r.choice(NAMES)}/password_reset2.py",
    lambda r: f"request_id={UUID(int=r.getrandbits(128), version=4)} trace={_hex(r, 32)} span={_hex(r, 16)} status=200",
    lambda r: f"tests/test_{r.choice(NAMES)}.py::test_token_expires[{r.randrange(99)}] PASSED [ {r.randrange(99)}%]",
    lambda r: f"layer sha256:{_hex(r, 64)}: pulled; digest: sha256:{_hex(r, 64)}",
    lambda r: f"data:image/png;base64,{_some(r, B64, 300)}==",
    lambda r: (
        f"chunk {_some(r, URL, 20)}.js {r.randrange(900)} kB [emitted] [immutable] (name: vendors~{r.choice(NAMES)})"
    ),
    lambda r: f"{_some(r, B64, 76)}",
    lambda r: f'cache key: node-modules-Linux-{_hex(r, 64)}; ETag: W/"{_some(r, WORD, 27)}"',
    _integrity,
    _event,
    _minified,
    lambda r: r.choice(SOURCE),
    lambda r: r.choice(SOURCE),
    lambda r: "warning: unused variable `token2` at /usr/lib/x86_64-linux-gnu/pkg-1.2.3/src/lexer_v2.c:101:22",
)
"""Makers of a line."""


def innocent(seed: int, size: int) -> str:
    """Lines of all these kinds, at least ``size`` characters, the same for the same seed."""
    random = Random(seed)  # noqa: S311
    lines: list[str] = []
    length = 0
    while length < size:
        lines.append(random.choice(MAKERS)(random))
        length += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"
