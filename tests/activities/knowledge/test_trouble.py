"""A store that cannot be used says why and what to do, and never a password."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, select, text

from activities.knowledge import KnowledgeAwayError, open_store
from activities.knowledge.address import Address
from activities.knowledge.database import CONNECT_SECONDS
from activities.knowledge.tables import REVISIONS, entries, metadata
from activities.sandbox import find_isolation
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from tests.activities.knowledge.making import HERE, Place, approach, ask, cues, learn
from tests.activities.knowledge.server import Server

ROOT = Path(__file__).parents[3]
PASSWORD = "s3cr3t-p4ssw0rd"


def database(home: Path) -> Path:
    return home / "knowledge" / "knowledge.db"


def fails(place: Place) -> str:
    with pytest.raises(KnowledgeAwayError) as told:
        learn(place.open(), approach("login"))
    return str(told.value)


@pytest.mark.parametrize(
    "name", ["with space", "100%s %(here)s", "ünï 🚀", "a?b#c&mode=ro", "'\"`", "new\nline", os.fsdecode(b"\xff\xfe")]
)
def test_a_home_on_a_path_with_odd_characters(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path / name)
    learn(place.open(), approach("login"))
    assert cues(place.open().search_lexical("login", HERE)) == ["login"]
    assert database(tmp_path / name).exists()
    place.open().where.encode()
    place.close()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    file = database(tmp_path)
    file.parent.mkdir()
    file.touch()
    assert learn(Place(tmp_path).open(), approach("login")).saved


def test_a_store_that_was_taken_away_or_replaced_is_seen(tmp_path: Path) -> None:
    here, there = Place(tmp_path / "here"), Place(tmp_path / "there")
    store, other = here.open(), there.open()
    learn(store, approach("login here"))
    learn(other, approach("login there"))
    other.close()
    shutil.rmtree(tmp_path / "here" / "knowledge")
    assert store.search_lexical("login", HERE) == []
    learn(store, approach("login again"))
    assert cues(here.open().search_lexical("login", HERE)) == ["login again"]
    shutil.rmtree(tmp_path / "here" / "knowledge")
    (tmp_path / "there" / "knowledge").rename(tmp_path / "here" / "knowledge")
    assert cues(store.search_lexical("login", HERE)) == ["login there"]
    here.close()


@pytest.mark.parametrize("damage", ["no database", "a page overwritten", "cut"])
def test_a_damaged_file(tmp_path: Path, damage: str) -> None:
    place, file = Place(tmp_path), database(tmp_path)
    learn(place.open(), *(approach(f"login {number}", "x" * 1_000) for number in range(20)))
    place.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = file.read_bytes()
    for beside in file.parent.glob("knowledge.db-*"):
        beside.unlink()
    file.write_bytes(
        {
            "no database": b"this is no database\n" * 1_000,
            "a page overwritten": content[:4_096] + b"\xaa" * (len(content) - 4_096),
            "cut": content[: len(content) // 3],
        }[damage]
    )
    said = fails(place)
    assert said.startswith(f"the store of knowledge in {file} cannot be used: it is damaged; ")
    assert "move it" in said


def test_a_store_of_a_newer_overnight_is_left_alone(place: Place) -> None:
    learn(place.open(), approach("login"))
    url = str(Address.read(place.url).url) if place.url else f"sqlite:///{database(place.home)}"
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE knowledge_version SET version_num = '9999'")
        said = fails(place)
        assert "was made by a newer Overnight (schema 9999, this one knows up to" in said
        with pytest.raises(KnowledgeAwayError):
            place.open().search_lexical("login", HERE)
    finally:
        with engine.begin() as connection:
            connection.execute(text("UPDATE knowledge_version SET version_num = :newest"), {"newest": REVISIONS[-1]})
        engine.dispose()
    assert learn(place.open(), approach("login")).saved


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_migration_that_fails_leaves_nothing_behind(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    place = Place(tmp_path, request.getfixturevalue("postgres").fresh() if kind == "postgres" else None)
    with monkeypatch.context() as broken:
        folder = tmp_path / "migrations"
        shutil.copytree(ROOT / "activities" / "knowledge" / "migrations", folder)
        first = folder / "versions" / "v0001_entries.py"
        first.write_text(
            first.read_text().replace("    if postgres:\n", "    op.execute('NONSENSE')\n    if postgres:\n")
        )
        broken.setattr("activities.knowledge.database._MIGRATIONS", folder)
        assert "cannot be used" in fails(place)
    engine = create_engine(Address.read(place.url).url if place.url else f"sqlite:///{database(place.home)}")
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    assert learn(place.open(), approach("login")).saved
    place.close()


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "knowledge").write_text("")
    assert "cannot be used: File exists; make the folder possible" in fails(Place(tmp_path))


def test_a_writer_that_does_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.knowledge.database.BUSY_SECONDS", 0.1)
    place = Place(tmp_path)
    learn(place.open(), approach("login"))
    with closing(sqlite3.connect(database(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another process has been writing to it for long; try again" in fails(place)
        assert cues(place.open().search_lexical("login", HERE)) == ["login"], "reading goes on"
    assert learn(place.open(), approach("logout")).saved
    place.close()


INSIDE = """
import sys
from pathlib import Path
from activities.knowledge import KnowledgeAwayError
from tests.activities.knowledge.making import HERE, Place, approach, ask, cues, learn
store = Place(Path(sys.argv[1])).open()
saved = 0
try:
    for number in range(2_000):
        saved += len(learn(store, approach(f"login {number}", "x" * 1_100)).saved)
except KnowledgeAwayError as error:
    print(error)
print(saved)
try:
    print(cues(store.search_lexical("login", HERE, limit=1))[0])
except KnowledgeAwayError as error:
    print(error)
"""


def inside(*mounts: str | Path, home: Path) -> list[str]:
    """What a worker says in whose file system these mounts are."""
    isolation = find_isolation()
    if isolation.bwrap is None:
        pytest.skip(isolation.problem)
    done = subprocess.run(
        [isolation.bwrap, "--unshare-user", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", *mounts, "--",
         sys.executable, "-c", INSIDE, home],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_full_disk_keeps_nothing_new_and_loses_nothing_old(tmp_path: Path) -> None:
    problem, saved, found = inside("--size", "1500000", "--tmpfs", tmp_path, home=tmp_path / "home")
    assert problem.endswith(f"knowledge in {database(tmp_path / 'home')} cannot be used: the disk is full; make room")
    assert int(saved) > 0
    assert found.startswith("login ")


def test_a_read_only_folder(tmp_path: Path) -> None:
    place = Place(tmp_path)
    learn(place.open(), approach("login before"))
    place.close()
    problem, saved, found = inside("--ro-bind", tmp_path, tmp_path, home=tmp_path)
    assert saved == "0"
    assert re.search(r"cannot be used: it (is read-only|cannot be opened).*writable for the worker's user", problem)
    assert found == problem


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"mysql://u:{PASSWORD}@host/db", "it must begin with postgresql://"),
        ("/var/lib/knowledge.db", "it must begin with postgresql://"),
        (f"postgresql://u:{PASSWORD}@host", "it names no database"),
        (f"postgresql://u:{PASSWORD}@/db", "it names no host"),
        (f"postgresql://u:{PASSWORD}@x@host/db", "must be written as %23 or %40"),
        (f"postgresql://u:{PASSWORD}#x@host/db", "must be written as %23 or %40"),
        (f"postgresql://u:{PASSWORD}/x@host/db", "in a password must be written as %2F"),
        (f"postgresql://u:{PASSWORD} x@host/db", "a space is written %20"),
        (f"postgresql://host/db?password={PASSWORD}", "the password stands between user and host"),
        ("postgresql://host/db?sslmode=require&sslmode=disable", "each once"),
        ("postgresql://host:port/db", "what follows the host must be a port"),
    ],
)
def test_a_url_of_no_database_is_refused_without_repeating_it(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(ValueError, match="OVERNIGHT_KNOWLEDGE_URL") as told:
        open_store(Settings(home=tmp_path, knowledge_url=url), Redactor.of([]))
    assert why in str(told.value)
    assert PASSWORD not in str(told.value)


@pytest.mark.parametrize("missing", ["psycopg", "pgvector"])
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("activities.knowledge.address.find_spec", lambda name: None if name == missing else object())
    with pytest.raises(ValueError, match=rf"needs {missing}.*pip install 'overnight\[postgres\]'"):
        open_store(Settings(home=tmp_path, knowledge_url="postgresql://host/db"), Redactor.of([]))


def test_a_server_is_named_without_user_and_password() -> None:
    address = Address.read(f"postgres://night:{PASSWORD}%40x@db.example.com:6543/knowledge?sslmode=require")
    assert str(address) == "postgresql://db.example.com:6543/knowledge"
    assert PASSWORD not in repr(address)
    assert address.url.password == f"{PASSWORD}@x"
    assert str(Address.read("postgresql://[::1]:5432/k")) == "postgresql://[::1]:5432/k"


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_is_not_there_or_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with silent() as port:
        pass
    url = f"postgresql://night:{PASSWORD}@127.0.0.1:{port}/knowledge"
    said = fails(Place(tmp_path, url))
    assert said == (
        f"the store of knowledge postgresql://127.0.0.1:{port}/knowledge cannot be used: nothing listens there;"
        " start the server"
    )
    with silent() as port:
        said = fails(Place(tmp_path, f"postgresql://night:{PASSWORD}@127.0.0.1:{port}/knowledge"))
        assert "it does not answer in time" in said
    assert "its host is not known" in fails(Place(tmp_path, "postgresql://nowhere.invalid/knowledge"))
    assert "nothing listens at its socket" in fails(Place(tmp_path, f"postgresql:///knowledge?host={tmp_path}"))


def test_many_wait_for_a_server_that_says_nothing_no_longer_than_one(tmp_path: Path) -> None:
    """Sessions that look something up at once share a worker's few threads: one after the other, all would wait."""
    with silent() as port, ThreadPoolExecutor(6) as threads:
        store = Place(tmp_path, f"postgresql://127.0.0.1:{port}/knowledge").open()
        began = time.monotonic()
        away = [threads.submit(store.search_lexical, "login", HERE) for _ in range(6)]
        assert all("it does not answer in time" in str(one.exception()) for one in away)
        assert time.monotonic() - began < 3 * CONNECT_SECONDS
        store.close()


def test_a_server_that_does_not_know_database_or_user(postgres: Server, tmp_path: Path) -> None:
    for url in (postgres.url("nowhere"), postgres.url("postgres", user="nobody")):
        assert "database or user do not exist there; create them, or correct OVERNIGHT_KNOWLEDGE_URL" in fails(
            Place(tmp_path, url)
        )


def test_a_user_who_may_not_add_the_extension_is_told(postgres: Server, tmp_path: Path) -> None:
    postgres.run("CREATE ROLE guest LOGIN")
    postgres.fresh()
    name = postgres.fresh().partition("@/")[2].partition("?")[0]
    postgres.run(f"GRANT ALL ON DATABASE {name} TO guest; ALTER DATABASE {name} OWNER TO guest")
    assert "lacks the extension pgvector: have an administrator" in fails(
        Place(tmp_path, postgres.url(name, user="guest"))
    )


def test_a_connection_that_was_cut_is_made_anew(postgres: Server, shared: str) -> None:
    place = Place(Path("/nowhere"), shared)
    store = place.open()
    learn(store, approach("login"))
    postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'overnight'"
    )
    assert learn(store, approach("login")).saved
    place.close()


@pytest.mark.filterwarnings("ignore:Did not recognize type 'halfvec'")
def test_the_tables_are_those_of_the_newest_migration(place: Place) -> None:
    scripts = ScriptDirectory(str(ROOT / "activities" / "knowledge" / "migrations"))
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS
    place.open().check()
    url = Address.read(place.url).url if place.url else f"sqlite:///{database(place.home)}"
    engine = create_engine(url)
    try:
        made = inspect(engine)
        for table in metadata.tables.values():
            columns = {column["name"]: column["nullable"] for column in made.get_columns(table.name)}
            assert columns.keys() - {"search"} == set(table.columns.keys())
            for column in table.columns:
                assert column.primary_key or columns[column.name] == column.nullable, column
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("column", "value"),
    [("kind", "nonsense"), ("worked", -1), ("updated", 2**62), ("source", "<b>"), ("cue", "x" * 10**5)],
)
def test_an_entry_that_was_damaged_hides_no_other(tmp_path: Path, column: str, value: object) -> None:
    store = Place(tmp_path).open()
    bad, good = learn(store, approach("write a parser"), approach("write a lexer")).saved
    engine = create_engine(f"sqlite:///{database(tmp_path)}")
    with engine.begin() as connection:
        connection.execute(entries.update().where(entries.c.id == bad).values({column: value}))
    engine.dispose()
    shown = [hit.entry.id for hit in ask(store, "list").hits]
    assert good in shown
    assert [hit.entry.id for hit in store.search_lexical("lexer", HERE)] == [good]
    assert good in ask(store, "export").lines
    assert [one.id for one in store.newest(HERE, [], 10) if one.id != bad] == [good]
    if bad not in shown:
        with pytest.raises(KnowledgeAwayError, match=f"{bad[:12]} in the store of knowledge is damaged"):
            ask(store, "show", id=bad)
    store.close()


def test_a_page_of_damaged_entries_does_not_hold_up_an_export(tmp_path: Path) -> None:
    store = Place(tmp_path).open()
    for night in range(10):
        learn(store, *(approach(f"lesson {night} {number}") for number in range(20)), session=f"night-{night}")
    engine = create_engine(f"sqlite:///{database(tmp_path)}")
    with engine.begin() as connection:
        good = connection.execute(select(entries.c.id).order_by(entries.c.id.desc()).limit(1)).scalar_one()
        connection.execute(entries.update().where(entries.c.id != good).values(worked=-1))
    engine.dispose()
    assert good in ask(store, "export").lines
    store.close()
