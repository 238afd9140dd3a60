"""The same calls without Overnight: ``claude -p`` in a shell loop, in a folder of its own, no sandbox, no gateway."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from activities.claude import claude_binary
from activities.claude.options import WORKING, environment
from benchmarks.models import POLL_SECONDS
from overnight.base.settings import Settings
from overnight.demo.script import STRUCTURED_OUTPUT, Request

MODEL = "claude-opus-5-5"


@dataclass(frozen=True)
class Call:
    """One call of Claude Code."""

    phase: str
    iteration: int
    prompt: str
    model: str = MODEL
    tools: Sequence[str] = tuple(WORKING)
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Loop:
    """What a loop took."""

    seconds: list[float]
    """By iteration."""
    transcript_bytes: int
    """What Claude Code keeps of the conversations."""


def calls_of(requests: Iterable[Request]) -> list[Call]:
    """The calls that requests to a model belong to, in order; without the plan, which no iteration repeats."""
    found: dict[tuple[str, int], Call] = {}
    for one in requests:
        if one.phase not in ("", "plan") and one.turn == 0:
            tools = [tool for tool in one.tools if tool != STRUCTURED_OUTPUT]
            call = Call(one.phase, one.iteration, one.prompt, one.model, tools, one.schema)
            found.setdefault((one.phase, one.iteration), call)
    return list(found.values())


def command(call: Call, *more: str) -> list[str]:
    """The command line, in a session's own words where Claude Code has them."""
    line = [
        str(claude_binary(Settings(claude_path=None))),
        "-p",
        "--model",
        call.model,
        "--tools",
        ",".join(call.tools),
    ]
    line += ["--permission-mode", "bypassPermissions", "--setting-sources", "", "--strict-mcp-config"]
    line += ["--json-schema", json.dumps(call.schema)] if call.schema is not None else []
    return [*line, "--output-format", "json", *more]


def quoted(line: Sequence[str], call: Call) -> str:
    """A command line with its prompt, for a shell."""
    return f"ANTHROPIC_CUSTOM_HEADERS={shlex.quote(headers(call))} {shlex.join([*line, call.prompt])}"


def headers(call: Call, session: str = "bare") -> str:
    """By which the scripted model knows what it is asked."""
    return f"X-Overnight-Session: {session}\nX-Overnight-Phase: {call.phase}\nX-Overnight-Iteration: {call.iteration}"


def surroundings(url: str, folder: Path) -> dict[str, str]:
    """The environment that Claude Code has in a session, but for the folder of its configuration."""
    config = folder / "config"
    for one in (config, folder / "work"):
        one.mkdir(parents=True, exist_ok=True)
    access = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "benchmark"}
    given = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder)}
    return {**environment(access, config), **given}


async def loop(calls: Sequence[Call], check: str, url: str, folder: Path) -> Loop:
    """Make the calls in a shell loop, with the check after each execute."""
    iterations = sorted({call.iteration for call in calls})
    steps = folder / "steps"
    steps.mkdir(parents=True)
    for number, call in enumerate(calls):
        step = steps / f"{call.iteration:04}-{number:04}"
        prompt = step.with_suffix(".prompt")
        prompt.write_text(call.prompt)
        asked = shlex.join(command(call))
        lines = [f"export ANTHROPIC_CUSTOM_HEADERS={shlex.quote(headers(call))}"]
        lines += [f"{asked} < {shlex.quote(str(prompt))} > {shlex.quote(str(step))}.out"]
        # What it prints is kept, as a session does; standard output is for the times.
        lines += [f"( {check} ) > {shlex.quote(str(step))}.log 2>&1 || true"] if call.phase == "execute" else []
        step.with_suffix(".sh").write_text("\n".join(lines))
    where = shlex.quote(str(steps))
    script = (
        f"for i in {' '.join(f'{i:04}' for i in iterations)}; do\n"
        '  echo "$EPOCHREALTIME"\n'
        f'  for step in {where}/"$i"-*.sh; do . "$step"; done\n'
        'done\necho "$EPOCHREALTIME"\n'
    )
    async with started(["bash", "-c", script], url, folder) as shell:
        assert shell.stdout is not None
        times = [float(line) for line in (await shell.stdout.read()).split()]
    answers = [json.loads(out.read_text()) for out in steps.glob("*.out")]
    assert len(answers) == len(calls)
    assert not any(answer["is_error"] for answer in answers), answers
    kept = sum(path.stat().st_size for path in (folder / "config").rglob("*.jsonl"))
    return Loop([b - a for a, b in pairwise(times)], kept)


@asynccontextmanager
async def started(line: Sequence[str], url: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command in the loop's surroundings; when the context ends, neither it nor a child of it is left."""
    env = surroundings(url, folder)
    process = await asyncio.create_subprocess_exec(
        *line,
        cwd=folder / "work",
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        for one in family(process.pid):
            with suppress(psutil.Error):
                one.kill()
        await process.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


async def claude_of(shell: int) -> psutil.Process:
    """The Claude Code that a shell runs now."""
    while True:
        for one in family(shell):
            with suppress(psutil.Error, IndexError):
                if Path(one.cmdline()[0]).name == "claude":
                    return one
        await asyncio.sleep(POLL_SECONDS)
