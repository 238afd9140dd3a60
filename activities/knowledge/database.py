"""One database behind the store: a file of this host or a PostgreSQL server, brought up to date when first used."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from activities.knowledge.address import Address
from activities.knowledge.interface import KnowledgeAwayError
from activities.knowledge.tables import REVISIONS, VERSION_TABLE
from activities.knowledge.trouble import away

BUSY_SECONDS = 30
"""How long a write waits for those of other processes."""
CONNECT_SECONDS = 3
STATEMENT_SECONDS = 15
"""Of one statement on a server; a session must not wait for knowledge for long."""
CONNECTIONS = 8

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6F7665726E696768
"""Of PostgreSQL's advisory locks, the one that every write holds until it is committed."""
_AGAIN_SECONDS = 0.02
_TIDY_MS = 500


class Database:
    """Connections and transactions, in words when they fail. Nothing is asked of the database before the first."""

    def __init__(self, engine: Engine, where: str, path: Path | None = None) -> None:
        self._engine = engine
        self._path = path
        self._ready: object = None
        """What was made ready: the file, as the operating system tells it from others."""
        self._failed: tuple[float, str] | None = None
        """When it could last not be made ready, by the monotonic clock, and why."""
        self._lock = Lock()
        self.where = where
        self.replaced = 0
        """How often another store was found in the place of the one before: what is kept of that is void."""

    @classmethod
    def file(cls, path: Path) -> Database:
        """A SQLite file; it and its folder are made when they are first needed."""

        def connect() -> sqlite3.Connection:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # In bytes: a path may be none that can be written in UTF-8. Transactions are begun below, not by Python.
            return sqlite3.connect(
                os.fsencode(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )

        engine = create_engine(
            "sqlite+pysqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare_file)
        event.listen(engine, "begin", _begin)
        return cls(engine, os.fsencode(path).decode("utf-8", "replace"), path)

    @classmethod
    def server(cls, address: Address) -> Database:
        """A database on a PostgreSQL server."""
        engine = create_engine(
            address.url,
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS,
            pool_timeout=STATEMENT_SECONDS,
            # One that a server or a firewall has dropped meanwhile is replaced unseen.
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "keepalives_idle": 10,
                "tcp_user_timeout": STATEMENT_SECONDS * 1_000,
                # Behind a pooler of connections a prepared statement may be somebody else's.
                "prepare_threshold": None,
            },
        )
        event.listen(engine, "connect", _prepare_server)
        return cls(engine, str(address))

    @property
    def is_server(self) -> bool:
        """Whether it is PostgreSQL."""
        return self._engine.dialect.name == "postgresql"

    @property
    def absent(self) -> bool:
        """Whether it is a file that is not there yet."""
        return self._path is not None and not self._path.exists()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of everything. Raises ``KnowledgeAwayError``."""
        with self._in_words():
            self._make_ready()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writes beside; committed when it is left in order.

        Raises ``KnowledgeAwayError``: nothing of it was done then.
        """
        with self._in_words():
            self._make_ready()
            with self._transaction() as connection:
                yield connection

    def tidy(self) -> None:
        """Take what was deleted out of the index and the log as well, so that no file of it has the text.

        What others read or write at this moment may keep it from that; the next time does it then.
        """
        if self.is_server:
            return
        with suppress(KnowledgeAwayError):
            with self.writing() as connection:
                connection.exec_driver_sql("INSERT INTO knowledge_search (knowledge_search) VALUES ('optimize')")
            with self._in_words(), closing(self._engine.raw_connection()) as pooled:
                cursor = pooled.cursor()
                cursor.execute(f"PRAGMA busy_timeout={_TIDY_MS}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1_000)}")

    def close(self) -> None:
        """Let go of all connections; a later call makes new ones."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            writing = connection.execution_options(writing=True)
            with writing.begin():
                if self.is_server:
                    writing.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield writing

    def _make_ready(self) -> None:
        if self._ready is not None and self._ready == self._identity():
            return
        asked = time.monotonic()
        with self._lock:
            if self._ready is not None and self._ready == self._identity():
                return
            if self._failed is not None and self._failed[0] >= asked:
                # Whoever waited for an attempt that failed does not wait for one more, after all before them.
                raise KnowledgeAwayError(self._failed[1])
            try:
                self._open()
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                told = away(error, self.where, server=self.is_server)
                self._failed = time.monotonic(), str(told)
                raise told from error

    def _open(self) -> None:
        if self._ready is not None and self._ready != self._identity():
            # It was taken away or replaced: what the connections still hold is nobody's any more.
            self._engine.dispose()
            self.replaced += 1
        with self._engine.connect() as connection:
            found = _revision(connection)
        if found != REVISIONS[-1]:
            # Of several processes that come first at once, one does it and the others find it done.
            with self._transaction() as connection:
                self._upgrade(connection)
        self._ready = self._identity()

    def _identity(self) -> object:
        if self._path is None:
            return self._engine
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _upgrade(self, connection: Connection) -> None:
        found = _revision(connection)
        if found is not None and found not in REVISIONS:
            raise KnowledgeAwayError(
                f"the store of knowledge in {self.where} was made by a newer Overnight (schema {found}, this one knows"
                f" up to {REVISIONS[-1]}): install that version again, or set OVERNIGHT_HOME or OVERNIGHT_KNOWLEDGE_URL"
                " to another store"
            )
        if found == REVISIONS[-1]:
            return
        if self.is_server:
            _need_vectors(connection, self.where)
        # Takes a moment to load, and is needed once in a store's life.
        from alembic import command
        from alembic.config import Config

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        command.upgrade(config, "head")

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise away(error, self.where, server=self.is_server) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - ours
    return None if found is None else str(found)


def _need_vectors(connection: Connection, where: str) -> None:
    if connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")).scalar():
        return
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION vector"))
    except SQLAlchemyError:
        raise KnowledgeAwayError(
            f"the store of knowledge {where} lacks the extension pgvector: have an administrator of the server install"
            " it (0.8 or newer) and run CREATE EXTENSION vector in that database"
        ) from None


def _prepare_file(connection: Any, _: ConnectionPoolEntry) -> None:
    # Whoever changes the kind of log first keeps the others out for a moment, and nothing makes those wait.
    end = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            if time.monotonic() > end:
                raise
            time.sleep(_AGAIN_SECONDS)
    for setting in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {setting}")


def _prepare_server(connection: Any, _: ConnectionPoolEntry) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1_000}")
        cursor.execute("SET client_encoding = 'UTF8'")
    connection.commit()


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes then would fail at once when another has written in between.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
