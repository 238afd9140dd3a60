"""What a database raises, in words, without its own text: that may repeat what it was given."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import DBAPIError

from activities.knowledge.address import SETTING
from activities.knowledge.interface import KnowledgeAwayError

_FILE = {
    sqlite3.SQLITE_BUSY: ("another process has been writing to it for long", "try again; if it stays so, end that one"),
    sqlite3.SQLITE_LOCKED: ("another process has been writing to it for long", "try again"),
    sqlite3.SQLITE_FULL: ("the disk is full", "make room"),
    sqlite3.SQLITE_READONLY: ("it is read-only for this user", "make file and folder writable for the worker's user"),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened or made",
        "make the folder writable for the worker's user",
    ),
    sqlite3.SQLITE_PERM: ("it may not be used by this user", "make it readable and writable for the worker's user"),
    sqlite3.SQLITE_IOERR: ("the disk fails or is full", "look at the disk"),
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGED_FIX = (
    "stop the workers, move it and the files of the same name beside it away, and go on with an empty one; import into"
    " that what was exported (`overnight knowledge import`), or put a backup in its place"
)
_SERVER = (
    ("password authentication failed", "it does not take user and password", f"correct {SETTING}"),
    ("no password supplied", "it wants a password", f"write it into {SETTING}, or set PGPASSWORD"),
    ("no pg_hba.conf entry", "it does not let this host or user in", "allow them in its pg_hba.conf"),
    ("does not exist", "database or user do not exist there", f"create them, or correct {SETTING}"),
    ("resolve host", "its host is not known", f"correct {SETTING}, or the DNS"),
    ("translate host", "its host is not known", f"correct {SETTING}, or the DNS"),
    ("name or service", "its host is not known", f"correct {SETTING}, or the DNS"),
    ("no address associated", "its host is not known", f"correct {SETTING}, or the DNS"),
    ("connection refused", "nothing listens there", "start the server"),
    ("no such file or directory", "nothing listens at its socket", "start the server"),
    ("timeout", "it does not answer in time", "look at the server and the network"),
    ("certificate", "its certificate is not trusted", f"name the authority by sslrootcert in {SETTING}"),
    ("too many", "it has no connection left", "raise its max_connections"),
    ("starting up", "it is starting", "try again"),
    ("shutting down", "it is stopping", "start the server"),
    ("permission denied", "the user may not do this", "make the user owner of the tables, or of the database"),
    ("read-only", "it takes no writes", f"name the primary server in {SETTING}"),
    ("no space left", "its disk is full", "make room there"),
)


def away(error: BaseException, where: str, *, server: bool) -> KnowledgeAwayError:
    """The error to raise for what a database, its driver or the operating system raised."""
    why, fix = _on_server(error) if server else _in_file(error)
    return KnowledgeAwayError(f"the store of knowledge {'' if server else 'in '}{where} cannot be used: {why}; {fix}")


def _in_file(error: BaseException) -> tuple[str, str]:
    origin = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(origin, sqlite3.Error):
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return "it is damaged", _DAMAGED_FIX
        if code in _FILE:
            return _FILE[code]
        return f"SQLite reports {getattr(origin, 'sqlite_errorname', type(origin).__name__)}", _DAMAGED_FIX
    if isinstance(origin, OSError):
        if origin.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _FILE[sqlite3.SQLITE_FULL]
        return origin.strerror or type(origin).__name__, "make the folder possible on this host"
    return f"{type(origin).__name__} at an unexpected place", "try again, and report it if it stays so"


def _on_server(error: BaseException) -> tuple[str, str]:
    origin = error.orig if isinstance(error, DBAPIError) else error
    said = str(origin).lower()
    for part, why, fix in _SERVER:
        if part in said:
            return why, fix
    state = getattr(origin, "sqlstate", None)
    return f"{type(origin).__name__}{f' ({state})' if state else ''}", "look at what the server logs"
