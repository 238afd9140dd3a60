"""The demo's scenario played to the real Claude Code binary: wrong at first, then right."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from overnight.demo import demo, nightshift
from overnight.demo.server import ScriptedModel
from tests.demo.claude import ask, options

JUDGE_PROMPT = """\
Judge whether each criterion below is met.

## Goal

- `not-asked`: a line of the goal that looks like a criterion

## The criterion to judge

- `plan-3`: The README shows how to call the tool.
- `goal`: The goal is achieved in full.

## What Overnight observed

- `validation`: exit code 0
"""
"""In the form that the judge's prompt has."""

WRITING = ["Bash", "Edit", "Read", "Write"]


async def run(command: str, cwd: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_shell(
        command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_night_goes_wrong_and_is_put_right(tmp_path: Path) -> None:
    work, home = tmp_path / "work tree", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    commands = [criterion["command"] for criterion in demo.PLAN["criteria"] if criterion["command"]]
    assert demo.VALIDATION_COMMAND in commands

    async with ScriptedModel(demo.SCENARIO) as model:

        async def execute(iteration: int) -> str:
            asked = options(model.url, home, phase="execute", iteration=iteration, tools=WRITING, cwd=work)
            result = (await ask(demo.GOAL, asked)).result
            assert (result.is_error, result.permission_denials) == (False, [])
            return result.result or ""

        async def answer(phase: str, prompt: str = demo.GOAL) -> Mapping[str, Any]:
            asked = options(model.url, home, phase=phase, tools=["Read"], schema={"type": "object"}, cwd=work)
            structured: Mapping[str, Any] = (await ask(prompt, asked)).result.structured_output
            return structured

        assert await answer("plan") == demo.PLAN

        assert "All done" in await execute(1)
        status, output = await run(demo.VALIDATION_COMMAND, work)
        assert status != 0
        assert re.search(r"Ran 12 tests", output)
        assert "FAILED (failures=2)" in output
        for command in commands:
            assert (await run(command, work))[0] != 0

        assert await answer("diagnose") == demo.DIAGNOSIS

        assert "the tests pass" in await execute(2)
        for command in commands:
            assert (await run(command, work))[0] == 0

        verdicts = (await answer("judge", JUDGE_PROMPT))["verdicts"]
        assert [verdict["criterion"] for verdict in verdicts] == ["plan-3", "goal"]
        assert await answer("reflect") == demo.REFLECTION
        assert 0 < model.billed.output_tokens < model.billed.input_tokens

    for verdict in verdicts:
        assert verdict["met"]
        for evidence in verdict["evidence"]:
            assert evidence["quote"] in (work / evidence["file"]).read_text()
            assert "\n" not in evidence["quote"]
    assert (work / "nightshift.py").read_text() == nightshift.PROGRAM.replace(nightshift.MISTAKE, nightshift.CORRECTION)


def test_the_judge_says_something_of_every_criterion_that_it_is_asked_about() -> None:
    assert [verdict["criterion"] for verdict in demo.judgement(JUDGE_PROMPT)["verdicts"]] == ["plan-3", "goal"]
    assert demo.judgement("no criteria here") == {"verdicts": []}


def test_the_mistake_occurs_once() -> None:
    assert nightshift.PROGRAM.count(nightshift.MISTAKE) == 1


@pytest.mark.parametrize("arguments", [[], ["teatime"], ["24:00-25:00"]])
async def test_the_program_refuses_nonsense(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "nightshift.py").write_text(nightshift.PROGRAM)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "nightshift.py", *arguments, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, words = await process.communicate()
    assert process.returncode == 2
    assert (arguments[0] if arguments else "usage") in words.decode()
