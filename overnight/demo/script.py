"""What the scripted model is asked, and the scenario that decides the answer: a pure function of the request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

from overnight.demo.reply import Fault, HttpError, Reply, Say, Text, as_said

COMPACTION = "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools"
NUDGE = "[structured-output-enforce]"
FILLER = "No response requested."
INTERRUPTED = "[Request interrupted by user]"
STRUCTURED_OUTPUT = "StructuredOutput"

_CWD = re.compile(r"^ - Primary working directory: (.+?)(?: \(was .+\))?$", re.MULTILINE)


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave back."""

    tool_use_id: str
    text: str
    is_error: bool


@dataclass(frozen=True)
class Request:
    """One call of the Messages API: its headers (names in lower case) and its body, with what scripts ask of them."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def session(self) -> str:
        """``X-Overnight-Session``, or the empty string."""
        return self.headers.get("x-overnight-session", "")

    @property
    def phase(self) -> str:
        """``X-Overnight-Phase``, or the empty string."""
        return self.headers.get("x-overnight-phase", "")

    @property
    def iteration(self) -> int:
        """``X-Overnight-Iteration``; 0 without it."""
        return _number(self.headers.get("x-overnight-iteration"), 0)

    @property
    def attempt(self) -> int:
        """``X-Overnight-Attempt``; 1 without it."""
        return _number(self.headers.get("x-overnight-attempt"), 1)

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body.get("model", ""))

    @property
    def stream(self) -> bool:
        """Whether events are wanted; without, the answer is one JSON object."""
        return bool(self.body.get("stream", False))

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation as sent, system messages included."""
        messages: Sequence[Mapping[str, Any]] = self.body.get("messages", ())
        return messages

    @cached_property
    def turn(self) -> int:
        """How many times the assistant has spoken: 0 in the first request of a conversation.

        What it was interrupted in does not count, nor what Claude Code puts into its mouth on resuming: so a script
        goes on where it was.
        """
        said = [message for message in self.messages if message.get("role") != "system"]
        return sum(
            message.get("role") == "assistant" and not _unfinished(message, reply)
            for message, reply in pairwise([*said, {}])
        )

    @cached_property
    def prompt(self) -> str:
        """The last thing said by the user, without Claude Code's reminders."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                said = [text for text in _texts(message) if not text.lstrip().startswith("<system-reminder>")]
                if said:
                    return said[-1]
        return ""

    @cached_property
    def system(self) -> str:
        """The system prompt."""
        return "\n".join(_texts({"content": self.body.get("system", "")}))

    @cached_property
    def text(self) -> str:
        """All words of the request, for scripts that look for some: system prompt, messages, tool results."""
        parts = [self.system]
        for message in self.messages:
            parts.extend(_texts(message))
            parts.extend(result.text for result in _results(message))
        return "\n".join(parts)

    @cached_property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools on offer."""
        return tuple(str(tool.get("name", "")) for tool in self.body.get("tools", ()))

    @cached_property
    def results(self) -> tuple[ToolResult, ...]:
        """Tool results of the last message of the user."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return tuple(_results(message))
        return ()

    @cached_property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema of the structured answer, if one is asked for."""
        for tool in self.body.get("tools", ()):
            if tool.get("name") == STRUCTURED_OUTPUT:
                schema: Mapping[str, Any] = tool.get("input_schema", {})
                return schema
        return None

    @cached_property
    def cwd(self) -> str:
        """The folder that Claude Code works in, as its environment blocks tell; ``.`` without one."""
        notes = [text for message in self.messages if message.get("role") == "system" for text in _texts(message)]
        found = _CWD.findall("\n".join(notes))
        return found[-1] if found else "."

    @property
    def is_nudge(self) -> bool:
        """Whether Claude Code insists on the structured answer after a text."""
        return self.prompt.startswith(NUDGE)

    @property
    def is_compaction(self) -> bool:
        """Whether Claude Code wants the conversation summed up."""
        return self.prompt.lstrip().startswith(COMPACTION)


Script: TypeAlias = Reply | Sequence[Reply] | Callable[[Request], Reply | None]
"""One reply for every turn; one per turn, the last one again from then on; or a function, None meaning "not mine"."""


@dataclass(frozen=True, kw_only=True)
class When:
    """A rule: where all that is given holds, ``then`` answers."""

    then: Script
    phase: str | None = None
    iteration: int | None = None
    attempt: int | None = None
    session: str | None = None
    says: str | None = None
    """Words that the prompt contains."""

    def holds(self, request: Request) -> bool:
        """Whether the rule is about ``request``."""
        pairs = (
            (self.phase, request.phase),
            (self.iteration, request.iteration),
            (self.attempt, request.attempt),
            (self.session, request.session),
        )
        return all(want is None or want == have for want, have in pairs) and (self.says or "") in request.prompt


class Scenario:
    """An ordered list of rules, or a script per phase. The first that has a reply wins.

    Params:
        rules: ``When`` rules, or a mapping of phase to script.
        default: what answers where no rule does; without it that is an error which names the request.
    """

    def __init__(self, rules: Sequence[When] | Mapping[str, Script] = (), *, default: Script | None = None) -> None:
        if isinstance(rules, Mapping):
            rules = [When(phase=phase, then=script) for phase, script in rules.items()]
        self._rules = tuple(rules)
        self._default = default

    def reply(self, request: Request) -> Say | Fault:
        """What ``request`` gets. Compaction gets a text whatever the scripts say, since tools are forbidden there."""
        if request.is_compaction:
            return Say(Text(f"<summary>The conversation so far had {request.turn} turn(s).</summary>"))
        for script in self._candidates(request):
            reply = _play(script, request)
            if reply is not None:
                return as_said(reply)
        where = f"phase={request.phase!r} iteration={request.iteration} turn={request.turn}"
        return HttpError(status=400, message=f"the scenario has no reply for {where}")

    def _candidates(self, request: Request) -> Iterator[Script]:
        for rule in self._rules:
            if rule.holds(request):
                yield rule.then
        if self._default is not None:
            yield self._default


def _play(script: Script, request: Request) -> Reply | None:
    if callable(script):
        return script(request)
    if isinstance(script, Sequence):
        return script[min(request.turn, len(script) - 1)] if script else None
    return script


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _blocks(content: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, Sequence):
        yield from (block for block in content if isinstance(block, Mapping))


def _unfinished(message: Mapping[str, Any], reply: Mapping[str, Any]) -> bool:
    if any(block.get("type") != "text" for block in _blocks(message.get("content"))):
        return False
    return _texts(message) == [FILLER] or _texts(reply)[:1] == [INTERRUPTED]


def _texts(message: Mapping[str, Any]) -> list[str]:
    return [str(block.get("text", "")) for block in _blocks(message.get("content")) if block.get("type") == "text"]


def _results(message: Mapping[str, Any]) -> Iterator[ToolResult]:
    for block in _blocks(message.get("content")):
        if block.get("type") == "tool_result":
            content = block.get("content", "")
            text = content if isinstance(content, str) else "\n".join(_texts(block)) or json.dumps(content)
            yield ToolResult(str(block.get("tool_use_id", "")), text, bool(block.get("is_error", False)))
