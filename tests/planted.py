"""Fake secrets of every kind that must be found, put together at run time: the repository itself holds none.

``planted(seed)`` gives a piece of text per kind, as it might stand in a log or a file; ``value_of(kind, seed)`` what
of it must not survive. The same seed gives the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from uuid import UUID

HEX = digits + "abcdef"
WORD = ascii_letters + digits
URL = WORD + "-_"
B64 = WORD + "+/"
PUNCTUATION = "!@#%^*+~?"

Maker = Callable[[Random], tuple[str, str]]


def planted(seed: int) -> dict[str, str]:
    """A piece of text with a secret in it, by kind."""
    return {kind: _make(kind, seed)[0] for kind in KINDS}


def value_of(kind: str, seed: int) -> str:
    """The secret itself."""
    return _make(kind, seed)[1]


def leak(kind: str, seed: int, text: str) -> str | None:
    """The first ten characters in a row of a planted secret that stand in ``text``."""
    value = value_of(kind, seed)
    size = min(10, len(value))
    return next((part for i in range(len(value) - size + 1) if (part := value[i : i + size]) in text), None)


def password(random: Random, length: int = 16, alphabet: str = WORD + PUNCTUATION) -> str:
    """As a password manager makes them: of every sort something."""
    sorts = [ascii_lowercase, ascii_uppercase, digits]
    chosen = [random.choice(sort) for sort in sorts * 2] + [random.choice(alphabet) for _ in range(length - 6)]
    random.shuffle(chosen)
    return "".join(chosen)


def _some(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(length))


def _make(kind: str, seed: int) -> tuple[str, str]:
    return KINDS[kind](Random(f"{seed} {kind}"))  # noqa: S311 - fakes


def _token(prefix: tuple[str, ...], alphabet: str, length: int, around: str = "using {} for this") -> Maker:
    def make(random: Random) -> tuple[str, str]:
        value = "".join(prefix) + _some(random, alphabet, length)
        return around.format(value), value

    return make


def _password(around: str, length: int = 16, alphabet: str = WORD + PUNCTUATION) -> Maker:
    def make(random: Random) -> tuple[str, str]:
        value = password(random, length, alphabet)
        return around.replace("{}", value), value

    return make


def _key_block(random: Random) -> tuple[str, str]:
    rows = [_some(random, B64, 64) for _ in range(24)] + [_some(random, B64, 30) + "=="]
    body = "\n".join(rows)
    name = "PRIVATE" + " KEY"
    return f"-----BEGIN RSA {name}-----\n{body}\n-----END RSA {name}-----", body


def _escaped_key_block(random: Random) -> tuple[str, str]:
    block, body = _key_block(random)
    return json.dumps({"type": "service_account", "private_key": block + "\n"}), json.dumps(body)[1:-1]


def _web_token(random: Random) -> tuple[str, str]:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    claims = {"sub": _some(random, digits, 8), "iat": random.randrange(10**9)}
    value = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{_some(random, URL, 43)}"
    return f"got {value} from the issuer", value


def _basic(random: Random) -> tuple[str, str]:
    value = base64.b64encode(f"deploy:{password(random, 18, WORD)}".encode()).decode()
    return f"> Authorization: Basic {value}", value


def _heroku(random: Random) -> tuple[str, str]:
    value = str(UUID(int=random.getrandbits(128), version=4))
    return f'heroku_api_key = "{value}"', value


def _telegram(random: Random) -> tuple[str, str]:
    value = f"{random.randrange(10**8, 10**10)}:A" + "A" + _some(random, URL, 33)
    return f"https://api.telegram.org/bot{value}/getMe".replace("bot", "bot "), value


def _discord(random: Random) -> tuple[str, str]:
    number = base64.b64encode(str(random.randrange(10**17, 10**18)).encode()).decode()
    value = f"{number}.{_some(random, URL, 6)}.{_some(random, URL, 27)}"
    return f"logging in with {value}", value


def _azure(random: Random) -> tuple[str, str]:
    value = _some(random, WORD, 3) + "8" + "Q~" + _some(random, WORD, 34)
    return f"secret is {value}", value


def _mailchimp(random: Random) -> tuple[str, str]:
    value = _some(random, HEX, 32) + "-u" + "s14"
    return f"chimp {value}", value


KINDS: dict[str, Maker] = {
    "aws id": _token(("AK", "IA"), ascii_uppercase + "234567", 16),
    "aws secret": _password("aws_secret_access_key = {}", 40, B64),
    "aws secret in json": _password('{"SecretAccessKey": "{}", "x": 1}', 40, B64),
    "gcp api key": _token(("AI", "za"), URL, 35, "?key={}"),
    "gcp service account": _escaped_key_block,
    "google oauth secret": _token(("GOC", "SPX-"), URL, 28),
    "google access token": _token(("ya", "29."), URL, 120),
    "azure storage": _password("DefaultEndpointsProtocol=https;AccountKey={}==;EndpointSuffix=core", 86, B64),
    "azure client secret": _azure,
    "azure sas": _password("https://x.blob.core.windows.net/c?sv=2024&sig={}%3D", 43, WORD),
    "digitalocean": _token(("do", "p_v1_"), HEX, 64),
    "heroku": _heroku,
    "github classic": _token(("gh", "p_"), WORD, 36),
    "github fine-grained": _token(("github", "_pat_"), WORD, 82),
    "github app": _token(("gh", "s_"), WORD, 36, "https://x-access-token:{}@github.com/o/r"),
    "github oauth": _token(("gh", "o_"), WORD, 36),
    "gitlab": _token(("gl", "pat-"), URL, 20),
    "npm": _token(("np", "m_"), WORD, 36, "//registry.example/:_authToken={}"),
    "npm login": lambda r: (lambda b: (f"_auth={b}", b))(base64.b64encode(f"ci:{password(r)}".encode()).decode()),
    "pypi": _token(("py", "pi-AgEIcHlwaS5vcmc"), URL, 80),
    "docker hub": _token(("dckr", "_pat_"), URL, 27),
    "vault": _token(("hv", "s."), URL, 90),
    "anthropic": _token(("sk", "-ant-api03-"), URL, 95),
    "anthropic oauth": _token(("sk", "-ant-oat01-"), URL, 95, "\x1b[32m{}\x1b[0m"),
    "openai classic": _token(("sk", "-"), WORD, 48),
    "openai project": _token(("sk", "-proj-"), URL, 120),
    "hugging face": _token(("hf", "_"), ascii_letters, 34),
    "slack bot": _token(("xo", "xb-", "2233445566-"), WORD, 36),
    "slack webhook": _token(("https://hooks.sl", "ack.com/services/", "T0AB1CD2E/B0FG3HI4J/"), WORD, 24),
    "stripe": _token(("sk", "_live_"), WORD, 24),
    "twilio": _token(("S", "K"), HEX, 32),
    "sendgrid": lambda r: (lambda v: (f"key {v}", v))(f"S{'G.'}{_some(r, URL, 22)}.{_some(r, URL, 43)}"),
    "mailchimp": _mailchimp,
    "telegram": _telegram,
    "discord": _discord,
    "web token": _web_token,
    "private key": _key_block,
    "url password": _password("postgres://app:{}@db.internal:5432/app", 16, WORD),
    "redis url": _password("REDIS_URL=redis://:{}@cache:6379/0", 20, WORD),
    "bearer": _password("Authorization: Bearer {}", 32, WORD),
    "basic": _basic,
    "curl header": _password("curl -H 'authorization: token {}' https://api.example.org", 40, WORD),
    "curl user": _password("curl -sS -u ci:{} https://repo.example.org", 20, WORD),
    "cookie": _password("Cookie: theme=dark; sessionid={}; lang=en", 32, WORD),
    "set-cookie": _password("< Set-Cookie: sid={}; Path=/; HttpOnly", 40, WORD),
    "env password": _password("DB_PASSWORD={}"),
    "env token": _password("export DEPLOY_TOKEN={}", 32, WORD),
    "yaml password": _password('  password: "{}"'),
    "json secret": _password('{"client_secret":"{}","x":1}', 24),
    "json in json": _password('{"body":"{\\"api_key\\": \\"{}\\"}"}', 24, WORD),
    "python password": _password("client = connect(user='app', password='{}')"),
    "php password": _password("define('DB_PASSWORD', '{}');"),
    "header api key": _password("x-api-key: {}", 32, WORD),
    "flag": _password("deploy --token {} --verbose", 28, WORD),
    "query": _password("GET /v1/me?access_token={}&page=2 HTTP/1.1", 32, WORD),
    "xml": _password("<server><password>{}</password></server>", 18, WORD),
    "netrc": _password("machine git.example.org login bot password {}", 18, WORD),
    "coloured": _password("\x1b[36mapi_token\x1b[0m=\x1b[35m{}\x1b[0m", 32, WORD),
    "annotated": _password('API_KEY: Final[str] = "{}"', 32, WORD),
}
"""A maker of text and value, by kind."""
