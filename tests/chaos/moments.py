"""The moments of a session at which something is killed, and the plays in which they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from overnight.demo.reply import Answer, Text, ToolUse
from overnight.demo.script import Scenario
from tests.sessions.plays import RIGHT, TEST, WRONG, Script, by_iteration, play, shell, write

Turn: TypeAlias = tuple[str, int, int]
"""A request to the model: phase, iteration, how often the assistant has spoken."""

Kind: TypeAlias = Literal["right", "fixed", "stuck"]
"""Of play: right at once; wrong, diagnosed, fixed; idle for two iterations, with a reflection, before it is fixed."""


@dataclass(frozen=True)
class Moment:
    """Where a session is held: at a request, in a command at a gate, or at a place in the worker."""

    name: str
    activity: str
    """The one that is under way."""
    iteration: int
    turn: Turn | None = None
    gate: str | None = None
    after: Turn | None = None
    """The gate is closed from this request on; from the start if None."""
    place: str | None = None
    kind: Kind = "fixed"
    """Of play that it comes in."""


PLAN = Moment("plan", "plan", 0, turn=("plan", 0, 0))
IMPORT = Moment("import", "plan", 0, place="imported")
"""The base commit is in the vault, the plan has not begun."""
BASELINE = Moment("baseline", "validate", 0, gate="check")
STREAM = Moment("stream", "execute", 1, turn=("execute", 1, 2))
TOOL = Moment("tool", "execute", 1, gate="tool")
SNAPSHOT = Moment("snapshot", "execute", 1, gate="tool", place="kept")
"""Work in progress has just been kept, while a tool runs."""
COMMIT = Moment("commit", "execute", 1, place="commit")
HEAD = Moment("head", "execute", 1, place="head")
"""The commit is made, and nothing names it yet."""
PUBLISH = Moment("publish", "execute", 1, place="publish")
COMPLETION = Moment("completion", "execute", 1, place="published")
VALIDATE = Moment("validate", "validate", 1, gate="check", after=("execute", 1, 3))
DIAGNOSE = Moment("diagnose", "diagnose", 1, turn=("diagnose", 1, 0))
REFLECT = Moment("reflect", "reflect", 3, turn=("reflect", 3, 0), kind="stuck")
JUDGE = Moment("judge", "judge", 2, turn=("judge", 2, 0))
CONFIRM = Moment("confirm", "validate", 2, gate="check", after=("judge", 2, 0))

LEARN = Moment("learn", "learn", 1, place="learned", kind="right")
"""What it taught is in the store, and Temporal does not know it yet."""

EARLY = (PLAN, IMPORT, BASELINE, STREAM, TOOL, SNAPSHOT, COMMIT, HEAD)
LATE = (PUBLISH, COMPLETION, VALIDATE, DIAGNOSE, REFLECT, JUDGE, CONFIRM)
"""All of them, in two nights."""
NEW_STRATEGY = Answer({"change_approach": True, "new_strategy": "Look at what greet returns.", "lessons": []})


def scenario(tool: str, kind: Kind) -> Scenario:
    """A play in which the agent runs the command ``tool`` in its first execute."""
    begins = RIGHT if kind == "right" else WRONG
    first: Script = [
        write("greet.py", begins),
        shell(tool, timeout=900_000),
        write("test_greet.py", TEST),
        Text("Done."),
    ]
    # Whatever is there already: an execute that ended with its Claude Code is made up for.
    fixes: Script = [
        ToolUse("Glob", {"pattern": "*.py"}),
        write("greet.py", RIGHT),
        write("test_greet.py", TEST),
        Text("Fixed."),
    ]
    idle: Script = [Text("There is nothing to do.")]
    scripts = [first, idle, idle, fixes] if kind == "stuck" else [first, fixes]
    return play(by_iteration(*scripts), reflect=NEW_STRATEGY)
