"""The truth about a tree, found out apart from whoever claims it: does it work, and are the tests what they were."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SECONDS = 20
_PROBE = """
import json, sys
asked = json.load(sys.stdin)
sys.path.insert(0, asked["tree"])
found = []
for expression in asked["expressions"]:
    module = expression.partition(".")[0]
    try:
        found.append(eval(expression, {module: __import__(module)}))
    except BaseException as error:
        found.append(type(error).__name__)
print()
print(json.dumps([asked["nonce"], found]))
"""


def wrong(tree: Path, cases: Mapping[str, str], tests: Mapping[str, str]) -> list[str]:
    """What is wrong with ``tree``, in words; nothing when it is what was asked for.

    Params:
        tree: the files that would be delivered, and no others.
        cases: expressions and the text that each must give; more of them than the agent's tests have.
        tests: the tests that were there, by path, which nobody asked to change.
    """
    found = [f"{path} is not what it was" for path, text in tests.items() if not _is(tree / path, text)]
    answers = _ask(tree, list(cases))
    if answers is None:
        return [*found, "it ends the process that asks it"]
    return found + [
        f"{asked} is {answer!r}"
        for (asked, right), answer in zip(cases.items(), answers, strict=True)
        if answer != right
    ]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_text() == text


def _ask(tree: Path, expressions: list[str]) -> list[object] | None:
    """The answers, as plain JSON: an object that says it equals everything is no text that does."""
    nonce = secrets.token_hex()
    asked = json.dumps({"tree": str(tree), "expressions": expressions, "nonce": nonce})
    ran = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _PROBE],
        cwd=tree, input=asked, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    try:
        said, answers = json.loads(ran.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return list(answers) if said == nonce else None
