"""What each tool is asked in the matrix of ways and eras. A tool that clients see and that is not here fails a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.mcp import snapshot
from tests.sessions.plays import CHECK, GOAL

UNKNOWN = "no-such-session"


@dataclass(frozen=True)
class Ground:
    """Sessions in known states: one that is done, and one of the asking client's own, whose plan waits for a person."""

    done: str
    held: str


Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Refusal:
    """A call that the state of the session forbids, and what is said of it."""

    arguments: Arguments
    words: str


@dataclass(frozen=True)
class Case:
    """One tool.

    Params:
        right: arguments with which it succeeds.
        holds: what its answer must have, beside what every answer has.
        wrong: calls on the session that is done.
        harmless: why no state of a session is wrong for a tool that is more than a look.
        not_over: ways in which it cannot succeed, and what it says then.
    """

    right: Callable[[Ground], Arguments]
    holds: Arguments = field(default_factory=dict)
    wrong: tuple[Refusal, ...] = ()
    harmless: str = ""
    not_over: Mapping[str, str] = field(default_factory=dict)


STARTS: Arguments = {"goal": GOAL, "validation_command": CHECK}

CASES: dict[str, Case] = {
    "claude_autonomous": Case(
        right=lambda ground: {
            "goal": GOAL,
            "validation_command": CHECK,
            "mode": "iterative",
            "session_id": ground.held,
        },
        wrong=(Refusal({"goal": "Another goal."}, "is taken by a session with another goal"),),
    ),
    "claude_autonomous_status": Case(
        right=lambda ground: {"session_id": ground.done}, holds={"status": "completed", "progress": 100}
    ),
    "claude_autonomous_wait": Case(
        right=lambda ground: {"session_ids": [ground.held, ground.done], "until": "end"},
        holds={"status": "completed", "timed_out": False},
    ),
    "claude_autonomous_list": Case(right=lambda ground: {"limit": 1}, holds={"truncated": True}),
    "claude_autonomous_approve": Case(
        right=lambda ground: {"session_id": ground.held, "request_id": "plan"},
        holds={"answered": True, "decision": "approved"},
        wrong=(Refusal({}, "waits for no approval now: it is completed"),),
        not_over={"http-legacy": "this client cannot ask one. Tell them to answer at a terminal: `overnight approve"},
    ),
    "claude_autonomous_control": Case(
        right=lambda ground: {"session_id": ground.held, "action": "pause"},
        holds={"accepted": True},
        wrong=(
            Refusal({"action": "pause"}, "start a new session"),
            Refusal({"action": "resume"}, "start a new session"),
        ),
    ),
    "claude_autonomous_steer": Case(
        right=lambda ground: {"session_id": ground.held, "guidance": "Mind the umlauts."},
        holds={"accepted": True},
        wrong=(Refusal({"guidance": "Too late."}, "start a new session"),),
    ),
    "claude_autonomous_events": Case(
        right=lambda ground: {"session_id": ground.done, "limit": 1}, holds={"more": True, "next_after": 1}
    ),
    "claude_autonomous_diff": Case(right=lambda ground: {"session_id": ground.done}, holds={"truncated": False}),
    "claude_knowledge_search": Case(right=lambda ground: {"query": GOAL}),
    "claude_learn_from_session": Case(
        right=lambda ground: {"session_id": ground.done},
        holds={"status": "completed"},
        harmless="whatever has ended teaches, twice the same; on the session that is done it is right",
    ),
    "claude_autonomous_cancel": Case(
        right=lambda ground: {"session_id": ground.held},
        holds={"accepted": True},
        harmless="cancelling what is over changes nothing and says so",
    ),
}
"""In the order in which they are called: the last ends the session that is held."""


def tools() -> dict[str, dict[str, Any]]:
    """The tools that clients see, as on record."""
    return {tool["name"]: tool for tool in json.loads(snapshot.FILE.read_text())}


def names_a_session(tool: Mapping[str, Any]) -> str:
    """The argument that takes the id of a session that must be there; empty without one."""
    properties, required = tool["inputSchema"]["properties"], tool["inputSchema"].get("required", [])
    return next((name for name in ("session_id", "session_ids") if name in properties and name in required), "")


def unknown(tool: Mapping[str, Any], arguments: Arguments) -> Arguments:
    """The arguments, but of a session that nobody knows."""
    name = names_a_session(tool)
    return {**arguments, name: [UNKNOWN] if name == "session_ids" else UNKNOWN}


def beyond(tool: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """For each argument with a limit, a value that is over it."""
    for name, schema in tool["inputSchema"]["properties"].items():
        if (value := _beyond(schema)) is not None:
            yield name, value


def _beyond(schema: Mapping[str, Any]) -> Any:
    match schema:
        case {"enum": _}:
            return "no such choice"
        case {"maximum": most}:
            return most + 1
        case {"maxLength": most}:
            return "x" * (most + 1)
        case {"pattern": _}:
            return "Not allowed!"
        case {"maxItems": most}:
            return ["x"] * (most + 1)
        case {"minimum": least}:
            return least - 1
        case {"exclusiveMinimum": least}:
            return least
        case {"type": "boolean"}:
            return "neither"
    return None
