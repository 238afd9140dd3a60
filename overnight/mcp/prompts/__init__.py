"""Prompts that a person chooses in a client's menu. Their texts are product: the files beside this one.

None takes free text: clients cut arguments at spaces, so what is to be built comes from the conversation.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from string import Template
from typing import Annotated

from mcp import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import Field

from overnight.mcp.server import OvernightServer

_FOLDER = Path(__file__).parent
_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,63}")

SessionId = Annotated[
    str, Field(description="The session, from claude_autonomous_list; the newest that ended when left out.")
]


def add(server: OvernightServer) -> None:
    """Give ``server`` its prompts."""
    server.prompt(
        name="build",
        title="Start an autonomous build",
        description="Agrees goal, validation command and limits with you, then starts a session.",
    )(build)
    server.prompt(
        name="standup",
        title="Stand-up report",
        description="All sessions: what needs you, what runs, what is done, what it cost.",
    )(standup)
    server.prompt(
        name="review",
        title="Review a session's work",
        description="Reads a session's report and diff critically, before you take it over.",
    )(review)
    server.prompt(
        name="retrospective",
        title="Look back on a session",
        description="What a session teaches, and what of it belongs into the project's own notes.",
    )(retrospective)


def build() -> str:
    return text("build")


def standup() -> str:
    return text("standup")


def review(session_id: SessionId = "") -> str:
    return text("review", session=_named(session_id))


def retrospective(session_id: SessionId = "") -> str:
    return text("retrospective", session=_named(session_id))


def _named(session_id: str) -> str:
    """The session in words. Raises ``MCPError`` for what is no id: the text goes to a model."""
    named = session_id.strip()
    if not named:
        return "the newest Overnight session that has ended (claude_autonomous_list shows which that is)"
    if not _ID.fullmatch(named):
        raise MCPError(INVALID_PARAMS, f"{named[:80]!r} is no id of a session; claude_autonomous_list shows them")
    return f"the Overnight session `{named}`"


@cache
def _template(name: str) -> Template:
    return Template((_FOLDER / f"{name}.md").read_text(encoding="utf-8").strip())


def text(name: str, **values: str) -> str:
    """The prompt ``name`` with its places filled. Raises ``KeyError`` when a value is missing."""
    return _template(name).substitute(values)
