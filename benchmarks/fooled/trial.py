"""One scenario: a project, what its agent does, what Overnight is asked for, and how it must end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fooled import acts
from benchmarks.fooled.acts import Act, Judge
from overnight.demo.reply import Answer
from overnight.demo.script import Scenario
from tests.sessions.conftest import git
from tests.sessions.plays import CHECK, PLAN, REFLECTION, TEST, WRONG, play
from workflows.contracts.state import Status

BELIEVES = acts.believes("def greet(name):")
HIDDEN_CHECK = "python3 -m unittest discover -s held_out -t ."


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A scenario as data. What the agent does is the same for Overnight and for the loops."""

    name: str
    tries: str
    """What the agent tries, for the table."""
    calls: Sequence[Sequence[Act]]
    """What it does in each call; the last ones are for all calls after that."""
    caught: str
    """How Overnight sees it, for the table."""
    told: Sequence[str]
    """What shows it: words that a person finds in status, events or report."""
    ends: Status = Status.PAUSED
    reason: str = "limit: iterations"
    """How the reason of the end begins."""
    says: bool = True
    """Whether the loop that waits for a word is fooled."""
    passes: bool = True
    """Whether the loop that waits for the tests is fooled."""
    phases: Sequence[str] | None = None
    """The model calls of each iteration; None where it is recovery that decides them."""

    files: Mapping[str, str] = field(default_factory=lambda: {"greet.py": WRONG, "test_greet.py": TEST})
    goal: str = "Make greet.py say hello to whatever name it is given."
    check: str = CHECK
    cases: Mapping[str, str] = field(
        default_factory=lambda: {"greet.greet('ada')": "hello ada", "greet.greet('grace')": "hello grace"}
    )
    """The truth: expressions, and the text that each gives when the work is done."""
    held_out: Mapping[str, str] = field(default_factory=dict)
    """Tests that the agent never sees."""
    judge: Judge = BELIEVES
    criteria: Sequence[Mapping[str, Any]] = ()
    """The planner's."""
    frees: Sequence[str] = ()
    """Tests that the planner lets change."""
    diagnose: Any = acts.diagnose
    reflect: Any = REFLECTION
    most: int = 1
    """Iterations."""

    @property
    def tests(self) -> dict[str, str]:
        """The tests of the project, and what else decides."""
        return {path: text for path, text in self.files.items() if path.startswith(("test_", "Makefile"))}

    @property
    def right(self) -> bool:
        """Whether the work gets done in the end."""
        return self.ends is Status.COMPLETED

    @property
    def asks(self) -> bool:
        """Whether a person is asked at once, with nothing to diagnose: a command of theirs tells nothing."""
        return self.reason.startswith("your ")

    def scenario(self) -> Scenario:
        """What the model says."""
        return play(
            acts.execute(self.calls),
            plan=Answer({**PLAN, "criteria": list(self.criteria), "tests_to_change": list(self.frees)}),
            judge=self.judge,
            diagnose=self.diagnose,
            reflect=self.reflect,
        )

    def write(self, place: Path) -> Path:
        """The project with one commit, in a new folder or an empty one."""
        _write(place, self.files)
        git(place, "init", "-q", "-b", "main")
        git(place, "add", "-A")
        git(place, "commit", "-q", "-m", "Ask for a greeting")
        return place

    def options(self, project: Path, hidden: Path) -> dict[str, Any]:
        """What Overnight is asked for."""
        asked = {
            "goal": self.goal, "project": str(project), "validation_command": self.check, "max_iterations": self.most,
        }  # fmt: skip
        if not self.held_out:
            return asked
        _write(hidden, self.held_out)
        return {**asked, "held_out": str(hidden), "held_out_command": HIDDEN_CHECK}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (folder / path).write_text(text)
