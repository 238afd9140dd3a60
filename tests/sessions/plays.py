"""Scripted models for whole sessions, each a play of a few phases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from overnight.demo.reply import Answer, Reply, Text, ToolUse
from overnight.demo.script import Request, Scenario

PLAN: Mapping[str, Any] = {
    "summary": "write the greeter and its test",
    "steps": [{"id": "s1", "title": "write the greeter", "instructions": "write greet.py and test_greet.py"}],
    "criteria": [],
    "setup_command": None,
    "estimated_complexity": "low",
}
CHECK = "python3 -m unittest discover"
GOAL = "Write greet.py that says hello to a name, with a test."

Script: TypeAlias = Sequence[Reply]
"""Replies of one conversation, by turn."""

RIGHT = 'def greet(name):\n    return f"hello {name}"\n'
WRONG = 'def greet(name):\n    return "hello"\n'
TEST = (
    "import unittest\n"
    "from greet import greet\n\n\n"
    "class Greeting(unittest.TestCase):\n"
    "    def test_name(self):\n"
    '        self.assertEqual(greet("ada"), "hello ada")\n'
)


def write(path: str, content: str) -> ToolUse:
    return ToolUse("Write", {"file_path": f"/workspace/{path}", "content": content})


def shell(command: str, **more: Any) -> ToolUse:
    return ToolUse("Bash", {"command": command, **more})


def judge(met: bool = True, quote: str = "def greet(name):", file: str = "greet.py") -> Callable[[Request], Reply]:
    """A judge with one opinion on whatever it is asked."""

    def reply(request: Request) -> Reply:
        ids = re.findall(r"^- `([\w-]+)`: ", request.prompt, re.MULTILINE)
        verdicts = [
            {
                "criterion": one,
                "met": met,
                "confidence": "high",
                "reason": "it was read",
                "evidence": [{"file": file, "quote": quote}],
            }
            for one in ids
        ]
        return Answer({"verdicts": verdicts})

    return reply


DIAGNOSIS = Answer(
    {
        "root_cause": "greet ignores its argument",
        "fix": "put the name into the returned text",
        "category": "logic error",
        "confidence": "high",
    }
)


def new_diagnosis(request: Request) -> Reply:
    """Another cause and another fix each time: one on record would be refused."""
    number = request.iteration
    return Answer({**DIAGNOSIS.value, "root_cause": f"cause {number}", "fix": f"mend part{number} near mark{number}"})


REFLECTION = Answer({"change_approach": False, "new_strategy": None, "lessons": []})


def by_iteration(*scripts: Script) -> Callable[[Request], Reply]:
    """One script per iteration, the last for all after it, each indexed by the turn."""

    def reply(request: Request) -> Reply:
        script = scripts[min(max(request.iteration, 1), len(scripts)) - 1]
        return script[min(request.turn, len(script) - 1)]

    return reply


def play(execute: Any, **phases: Any) -> Scenario:
    """A scenario with the usual plan, judge, diagnosis and reflection, unless told otherwise."""
    return Scenario(
        {
            "plan": Answer(PLAN),
            "execute": execute,
            "judge": judge(),
            "diagnose": DIAGNOSIS,
            "reflect": REFLECTION,
            **phases,
        }
    )


WRITES_IT: list[Reply] = [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]
WRONG_THEN_RIGHT = by_iteration(
    [write("greet.py", WRONG), write("test_greet.py", TEST), Text("All tests pass!")],
    [
        shell("cat greet.py"),
        ToolUse("Read", {"file_path": "/workspace/greet.py"}),
        write("greet.py", RIGHT),
        Text("Fixed."),
    ],
)
HALF_DONE: Script = [
    write("test_greet.py", TEST),
    shell("python3 -c 'import time; time.sleep(600)'", timeout=900_000),
    write("greet.py", RIGHT),
    Text("Done."),
]
"""Writes the test, then works for ten minutes; the rest comes when it is resumed."""
