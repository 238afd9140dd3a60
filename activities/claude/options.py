"""The options of a Claude Code call: tools by role, nothing of the repository's own settings, an explicit model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from claude_agent_sdk import ClaudeAgentOptions

from activities.claude.gateway import Lease
from workflows.contracts.answers import Answer
from workflows.contracts.requests import Allowance, Phase
from workflows.contracts.spec import Role

READ_ONLY = ["Read", "Glob", "Grep"]
WORKING = ["Bash", "Edit", "Read", "Write", "Glob", "Grep"]

BASH_SECONDS = 600
BASH_MAX_SECONDS = 1_800
MAX_BUFFER_BYTES = 64 * 1024 * 1024
"""Claude Code prints a written file on one line; the SDK's own 1 MiB would end the call."""


@dataclass(frozen=True)
class Ask:
    """One Claude Code call, before it is known where it runs."""

    role: Role
    phase: Phase
    prompt: str
    guide: str
    """Appended to Claude Code's own system prompt."""
    allowance: Allowance
    answer: type[Answer] | None = None
    """Structured answer that is owed; None for an execute, which owes work."""
    conversation: str | None = None
    """UUID of the Claude Code session; None leaves no transcript."""
    resume: bool = False


def options(ask: Ask, *, lease: Lease, program: Path, cwd: Path, on_stderr: list[str]) -> ClaudeAgentOptions:
    """The SDK's options for ``ask``; ``program`` starts Claude Code in its box, ``cwd`` is the workspace outside."""
    tools = WORKING if ask.role == "execute" else READ_ONLY
    return ClaudeAgentOptions(
        cli_path=program,
        cwd=cwd,
        model=ask.allowance.model,
        tools=list(tools),
        allowed_tools=list(tools),
        # Everything it can reach is in the box; what it may not do is not there to be done.
        permission_mode="bypassPermissions" if ask.role == "execute" else "dontAsk",
        system_prompt={"type": "preset", "preset": "claude_code", "append": ask.guide},
        setting_sources=[],
        strict_mcp_config=True,
        # A goal may begin with a slash or name an @file: it is text.
        verbatim_prompts=True,
        mcp_servers={},
        session_id=None if ask.resume else ask.conversation,
        resume=ask.conversation if ask.resume else None,
        max_turns=ask.allowance.max_turns,
        max_budget_usd=max(0.01, lease.budget_usd),
        output_format=(
            {"type": "json_schema", "schema": ask.answer.model_json_schema()} if ask.answer is not None else None
        ),
        max_buffer_size=MAX_BUFFER_BYTES,
        stderr=lambda line: on_stderr.append(line[:500]) if len(on_stderr) < 50 else None,
        extra_args={} if ask.conversation else {"no-session-persistence": None},
    )


def by_gateway(url: str, lease: Lease, *, oauth: bool) -> dict[str, str]:
    """The variables that lead Claude Code to the gateway, with a dummy key that names the call."""
    return {"ANTHROPIC_BASE_URL": url, "CLAUDE_CODE_OAUTH_TOKEN" if oauth else "ANTHROPIC_API_KEY": lease.token}


def environment(access: dict[str, str], config: Path) -> dict[str, str]:
    """The environment of Claude Code in its box: ``access`` to a model, and bounds on its own patience."""
    return {
        **access,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "CLAUDE_CONFIG_DIR": str(config),
        "CLAUDE_CODE_ENTRYPOINT": "sdk-py",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
        "CLAUDE_CODE_EAGER_FLUSH": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        # Fail fast here: Temporal backs off, and a person sees it.
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "API_TIMEOUT_MS": "120000",
        # The head of an answer that is not streamed comes only with its end: it would look like silence.
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": "120000",
        "BASH_DEFAULT_TIMEOUT_MS": str(BASH_SECONDS * 1000),
        "BASH_MAX_TIMEOUT_MS": str(BASH_MAX_SECONDS * 1000),
        "ENABLE_TOOL_SEARCH": "false",
        "IS_SANDBOX": "1",
    }
