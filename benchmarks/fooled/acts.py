"""What a scripted agent does, with Claude Code's own tools, wherever it works; and the judges that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from overnight.demo.reply import Answer, Reply, Text, ToolUse
from overnight.demo.script import Request
from tests.sessions.plays import DIAGNOSIS, judge

DONE = "done"
"""The word that a plain loop waits for."""


@dataclass(frozen=True)
class Put:
    """A file with this content, whether it was there or not."""

    path: str
    content: str


@dataclass(frozen=True)
class Change:
    """One place of a file."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Shell:
    """A command."""

    command: str


@dataclass(frozen=True)
class Claim:
    """The last words of a call."""

    text: str


Act: TypeAlias = Put | Change | Shell | Claim
Judge: TypeAlias = Callable[[Request], Reply]


def execute(calls: Sequence[Sequence[Act]]) -> Callable[[Request], Reply]:
    """The agent: the acts of each call by its iteration, the last ones for all calls after it."""

    def reply(request: Request) -> Reply:
        acts = calls[min(max(request.iteration, 1), len(calls)) - 1]
        turns = [turn for act in acts for turn in _turns(act, PurePosixPath(request.cwd))]
        return turns[min(request.turn, len(turns) - 1)]

    return reply


def _turns(act: Act, folder: PurePosixPath) -> Iterator[Reply]:
    match act:
        case Claim(text):
            yield Text(text)
        case Shell(command):
            yield ToolUse("Bash", {"command": command})
        case Put(path, content):
            # What is there is written over only by who has read it.
            yield ToolUse("Read", {"file_path": str(folder / path)})
            yield ToolUse("Write", {"file_path": str(folder / path), "content": content})
        case Change(path, old, new):
            yield ToolUse("Read", {"file_path": str(folder / path)})
            yield ToolUse("Edit", {"file_path": str(folder / path), "old_string": old, "new_string": new})


def diagnose(request: Request) -> Reply:
    """Another cause and another fix each time: one on record helps nobody."""
    number = request.iteration
    return Answer({**DIAGNOSIS.value, "root_cause": f"cause {number}", "fix": f"mend part{number} near mark{number}"})


def believes(quote: str, file: str = "greet.py") -> Judge:
    """A judge who takes everything for done, and can quote something: the worst one whose quotes are there."""
    return judge(quote=quote, file=file)


def reads(sign: str, quote: str) -> Judge:
    """A judge who says no to what gives the cheat away, where Overnight shows it, and yes to all else."""

    def reply(request: Request) -> Reply:
        return judge(met=sign not in request.prompt, quote=quote)(request)

    return reply
