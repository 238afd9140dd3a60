"""How far a caller reaches: which sessions it sees, and which projects it may name.

A session's owner is a search attribute in Temporal and nowhere else, so that any number of servers agree on it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowExecution
from temporalio.common import SearchAttributePair

from overnight.errors import InvalidRequestError
from workflows.gated import OWNER

OWNER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,61}[a-z0-9])?")
"""What an owner may be called: it goes into Temporal's queries and the Web UI."""

_WAY_OUT = re.compile(r"(?:^|[/\\:])\.\.(?:$|[/\\])|[\\%\x00-\x20]")
"""What leads out of a URL's prefix, or might for the server that reads it."""


@dataclass(frozen=True)
class Reach:
    """What a caller sees and may name."""

    owner: str | None = None
    """Only the sessions of this owner; None for all of them."""
    projects: tuple[str, ...] | None = None
    """Folders and prefixes of git URLs within which a project lies; None for any."""

    def sees(self, session: WorkflowExecution) -> bool:
        """Whether the session is within reach."""
        return self.owner is None or session.typed_search_attributes.get(OWNER) == self.owner

    def attributes(self) -> list[SearchAttributePair[Any]]:
        """What a session that this caller starts is known by."""
        return [] if self.owner is None else [SearchAttributePair(OWNER, self.owner)]

    def check(self, *, project: str | None, held_out: str | None = None) -> None:
        """Raises ``InvalidRequestError`` for a place that is out of reach; whether there is anything is not told."""
        if project is not None and not self.allows(project):
            raise InvalidRequestError(_out_of_reach("project", project, "leave it out for a new project"))
        if held_out is not None and held_out.startswith("/") and not self.allows(held_out):
            raise InvalidRequestError(_out_of_reach("held_out", held_out, "name a ref of the project"))

    def allows(self, place: str) -> bool:
        """Whether the place is within reach."""
        if self.projects is None:
            return True
        if "\0" in place:
            return False
        if place.startswith("/"):
            return _within(place, [root for root in self.projects if root.startswith("/")])
        if _WAY_OUT.search(place):
            return False
        return any(_begins(place, prefix) for prefix in self.projects if not prefix.startswith("/"))


EVERYTHING = Reach()


def _of_git(folder: str) -> Iterator[str]:
    """Where git keeps the repository in a folder: a file there can name any other place."""
    kept = Path(folder, ".git")
    yield os.path.realpath(kept)
    try:
        if kept.is_file():
            kept = Path(folder, _told(kept).removeprefix("gitdir:").strip())
        elif not kept.is_dir():
            kept = Path(folder)  # if anything, a bare one
        yield os.path.realpath(kept)
        if (common := kept / "commondir").is_file():
            yield os.path.realpath(kept / _told(common))
    except OSError:  # it cannot be looked at, so it may lead anywhere
        yield "/"


def _told(file: Path) -> str:
    with file.open("rb") as opened:
        return os.fsdecode(opened.read(8_192)).split("\0", 1)[0].strip("\r\n")


def _within(place: str, roots: list[str]) -> bool:
    """Whether a path is below a root as it is written, and still is where its links lead.

    One that is written as another place is refused unseen: through whose links it would lead back is not told.
    """
    if ".." in place.split("/"):
        return False
    try:
        real = {root: os.path.realpath(root) for root in roots}
        if not any(_inside(place, root) or _inside(place, real[root]) for root in roots):
            return False
        found = os.path.realpath(place)
        places = [found, *_of_git(found)]
    except (OSError, ValueError):
        return False
    return all(any(_inside(one, root) for root in real.values()) for one in places)


def _inside(path: str, root: str) -> bool:
    return f"{path}/".startswith(f"{root.rstrip('/')}/")


def _begins(url: str, prefix: str) -> bool:
    return url == prefix or url.startswith(prefix if prefix.endswith(("/", ":")) else f"{prefix}/")


def _out_of_reach(field: str, place: str, instead: str) -> str:
    return (
        f"{field}: {place[:200]!r} is not among the places that this server lets its callers use;"
        f" whoever runs the server adds some with OVERNIGHT_MCP_PROJECTS. Until then, {instead}"
    )
