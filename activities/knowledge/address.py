"""Reads the URL of a PostgreSQL database. What is refused is not quoted: it may hold a password."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy.engine import URL

SETTING = "OVERNIGHT_KNOWLEDGE_URL"
EXAMPLE = "postgresql://overnight:password@db.example.com:5432/overnight"
WHERE_PASSWORDS_GO = "the password stands between user and host, or in PGPASSWORD, or in the file that PGPASSFILE names"

_SCHEMES = {"postgresql", "postgres"}
_OPTIONS = {"host", "sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "target_session_attrs"}
_NEEDED = ("psycopg", "pgvector")


@dataclass(frozen=True)
class Address:
    """A database on a PostgreSQL server."""

    url: URL
    """For SQLAlchemy; it has the password."""

    @classmethod
    def read(cls, text: str) -> Address:
        """Raises ``ValueError``, in words, for what is no such URL, and where the extra for it is not installed."""
        if not text.isprintable() or " " in text:
            raise _wrong("it has a space or a character that cannot be printed; a space is written %20")
        scheme, found, rest = text.partition("://")
        if scheme.lower() not in _SCHEMES or not found:
            raise _wrong("it must begin with postgresql://; leave the setting empty for a file in OVERNIGHT_HOME")
        if "#" in rest or rest.partition("/")[0].count("@") > 1:
            raise _wrong("a # or an @ in a user or a password must be written as %23 or %40")
        try:
            parts = urlsplit(f"postgresql://{rest}")
            port = parts.port
        except ValueError:
            raise _wrong("what follows the host must be a port; a / in a password must be written as %2F") from None
        given = parse_qsl(parts.query, keep_blank_values=True)
        chosen = dict(given)
        if len(chosen) < len(given) or not chosen.keys() <= _OPTIONS:
            raise _wrong(f"behind the ? there may be {', '.join(sorted(_OPTIONS))}, each once; {WHERE_PASSWORDS_GO}")
        database = unquote(parts.path.removeprefix("/"))
        if not database:
            raise _wrong("it names no database")
        if not parts.hostname and "host" not in chosen:
            raise _wrong("it names no host; a socket's folder goes behind ?host=")
        if missing := [name for name in _NEEDED if find_spec(name) is None]:
            raise ValueError(
                f"{SETTING} needs {' and '.join(missing)}, which is not installed: `pip install 'overnight[postgres]'`"
            )
        return cls(
            URL.create(
                "postgresql+psycopg",
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                host=parts.hostname or None,
                port=port,
                database=database,
                query=chosen,
            )
        )

    def __str__(self) -> str:
        """As a person would name it: without the password."""
        host = self.url.host or self.url.query.get("host", "")
        place = f"[{host}]" if ":" in str(host) else str(host)
        port = f":{self.url.port}" if self.url.port else ""
        return f"postgresql://{place}{port}/{self.url.database}"

    def __repr__(self) -> str:
        return f"Address({self})"


def _wrong(why: str) -> ValueError:
    return ValueError(f"{SETTING}: {why}. Write for example {SETTING}={EXAMPLE}")
