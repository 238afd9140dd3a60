"""Secrets of every kind, printed, written and spoken by the agent and by a check: none is kept anywhere."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from overnight.demo.reply import Answer, Reply, Text
from overnight.demo.script import Request
from tests.escape.fortress import Fortress
from tests.planted import KINDS, planted, value_of
from tests.sessions.plays import PLAN, REFLECTION, RIGHT, TEST, Script, judge, play, shell, write
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

SEED = 7_203
KNOWN = "a value that the worker knows"
CUT = ("github classic", "gitlab", "anthropic", "openai project")
"""Kinds, to be known by themselves, that are printed so that a limit on some text cuts them in two."""
LIMITS = (72, 120, 130, 160, 200, 400, 800, 1_000, 1_500, 2_000, 4_000, 6_000)
"""Where texts are cut: what comes before or after must not be a part of a secret."""
PLACES = ("history", "memo", "log", "artifacts", "vault", "report", "status", "events", "diff", "prompts", "beats")


def fragments(value: str) -> list[str]:
    """Parts of a secret, ten characters each, without the beginning that all of its kind share."""
    first = min(16, max(0, len(value) - 10) // 2)
    starts = [*range(first, len(value) - 9, 3), len(value) - 10]
    return [value[start : start + 10] for start in starts]


def leaked(text: str, secrets: dict[str, str]) -> dict[str, str]:
    """Kinds of secrets of which a part stands in ``text``, with what stands around it."""
    found: dict[str, str] = {}
    for kind, value in secrets.items():
        for part in fragments(value):
            if (at := text.find(part)) >= 0:
                found[kind] = text[max(0, at - 80) : at + 60]
                break
    return found


@dataclass
class Spilled:
    session_id: str
    status: SessionStatus
    texts: dict[str, str]
    secrets: dict[str, str]
    printed: str


def spill(secrets: dict[str, str]) -> str:
    """A text with every secret in it, as it might stand in a log."""
    return "\n".join(f"line {n}: {text}" for n, text in enumerate([*planted(SEED).values(), secrets[KNOWN]]))


def cut() -> str:
    """A text in which, counted from either end, a limit falls into the middle of a secret."""
    values = [value_of(kind, SEED) for kind in CUT]
    parts: list[str] = []
    for n, limit in enumerate(LIMITS):
        value = values[n % len(values)]
        parts.append(f"{value:>{limit + len(value) // 2}}" if limit < 500 else value)
    return "\n".join(parts)


def ends(limit: int, value: str) -> str:
    """A text of which the last ``limit`` bytes begin in the middle of ``value``."""
    return f"token {value} " + "." * (limit - len(value) // 2 - 1)


def checks(secrets: dict[str, str]) -> str:
    """A program that prints all of it, on its way to a failure."""
    texts = [spill(secrets), cut()]
    return f"import sys\nfor text in {texts!r}:\n    print(text)\nsys.exit(1)\n"


@pytest.fixture(scope="module")
async def spilled(castle: Fortress) -> Spilled:
    """A session whose agent and checks spill everything, everywhere, and that then cleans up and succeeds."""
    secrets = {kind: value_of(kind, SEED) for kind in KINDS}
    secrets[KNOWN] = castle.worker.env["GITHUB_TOKEN"]
    pat, token, named = secrets["github classic"], secrets["gitlab"], f"export DEPLOY_TOKEN={secrets['env token']}"
    ending = {
        n: f"print({ends(limit, pat)!r}, end='')\nraise SystemExit(1)\n" for n, limit in enumerate((400, 1_000, 4_000))
    }
    dirty: Script = [
        write("leak/spilled.txt", spill(secrets)),
        write("leak/check.py", checks(secrets)),
        *[write(f"leak/end{n}.py", code) for n, code in ending.items()],
        write(f"leak/{pat}.txt", "its name is the secret\n"),
        shell("cat leak/spilled.txt; python3 leak/check.py; true"),
        shell(f"true {'x' * 150} {pat}{'y' * 40}; python3 -c 'import time; time.sleep(1.5)'"),
        shell(f"true {'x' * (195 - len(token) // 2)}{token}; python3 -c 'import time; time.sleep(1.5)'"),
        Text(f"{spill(secrets)[:700]}\n{pat}\n{'x' * 30}{cut()}\n{spill(secrets)}"),
    ]
    clean: Script = [shell("rm -rf leak"), write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Cleaned.")]
    plan = {
        **PLAN,
        "summary": f"log in with {pat} first",
        "steps": [
            {"id": "s1", "title": f"use {token}", "instructions": named},
        ],
        "criteria": [
            {"id": f"c{n}", "description": f"without {pat}", "command": f"test ! -e leak || python3 leak/end{n}.py"}
            for n in ending
        ],
    }
    diagnosis = {"root_cause": named, "fix": f"use {pat}", "category": "x", "confidence": "high"}
    beats: list[str] = []

    def execute(request: Request) -> Reply:
        script = dirty if request.iteration == 1 else clean
        return script[min(request.turn, len(script) - 1)]

    name = await castle.start(
        "spilled",
        play(execute, plan=Answer(plan), diagnose=Answer(diagnosis), judge=judge(), reflect=REFLECTION),
        max_iterations=2,
        validation_command="test ! -e leak || python3 leak/check.py",
    )

    def look(known: SessionStatus) -> bool:
        return known.status.is_final or known.status.value == "paused"

    while not look(known := await castle.sessions.status(name)):
        described = await castle.client.get_workflow_handle(name).describe()
        for pending in described.raw_description.pending_activities:
            beats.extend(p.data.decode() for p in pending.heartbeat_details.payloads)
    texts = {**await _everything(castle, name), "beats": "\n".join(dict.fromkeys(beats))}
    return Spilled(name, known, texts, secrets, castle.said(name))


async def _everything(castle: Fortress, name: str) -> dict[str, str]:
    described = await castle.client.get_workflow_handle(name).describe()
    branch = await castle.sessions.branch(name)
    history = b"".join(event.SerializeToString() for event in await castle.history(name))
    artifacts = [path.read_bytes() for path in (castle.home / "artifacts").rglob("*") if path.is_file()]
    return {
        "history": history.decode(errors="replace"),
        "memo": described.raw_description.SerializeToString().decode(errors="replace"),
        "log": castle.worker.log.read_text(errors="replace"),
        "artifacts": b"".join(artifacts).decode(errors="replace"),
        "vault": _objects(branch.vault),
        "report": await castle.sessions.report(name),
        "status": (await castle.sessions.status(name)).model_dump_json(),
        "events": (await castle.sessions.events(name)).model_dump_json(),
        "diff": (await castle.sessions.diff(name)).model_dump_json(),
        "prompts": "\n".join(said for r in castle.model.requests if r.session == name for said in _by_overnight(r)),
    }


def _objects(vault: str) -> str:
    """Content and messages of every commit, and whatever else is there."""
    args = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    return subprocess.run(args, cwd=vault, capture_output=True, check=True).stdout.decode(errors="replace")


def _by_overnight(request: Request) -> Iterator[str]:
    """What Overnight itself said to the model: the system prompt, and what the user says; no results of tools."""
    yield request.system
    for message in request.messages:
        if message.get("role") != "assistant":
            yield from _texts(message.get("content"))


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for block in content or ():
        if block.get("type") == "text":
            yield block["text"]


def test_it_was_all_spilled(spilled: Spilled) -> None:
    """In the agent's own hands the secrets are there: what is not kept was taken out."""
    assert leaked(spilled.printed, spilled.secrets).keys() == spilled.secrets.keys()


def test_the_search_finds_a_part(spilled: Spilled) -> None:
    chosen = random.Random(SEED)  # noqa: S311
    for kind, value in spilled.secrets.items():
        start = chosen.randrange(16, len(value) - 13) if len(value) > 32 else 0
        part = value[start : start + 13] if start else value
        assert kind in leaked(f"before {part} after", {kind: value})


@pytest.mark.parametrize("where", PLACES)
def test_no_secret_is_kept(spilled: Spilled, where: str) -> None:
    assert spilled.texts[where], "nothing was looked at"
    found = leaked(spilled.texts[where], spilled.secrets)
    assert not found, json.dumps(found, indent=1)


async def test_the_person_is_told_where_it_stood(spilled: Spilled, castle: Fortress) -> None:
    events = await castle.events(spilled.session_id)
    assert "leak/spilled.txt" in events
    assert "secret" in events


def test_the_session_succeeds_once_it_is_clean(spilled: Spilled) -> None:
    assert spilled.status.status is Status.COMPLETED, spilled.status.reason
