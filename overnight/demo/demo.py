"""The demo's scenario: a plan, a first attempt with a plausible mistake, a diagnosis, the correction, a verdict.

The structured answers are data at the top, to be kept in step with the schemas that the phases ask for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from overnight.demo import nightshift
from overnight.demo.reply import Answer, Block, Reply, Say, Text, ToolUse, Usage
from overnight.demo.script import Request, Scenario

GOAL = nightshift.GOAL
VALIDATION_COMMAND = "python3 -m unittest -v test_nightshift"
"""Names its module: discovery that finds no test succeeds before Python 3.12 and fails from there on."""

PLAN: Mapping[str, Any] = {
    "summary": "One module with a small command line, unittest tests beside it, and a README.",
    "steps": [
        {
            "id": "s1",
            "title": "Write the tool with tests and README",
            "instructions": "Write nightshift.py, test_nightshift.py and README.md. Keep parsing, merging and "
            "printing apart, so that each can be tested.",
        },
    ],
    "criteria": [
        {"id": "c1", "description": "The tests pass.", "command": VALIDATION_COMMAND, "weight": 3},
        {
            "id": "c2",
            "description": "A span past midnight and one that overlaps it are printed as one.",
            "command": "python3 nightshift.py 22:30-06:15 05:00-07:00 | grep -qx '22:30-07:00  8h 30m'",
            "weight": 2,
        },
        {
            "id": "c3",
            "description": "The README shows how to call the tool and says what happens at midnight.",
            "command": None,
            "weight": 1,
        },
    ],
    "setup_command": None,
    "estimated_complexity": "low",
}

DIAGNOSIS: Mapping[str, Any] = {
    "root_cause": "merge() sorts the pieces on a line from 00:00 to 24:00, but the day is a circle: parse() cuts a "
    "span at midnight into two pieces, and nothing joins them again.",
    "fix": "At the end of merge(), if the first piece starts at 00:00 and the last one ends at 24:00, make one span "
    "of the two. length() already copes with a span that ends before it starts.",
    "category": "logic",
    "confidence": "high",
}

VERDICT: Mapping[str, Any] = {
    "met": True,
    "confidence": "high",
    "reason": "The README has a call with its output and says what happens at midnight; merge() joins the two ends of "
    "the night.",
    "evidence": [
        {"file": "README.md", "quote": "A span that ends before it starts runs past midnight, and stays one span."},
        {"file": "nightshift.py", "quote": "# The day is a circle: what ends at 24:00 goes on at 00:00."},
    ],
}
"""What the judge says of each criterion that it is asked about; the quotes are there once the mistake is mended."""

REFLECTION: Mapping[str, Any] = {
    "change_approach": False,
    "new_strategy": None,
    "lessons": ["Times of the day lie on a circle: test every operation on them across midnight."],
}

_CRITERIA = re.compile(r"^## The criterion to judge$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_CRITERION = re.compile(r"^- `([A-Za-z0-9][A-Za-z0-9_.-]*)`: ", re.MULTILINE)


def plan(request: Request) -> Reply:
    """Answers the plan."""
    return _say(request, Answer(PLAN))


def execute(request: Request) -> Reply:
    """Writes everything in the first iteration, and trusts it too soon; corrects the mistake in a later one."""
    return _first(request) if request.iteration <= 1 else _second(request)


def diagnose(request: Request) -> Reply:
    """Reads the program, then names the mistake."""
    return _after_reading(request, "nightshift.py", "The spans past midnight fail.", DIAGNOSIS)


def judge(request: Request) -> Reply:
    """Reads the README, then gives a verdict on each criterion that the prompt names."""
    return _after_reading(request, "README.md", "I look at the files themselves.", judgement(request.prompt))


def judgement(prompt: str) -> Mapping[str, Any]:
    """The verdicts on the criteria of a judge's prompt: Overnight gives them ids of its own."""
    asked = _CRITERIA.search(prompt)
    ids = _CRITERION.findall(asked[1]) if asked else []
    return {"verdicts": [{"criterion": criterion, **VERDICT} for criterion in ids]}


def reflect(request: Request) -> Reply:
    """Sees no reason to change the approach."""
    return _say(request, Answer(REFLECTION))


SCENARIO = Scenario(
    {"plan": plan, "execute": execute, "diagnose": diagnose, "judge": judge, "reflect": reflect},
    default=Text("The demo has nothing to say here."),
)


def _first(request: Request) -> Reply:
    match request.turn:
        case 0:
            program = _write(request, "nightshift.py", nightshift.PROGRAM)
            return _say(request, Text("I start with the program: parse, merge, print."), program)
        case 1:
            return _say(
                request,
                Text("Now the tests, nights included, and a README."),
                _write(request, "test_nightshift.py", nightshift.TESTS),
                _write(request, "README.md", nightshift.README),
                _write(request, ".gitignore", "__pycache__/\n"),
            )
        case 2:
            return _say(request, Text("A quick try."), _bash("python3 nightshift.py 09:00-12:00 11:30-13:00"))
        case _:
            return _say(request, Text("nightshift.py merges the spans as asked, with tests and a README. All done."))


def _second(request: Request) -> Reply:
    match request.turn:
        case 0:
            read = _read(request, "nightshift.py")
            return _say(request, Text("The day is a circle, and merge() does not know it."), read)
        case 1:
            edit = {
                "file_path": _path(request, "nightshift.py"),
                "old_string": nightshift.MISTAKE,
                "new_string": nightshift.CORRECTION,
            }
            return _say(request, Text("I join the two ends of the night in merge()."), ToolUse("Edit", edit))
        case 2:
            return _say(request, Text("This time I run the tests."), _bash(VALIDATION_COMMAND))
        case _:
            failed = any(result.is_error for result in request.results)
            outcome = "The tests still fail." if failed else "The night is one span again, and the tests pass."
            return _say(request, Text(outcome))


def _after_reading(request: Request, name: str, words: str, answer: Mapping[str, Any]) -> Reply:
    if request.turn == 0 and "Read" in request.tools:
        return _say(request, Text(words), _read(request, name))
    return _say(request, Answer(answer))


def _say(request: Request, *blocks: Block) -> Say:
    # About what a model would bill (four characters to a token, the history from the cache), so that costs look real.
    size = len(json.dumps(dict(request.body))) // 4
    fresh = size if request.turn == 0 else size // 10
    spoken = sum(len(repr(block)) for block in blocks) // 4
    return Say(*blocks, usage=Usage(input_tokens=fresh, cache_read=size - fresh, output_tokens=spoken))


def _path(request: Request, name: str) -> str:
    return f"{request.cwd}/{name}"


def _read(request: Request, name: str) -> ToolUse:
    return ToolUse("Read", {"file_path": _path(request, name)})


def _write(request: Request, name: str, content: str) -> ToolUse:
    return ToolUse("Write", {"file_path": _path(request, name), "content": content})


def _bash(command: str) -> ToolUse:
    return ToolUse("Bash", {"command": command, "description": "Run the program or its tests"})
