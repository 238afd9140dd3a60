"""The real Claude Code as a client of the MCP server, its own model scripted: what the model says, and what it sees."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import claude_agent_sdk

from overnight.demo.reply import Reply, Text, ToolUse
from overnight.demo.script import Request, Scenario
from tests.mcp.conftest import ROOT, Place
from tests.mcp.terminal import Terminal

CLAUDE = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
SERVER = "overnight"
LONGEST_SECONDS = 100.0

Step = Callable[[Request], Reply]


def use(tool: str, **arguments: Any) -> ToolUse:
    """A call of one of the server's tools, as Claude Code names it."""
    return ToolUse(f"mcp__{SERVER}__{tool}", arguments)


def seen(request: Request) -> dict[str, Any]:
    """What the last tool call gave the model: the structured answer."""
    (result,) = request.results
    assert not result.is_error, result.text
    answer: dict[str, Any] = json.loads(result.text)
    return answer


@dataclass
class ClaudeCode:
    """One person's Claude Code, in a home of its own.

    Params:
        place: where the server's sessions live.
        name: of its conversation; the scripted model tells by it whom it talks to.
        home: its home, which holds all that it writes.
        config: how it reaches the server.
        more: environment variables that it has beside the usual ones.
    """

    place: Place
    name: str
    home: Path
    config: Mapping[str, Any]
    more: Mapping[str, str]

    def plays(self, *steps: Step) -> None:
        """Have its model answer with these, one a turn, the last one again from then on."""
        self.place.stage.plays[self.name] = Scenario(
            default=lambda asked: steps[min(asked.turn, len(steps) - 1)](asked)
        )

    @property
    def asked(self) -> list[Request]:
        """What its model was asked."""
        return [request for request in self.place.model.requests if request.session == self.name]

    def arguments(self, *more: str) -> list[str]:
        """The command line."""
        self.home.mkdir(exist_ok=True)
        file = self.home / "servers.json"
        file.write_text(json.dumps({"mcpServers": {SERVER: dict(self.config)}}))
        return [str(CLAUDE), "--mcp-config", str(file), "--strict-mcp-config", *more]

    def environment(self) -> dict[str, str]:
        """Nothing of whoever runs the tests, and a credential that leads to the scripted model."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / "config"),
            "ANTHROPIC_API_KEY": "sk-test",
            "ANTHROPIC_BASE_URL": self.place.model.url,
            "ANTHROPIC_CUSTOM_HEADERS": f"X-Overnight-Session: {self.name}",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",  # root may then bypass permissions
            **self.more,
        }

    def at_a_terminal(self, *more: str) -> Terminal:
        """It, on a terminal, with nothing left to ask of somebody who uses it for the first time."""
        folder, config = self.home / "work", self.home / "config"
        folder.mkdir(parents=True, exist_ok=True)
        config.mkdir(exist_ok=True)
        known = config / ".claude.json"
        if not known.exists():
            trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
            settled = {
                "hasCompletedOnboarding": True,
                "theme": "dark",
                "customApiKeyResponses": {"approved": ["sk-test"], "rejected": []},
                "bypassPermissionsModeAccepted": True,
                "projects": {str(folder): trusted},
            }
            known.write_text(json.dumps(settled))
        command = self.arguments("--permission-mode", "bypassPermissions", *more)
        return Terminal(command, cwd=folder, env=self.environment())

    async def headless(self, prompt: str, *more: str) -> str:
        """What it says in the end, when it is asked once and nobody looks on."""
        process = await asyncio.create_subprocess_exec(
            *self.arguments("-p", prompt, "--output-format", "stream-json", "--verbose"),
            *("--permission-mode", "bypassPermissions", *more),
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=10_000_000,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        told = [json.loads(line) for line in out.splitlines()]
        (begun,) = [one for one in told if one.get("subtype") == "init"]
        assert [(s["name"], s["status"]) for s in begun["mcp_servers"]] == [(SERVER, "connected")], err.decode()
        ended = told[-1]
        assert (process.returncode, ended["type"], ended["is_error"]) == (0, "result", False), (ended, err.decode())
        return str(ended["result"])


def over_stdio(place: Place) -> dict[str, Any]:
    """The configuration that lets Claude Code start the server itself."""
    # The headers tell the scripted model whom it talks to, and belong to a credential: the worker has others.
    own = {"OVERNIGHT_HOME": str(place.settings.home), "PYTHONPATH": str(ROOT), "ANTHROPIC_CUSTOM_HEADERS": ""}
    return {"command": sys.executable, "args": [str(ROOT / "mcp_server.py")], "env": own}


def over_http(url: str) -> dict[str, Any]:
    """The configuration for a server that runs already."""
    return {"type": "http", "url": url}


def says(words: str) -> Step:
    """Ends the turn with words."""
    return lambda _: Text(words)
