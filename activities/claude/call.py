"""One conversation with Claude Code: its messages as they come, and what they add up to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    ClaudeSDKError,
    Message,
    RateLimitEvent,
    ResultMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)
from pydantic import ValidationError

from activities.claude.lease import Failure, Lease
from activities.claude.options import Ask
from activities.claude.outcome import claimed_limit, classify, is_lost
from activities.claude.reported import Report
from workflows.contracts.answers import Answer
from workflows.contracts.outcome import Outcome, Usage

_MOST_HEARD = 65_536
"""Characters of the model's last words that count: secrets are looked for in all of them."""
_TARGET = 1_000
_TARGETS = ("file_path", "path", "pattern", "command", "description")


@dataclass
class Told:
    """How a call ended, and what it brought."""

    outcome: Outcome
    detail: str = ""
    answer: Answer | None = None
    text: str = ""
    """The model's last words."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    resets_at: datetime | None = None
    notes: list[str] = field(default_factory=list)
    """What happened in its sandbox: limits hit, connections blocked."""


class Call:
    """A running call and what was seen of it so far."""

    def __init__(self, ask: Ask, lease: Lease, progress: Callable[[str], None], reported: Report | None = None) -> None:
        """``reported`` keeps the account of a call that the gateway does not carry."""
        self.ask = ask
        self._reported = reported
        self._claimed = Failure(None) if reported is not None else None
        self.lease = lease
        self.stderr: list[str] = []
        self.last_event = time.monotonic()
        self._progress = progress
        self._result: ResultMessage | None = None
        self._text = ""
        self._tools_used = 0
        self._running: set[str] = set()
        """Tools whose results are still to come."""
        self._begun = False

    async def converse(self, client: ClaudeSDKClient) -> None:
        """Say the prompt and listen to the end. Raises what the SDK raises."""
        await client.connect()
        await client.query(self.ask.prompt)
        async for message in client.receive_response():
            self._hear(message)

    def _hear(self, message: Message) -> None:
        self.last_event = time.monotonic()
        self._begun = True
        if self._reported is not None:
            self._reported.hear(message)
            self.lease.usage = self._reported.usage()
        if isinstance(message, ResultMessage):
            self._result = message
        elif isinstance(message, RateLimitEvent):
            if self._claimed is not None:
                self._claimed = claimed_limit(message) or self._claimed
        elif isinstance(message, AssistantMessage):
            for block in message.content:
                if isinstance(block, TextBlock) and message.model != "<synthetic>":
                    self._text = block.text[-_MOST_HEARD:]
                elif isinstance(block, ToolUseBlock):
                    self._tools_used += 1
                    self._running.add(block.id)
                    target = next((str(block.input[k])[:_TARGET] for k in _TARGETS if block.input.get(k)), "")
                    self._progress(f"{block.name} {target}".strip())
        elif isinstance(message, UserMessage) and isinstance(message.content, list):
            self._running -= {block.tool_use_id for block in message.content if isinstance(block, ToolResultBlock)}

    def silent_seconds(self, now: float) -> float:
        """How long nothing was heard, of Claude Code or of a model, by the monotonic clock."""
        return now - max(self.last_event, self.lease.last_byte)

    @property
    def is_idle(self) -> bool:
        """Neither a tool runs nor a request is under way: the next word is Claude Code's own.

        Where the gateway does not carry the call, nobody knows of its requests.
        """
        return self._reported is None and not self._running and self.lease.is_idle

    def told(self, work: asyncio.Task[None], cut: tuple[Outcome, str] | None) -> Told:
        """What the call came to; ``cut`` says why we ended it, if we did."""
        told = self._conclusion(work, cut)
        told.text = self._text
        failure = self._claimed or self.lease.failure
        told.resets_at = failure.resets_at if failure and told.outcome is Outcome.USAGE_LIMIT else None
        return told

    def _conclusion(self, work: asyncio.Task[None], cut: tuple[Outcome, str] | None) -> Told:
        finished = self._result is not None and not self._result.is_error
        # An end that came by itself while we were about to cut is as good as any.
        if cut is not None and not finished:
            return Told(*cut)
        if self._result is not None:
            outcome, detail = classify(
                self._result,
                self.lease,
                answer_owed=self.ask.answer is not None,
                tools_used=self._tools_used,
                direct=self._claimed,
            )
            return self._answered() if outcome is Outcome.COMPLETED else Told(outcome, detail)
        error = work.exception() if work.done() and not work.cancelled() else None
        return self._failed(error)

    def _answered(self) -> Told:
        if self.ask.answer is None or self._result is None:
            return Told(Outcome.COMPLETED)
        try:
            return Told(Outcome.COMPLETED, answer=self.ask.answer.model_validate(self._result.structured_output))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return Told(Outcome.NO_ANSWER, f"the answer does not fit: {first['loc']}: {first['msg']}")

    def _failed(self, error: BaseException | None) -> Told:
        """No result at all."""
        said = " ".join(self.stderr[-5:])
        detail = f"{error or 'Claude Code ended without a result'} {said}".strip()
        if is_lost(detail, self.lease):
            return Told(Outcome.TRANSCRIPT_LOST, detail)
        if self.lease.refusal == "budget":
            return Told(Outcome.MAX_COST, "the budget of this call is spent")
        if not self._begun and (error is None or isinstance(error, ClaudeSDKError | OSError)):
            return Told(Outcome.ENGINE_BROKEN, detail)
        return Told(Outcome.CRASHED, detail)
