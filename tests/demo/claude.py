"""Asking the real Claude Code binary, pointed at a scripted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    Message,
    ResultError,
    ResultMessage,
    SystemMessage,
    query,
)

MODEL = "claude-opus-5-5"


@dataclass
class Outcome:
    """The result of a query with the notices of retries before it."""

    result: ResultMessage
    retries: list[Mapping[str, Any]] = field(default_factory=list)


def options(
    url: str,
    home: Path,
    *,
    phase: str = "execute",
    iteration: int = 1,
    tools: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> ClaudeAgentOptions:
    """Options for one call; all that Claude Code writes of its own goes to ``home``."""
    headers = {
        "X-Overnight-Session": "s-1",
        "X-Overnight-Phase": phase,
        "X-Overnight-Iteration": str(iteration),
        "X-Overnight-Attempt": "1",
    }
    environment = {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "dummy",
        "ANTHROPIC_CUSTOM_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        "CLAUDE_CONFIG_DIR": str(home / "config"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "ENABLE_TOOL_SEARCH": "false",
        "IS_SANDBOX": "1",  # root may then bypass permissions
    }
    return ClaudeAgentOptions(
        model=MODEL,
        system_prompt={"type": "preset", "preset": "claude_code"},
        setting_sources=[],
        strict_mcp_config=True,
        tools=list(tools),
        permission_mode="bypassPermissions",
        output_format={"type": "json_schema", "schema": dict(schema)} if schema else None,
        cwd=cwd or home,
        env={**environment, **(env or {})},
    )


async def ask(prompt: str, asked: ClaudeAgentOptions) -> Outcome:
    """Runs one query in a process of its own."""
    messages: list[Message] = []
    try:
        async for message in query(prompt=prompt, options=asked):
            messages.append(message)  # noqa: PERF401  (a comprehension would lose them to the exception)
    except ResultError:
        assert any(isinstance(message, ResultMessage) for message in messages)
    return _outcome(messages)


async def ask_again(client: ClaudeSDKClient, prompt: str) -> Outcome:
    """Asks in a process that is held open, which is much quicker than a new one."""
    await client.query(prompt)
    return _outcome([message async for message in client.receive_response()])


def _outcome(messages: list[Message]) -> Outcome:
    results = [message for message in messages if isinstance(message, ResultMessage)]
    assert len(results) == 1, messages
    notices = [message for message in messages if isinstance(message, SystemMessage)]
    return Outcome(results[0], [notice.data for notice in notices if notice.subtype == "api_retry"])
