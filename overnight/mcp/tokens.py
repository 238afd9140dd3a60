"""Tokens for callers over HTTP: whose they are, what they may do. Only hashes are kept, in the home or a setting."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overnight.base.settings import Settings
from overnight.errors import InvalidRequestError, NotReadyError
from overnight.mcp.callers import SCOPES, Caller, Scope
from overnight.reach import OWNER_NAME, Reach
from overnight.stack.home import prepare, read_text, write_atomically

FILE = "mcp-tokens.json"
PREFIX = "ovn_"
MAX_TOKENS = 1_000
MAX_DAYS = 3_650
_MAX_BYTES = 1_000_000
_HASH = re.compile(r"[0-9a-f]{64}")


class Token(BaseModel):
    """What is kept of a token. The token itself is shown once, when it is made, and is nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[0-9a-z-]{1,20}$")
    owner: str = Field(pattern=rf"^{OWNER_NAME.pattern}$")
    scopes: list[Scope] = Field(min_length=1, max_length=len(SCOPES))
    sha256: str = Field(pattern=rf"^{_HASH.pattern}$")
    """Of the whole token. It has 256 random bits, so that a slow hash would protect nothing."""
    note: str = Field(default="", max_length=200)
    created: datetime | None = None
    expires: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= now


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    tokens: list[Token] = Field(default=[], max_length=MAX_TOKENS)


def parse_scopes(given: Sequence[str]) -> list[Scope]:
    """Scopes in our order. Raises ``InvalidRequestError`` for one that there is not."""
    named = {part for text in given for part in re.split(r"[,+\s]+", text) if part}
    if unknown := sorted(named - set(SCOPES)):
        raise InvalidRequestError(f"scope: {unknown[0][:40]!r} is none of {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in named]


class Registry:
    """The tokens of a home and of a setting. The file is looked at anew with every request: revoking works at once."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / FILE
        self._projects = tuple(settings.mcp_projects)
        self._given = [_from_setting(number, text) for number, text in enumerate(settings.mcp_tokens, 1)]
        self._seen: tuple[int, ...] | None = None
        self._kept: list[Token] = []
        self._demanded = False

    @property
    def demanded(self) -> bool:
        """Whether callers need a token: as soon as there was one, for as long as its file, or this server, is there.

        So whoever revokes the last token opens nothing.
        """
        self._demanded = self._demanded or bool(self._given) or os.path.lexists(self._path)
        return self._demanded

    def tokens(self) -> list[Token]:
        """All of them. Raises ``NotReadyError`` for a file that cannot be trusted or read."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            self._seen, self._kept = None, []
            return list(self._given)
        except OSError as error:
            raise NotReadyError(f"{self._path} cannot be looked at: {error.strerror}") from None
        seen = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid)
        if seen != self._seen:
            self._kept = _read(self._path, found)
            self._seen = seen
        return [*self._given, *self._kept]

    def usable(self) -> list[Token]:
        """Those that let somebody in now. Raises ``NotReadyError``."""
        now = datetime.now(UTC)
        return [token for token in self.tokens() if not token.expired(now)]

    def caller(self, presented: str) -> Caller | None:
        """Who has this token; None for nobody. Raises ``NotReadyError``."""
        digest = _digest(presented)
        found = [token for token in self.usable() if hmac.compare_digest(token.sha256, digest)]
        if not found:
            return None
        token = found[0]
        return Caller(f"{token.owner}/{token.id}", frozenset(token.scopes), Reach(token.owner, self._projects))

    def add(
        self, owner: str, scopes: Sequence[Scope], *, days: float | None = None, note: str = ""
    ) -> tuple[Token, str]:
        """Make a token and keep its hash. Returns the token too, which cannot be had again.

        Raises ``InvalidRequestError``, ``NotReadyError``.
        """
        if not OWNER_NAME.fullmatch(owner):
            raise InvalidRequestError(
                f"owner: {owner[:80]!r} is no name for an owner: up to 63 small letters, digits and . _ @ -, such as"
                " ada or ada@example.com"
            )
        if not scopes:
            raise InvalidRequestError(f"scope: name at least one of {', '.join(SCOPES)}")
        if len(note) > 200 or not note.isprintable():
            raise InvalidRequestError("note: at most 200 characters on one line")
        now = datetime.now(UTC).replace(microsecond=0)
        if days is not None and not 0 < days <= MAX_DAYS:
            raise InvalidRequestError(f"days: above 0, at most {MAX_DAYS:,}")
        plain = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        token = Token(
            id=secrets.token_hex(4),
            owner=owner,
            scopes=list(scopes),
            sha256=_digest(plain),
            note=note,
            created=now,
            expires=now + timedelta(days=days) if days is not None else None,
        )
        with self._changing() as kept:
            if len(kept) >= MAX_TOKENS:
                raise InvalidRequestError(f"there are {MAX_TOKENS:,} tokens; revoke some first")
            kept.append(token)
        return token, plain

    def revoke(self, id_or_owner: str) -> list[Token]:
        """Take a token away, or all of an owner. Returns which. Raises ``InvalidRequestError``, ``NotReadyError``."""
        with self._changing() as kept:
            gone = [token for token in kept if token.id == id_or_owner]
            gone = gone or [token for token in kept if token.owner == id_or_owner]
            if not gone:
                raise InvalidRequestError(
                    f"there is no token, and no owner, called {id_or_owner[:80]!r} in {self._path};"
                    " `overnight mcp token list` shows them"
                )
            kept[:] = [token for token in kept if token not in gone]
        return gone

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens of the file, to be changed; nobody else changes them meanwhile."""
        home = prepare(self._path.parent)
        lock = os.open(home.path / f"{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.tokens()
            kept = list(self._kept)
            yield kept
            write_atomically(self._path, _File(tokens=kept).model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise NotReadyError(f"{self._path} cannot be written: {error.strerror}") from None
        finally:
            os.close(lock)


def setting_of(token: Token) -> str:
    """The token as ``OVERNIGHT_MCP_TOKENS`` takes it."""
    return f"{token.owner}:{'+'.join(token.scopes)}:{token.sha256}"


def _digest(presented: str) -> str:
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path, found: os.stat_result) -> list[Token]:
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & 0o022 or (found.st_mode & 0o170000) != 0o100000:
        raise NotReadyError(
            f"{path} is not trusted: others could write it, or it is no plain file. It decides who may come in:"
            f" make it yours alone (chmod 600 {path})"
        )
    text = read_text(path, _MAX_BYTES)
    try:
        if text is not None:
            return _File.model_validate_json(text).tokens
    except ValidationError:
        pass
    raise NotReadyError(
        f"{path} cannot be read as tokens, so nobody is let in: mend it, or remove it and make new tokens with"
        " `overnight mcp token add`"
    )


def _from_setting(number: int, text: str) -> Token:
    parts = text.split(":")
    try:
        owner, scopes, digest = parts
        return Token(id=f"setting-{number}", owner=owner, scopes=parse_scopes([scopes]), sha256=digest.lower())
    except (ValueError, InvalidRequestError):  # what was given is not told: somebody may have put the token there
        raise NotReadyError(
            f"OVERNIGHT_MCP_TOKENS: entry {number} is not owner:scope+scope:sha256, with scopes of"
            f" {', '.join(SCOPES)} and 64 hexadecimal digits, as `overnight mcp token add --json` prints it"
        ) from None
