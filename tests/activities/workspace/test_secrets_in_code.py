"""Which secrets are taken out of code, out of which kinds of files, and what is left as it is."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.workspace import SecretFound, examine, secrets_between
from overnight.base.redaction import NOT_EXAMINED, Redactor, marker
from tests.planted import planted, value_of

from .support import Session, start, write
from .test_secrets import REDACTOR, committed, history, same, take

SEED = 43
PAT = value_of("github classic", SEED)
VALUE = value_of("env token", SEED)[:18]
KNOWN = "a-value-that-we-know-42"
CHOSEN = "hunter2" + "-long-random"


def web_token(claims: dict[str, object]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "HS256"}, claims)
    ]
    return ".".join([*parts, value_of("env token", SEED) + "abcdef"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/app.py", f'password = "{CHOSEN}"\n'),
        ("src/app.py", f'API_KEY = "{VALUE}"\n'),
        ("compose.yml", f"services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: {CHOSEN}\n"),
        ("compose.yml", f"services:\n  db:\n    environment:\n      - POSTGRES_PASSWORD={CHOSEN}\n"),
        ("k8s/app.yml", f"env:\n  - name: DB_PASSWORD\n    value: {VALUE}\n"),
        ("init.sql", f"CREATE USER app IDENTIFIED BY '{VALUE}';\n"),
        ("Dockerfile", f"FROM scratch\nENV API_TOKEN {VALUE}\n"),
        ("src/app.py", f'client("{web_token({"sub": "u-81723", "role": "billing"})}")\n'),
        ("tests/test_app.py", f'api_key = "{value_of("env token", SEED)}"\n'),
    ],
)
async def test_what_only_its_name_makes_a_secret_is_taken_out(session: Session, path: str, text: str) -> None:
    write(session.tree, {path: text})
    made = await take(session)
    assert [(found.path, found.marked) for found in made.secrets] == [(path, True)]
    published = history(session.worktree.git_dir, made.commit).decode(errors="replace")
    assert not {value for value in (CHOSEN, VALUE) if value in published}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("app.config", 'name="x" publicKeyToken="b77a5c56' + '1934e089" culture="neutral"\n'),
        ("src/ids.py", 'token = "550e8400-e29b-41d4-a716-' + '446655440000"\n'),
        ("src/app.py", 'password = "changeme-123456"\npassword2 = "MyPassword123456"\n'),
        ("src/app.py", f'client("{web_token({"sub": "1234567890", "name": "John Doe"})}")\n'),
        ("src/app.py", f'client("{web_token({"hello": "world"})}")\n'),
        ("src/app.py", "token = \"${API_TOKEN}\"\nsecret = '{{ db_secret2 }}'\nkey: <your-api-key-12>\n"),
        ("tests/test_app.py", f'password = "{CHOSEN}"\n'),
        ("tests/vectors/hmac.json", '{"secret": "' + "0b1c2d3e4f5a6978" * 2 + '"}\n'),
        ("src/test/java/AppTest.java", 'String apiKey = "' + VALUE + '";\n'),
        ("web/login.spec.ts", f'const token = "{web_token({"sub": "u-81723"})}";\n'),
        ("iam.json", '{"Resource": "arn:aws:secretsmanager:*:*:secret:s2' + 'svpn!*"}\n'),
        ("package-lock.json", '{"integrity": "sha512-' + "aB3" * 20 + '=="}\n'),
    ],
)
async def test_honest_code_stays_as_it_is(session: Session, path: str, text: str) -> None:
    write(session.tree, {path: text})
    made = await take(session)
    assert made.secrets == []
    assert (session.tree / path).read_text() == text
    assert await secrets_between(session.worktree, session.base, made.commit, REDACTOR) == []


async def test_what_is_copied_from_a_file_that_stays_is_not_new(tmp_path: Path) -> None:
    old = {"settings.py": f'API_KEY = "{VALUE}"\nuse("{PAT}")\n', "key.pem": planted(SEED)["private key"] + "\n"}
    session = await start(tmp_path, old)
    write(session.tree, {"other.py": f'api_key="{VALUE}"; use("{PAT}")\n', "copy.pem": "# mine\n" + old["key.pem"]})
    made = await take(session)
    assert made.secrets == []
    assert await secrets_between(session.worktree, session.base, made.commit, REDACTOR) == []
    write(session.tree, {"other.py": f'api_key="{VALUE[::-1]}"\n'})
    assert [found.path for found in (await take(session)).secrets] == ["other.py"]


async def test_files_that_a_person_allows(session: Session) -> None:
    write(session.tree, {"vectors/a.json": f'{{"api_key": "{VALUE}"}}\n', "b.json": f'{{"api_key": "{VALUE}"}}\n'})
    allowing = Redactor.of([KNOWN], ["vectors/*"])
    assert {found.path for found in (await take(session, redactor=allowing)).secrets} == {"b.json", "vectors/a.json"}
    write(session.tree, {"vectors/a.json": f'{{"token": "{VALUE}", "x": "{PAT}", "y": "{KNOWN}"}}\n', "b.json": "1\n"})
    made = await take(session, redactor=allowing)
    assert made.secrets == [SecretFound("vectors/a.json", 1, "known-value", marked=True)]
    assert PAT in committed(session, made.commit, "vectors/a.json")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_wide_text_is_mended_in_its_own_encoding(session: Session, tmp_path: Path, codec: str) -> None:
    text = "first line, Zoë\r\nuse {} and {}\r\nlast\r\n"
    (session.tree / "wide.txt").write_bytes(text.format(PAT, KNOWN).encode(codec))
    made = await take(session)
    assert [(found.line, found.rule) for found in made.secrets] == [(2, "github-pat"), (2, "known-value")]
    after = (session.tree / "wide.txt").read_bytes()
    assert after == text.format(marker("github-pat"), marker("known-value")).encode(codec)
    await same(session, made, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x00\x01" + KNOWN.encode() + b"\x00\x02",
        b"\x00\x01\x02" + KNOWN.encode("utf-16-le") + b"\xff",
        b"x" * 9000 + b"\n\x00" + KNOWN.encode("utf-16-be"),
        b"\x00" + b"\xfe" * (6 * 2**20) + KNOWN.encode() + b"\x00",
    ],
)
async def test_a_known_value_in_what_is_no_text(session: Session, tmp_path: Path, content: bytes) -> None:
    """Nothing can be cut out of a picture: nothing but a marker stays, so that delivery stops until it is mended."""
    write(session.tree, {"fine.bin": b"\x00\x01" + PAT.encode()})
    (session.tree / "asset.bin").write_bytes(content)
    made = await take(session)
    assert made.secrets == [SecretFound("asset.bin", 1, "known-value", marked=True)]
    assert (session.tree / "asset.bin").read_text() == f"{marker('known-value')}\n"
    assert KNOWN.encode() not in history(session.worktree.git_dir, made.commit).replace(b"\0", b"")
    await same(session, made, tmp_path)
    found = await secrets_between(session.worktree, session.base, made.commit, REDACTOR)
    assert found == [SecretFound("asset.bin", 1, "known-value", marked=True)]


async def test_a_known_value_in_a_binary_file_stops_delivery(session: Session) -> None:
    content = b"\x00one\ntwo\n" + KNOWN.encode()
    (session.tree / "asset.bin").write_bytes(content)
    made = await take(session, redactor=None)
    found = await secrets_between(session.worktree, session.base, made.commit, REDACTOR)
    assert found == [SecretFound("asset.bin", 3, "known-value")]


async def test_large_text_is_mended_too(session: Session, tmp_path: Path) -> None:
    rows = ("z" * 79 + "\n") * (6 * 2**20 // 80)
    write(session.tree, {"data.txt": f"{rows}use {PAT}\n{rows}"})
    made = await take(session)
    assert made.secrets == [SecretFound("data.txt", rows.count("\n") + 1, "github-pat", marked=True)]
    assert (session.tree / "data.txt").read_text() == f"{rows}use {marker('github-pat')}\n{rows}"
    await same(session, made, tmp_path)


async def test_a_file_too_large_for_memory(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.workspace.contents.MAX_READ", 1000)
    rows = "z" * 79 + "\n"
    write(session.tree, {"huge.txt": rows * 100 + KNOWN + "\n", "fine.txt": rows * 100})
    made = await take(session)
    assert made.secrets == [SecretFound("huge.txt", 1, "known-value", marked=True)]
    assert (session.tree / "fine.txt").read_text() == rows * 100


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(examine, "FILE_S", 0.2)
        yield


@pytest.mark.usefixtures("impatient")
async def test_a_file_that_takes_too_long_is_told_and_stays_out(session: Session) -> None:
    write(session.tree, {"slow.txt": "authorization=" * 200_000, "app.py": f"use('{PAT}')\n"})
    made = await take(session)
    assert {(found.path, found.rule) for found in made.secrets} == {
        ("slow.txt", NOT_EXAMINED),
        ("app.py", "github-pat"),
    }
    assert committed(session, made.commit, "slow.txt") == marker(NOT_EXAMINED)
    found = await secrets_between(session.worktree, session.base, made.commit, REDACTOR)
    assert SecretFound("slow.txt", 1, NOT_EXAMINED, marked=True) in found


@pytest.mark.usefixtures("impatient")
async def test_a_file_that_takes_too_long_stops_delivery(session: Session) -> None:
    write(session.tree, {"slow.txt": "authorization=" * 200_000})
    made = await take(session, redactor=None)
    found = await secrets_between(session.worktree, session.base, made.commit, REDACTOR)
    assert found == [SecretFound("slow.txt", 0, NOT_EXAMINED)]
