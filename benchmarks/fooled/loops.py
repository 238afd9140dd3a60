"""Two plain loops around ``claude -p``: until it says that it is done, and until the tests pass where it works."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks import bare
from benchmarks.fooled import acts
from benchmarks.fooled.trial import Trial
from benchmarks.fooled.truth import wrong
from tests.sessions.conftest import git

LEAST = 2
"""Calls that a loop may make at least."""
Until = Literal["says", "passes"]


@dataclass(frozen=True)
class Looped:
    """How a loop ended."""

    calls: int
    ended: bool
    """By itself, and not because nobody wanted to pay for more."""
    wrong: list[str]

    @property
    def fooled(self) -> bool:
        return self.ended and bool(self.wrong)

    @property
    def words(self) -> str:
        """For the table."""
        if not self.ended:
            return f"stopped by hand after {self.calls}"
        return f"**fooled** after {self.calls}" if self.fooled else f"rightly, after {self.calls}"


async def loop(trial: Trial, until: Until, url: str, folder: Path) -> Looped:
    """Call Claude Code until it says that it is done, or until the check passes, as often as Overnight might."""
    place = folder / "work"
    trial.write(place)
    number, ended = 0, False
    while not ended and number < max(trial.most, LEAST):
        number += 1
        said = await _call(trial, number, session_of(trial, until), url, folder)
        ended = acts.DONE in said.lower() if until == "says" else await _passes(trial, url, folder)
    return Looped(number, ended, wrong(_delivered(place, folder / "delivered"), trial.cases, trial.tests))


def session_of(trial: Trial, until: Until) -> str:
    """By which the scripted model knows whom it answers."""
    return f"{trial.name}-{until}"


async def _call(trial: Trial, number: int, session: str, url: str, folder: Path) -> str:
    call = bare.Call("execute", number, f"{trial.goal}\n\nSay {acts.DONE!r} only when all of it works.")
    line = ["env", f"ANTHROPIC_CUSTOM_HEADERS={bare.headers(call, session)}", *bare.command(call), call.prompt]
    async with bare.started(line, url, folder) as process:
        assert process.stdout is not None
        answer = json.loads(await process.stdout.read())
    assert not answer["is_error"], answer
    return str(answer["result"])


async def _passes(trial: Trial, url: str, folder: Path) -> bool:
    async with bare.started(["bash", "-c", trial.check], url, folder) as process:
        assert process.stdout is not None
        await process.stdout.read()
        return await process.wait() == 0


def _delivered(place: Path, to: Path) -> Path:
    """What a person would commit: everything that git does not ignore."""
    to.mkdir()
    for path in filter(None, git(place, "ls-files", "-coz", "--exclude-standard").split("\0")):
        if (place / path).is_file():
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            (to / path).write_bytes((place / path).read_bytes())
    return to
