"""The Tasks extension of MCP: a call that becomes a task is polled, answered and cancelled by the task's id.

Nothing is kept here. Where tasks live, and what they are, is a ``TaskStore``'s to know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.types import INVALID_PARAMS, CallToolRequestParams, ElicitResult, RequestParams
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

IDENTIFIER = "io.modelcontextprotocol/tasks"
VERSIONS = frozenset({"2026-07-28"})
"""Revisions of the protocol in which the extension is defined."""
HEADER_MISMATCH = -32020

TaskStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]
RequestContext: TypeAlias = ServerRequestContext[Any, Any]

_OF_DETAILS = {"result", "error", "input_requests"}


class Task(BaseModel):
    """A task as clients see it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    task_id: str
    status: TaskStatus
    status_message: str = ""
    """What it does now, or waits for: for people."""
    created_at: AwareDatetime
    last_updated_at: AwareDatetime
    ttl_ms: int | None = Field(default=None, gt=0)
    """How long it is kept, from its creation on; None when no end is known."""
    poll_interval_ms: int = Field(default=5_000, gt=0)
    """When to ask again."""
    result: dict[str, Any] | None = None
    """Of a completed one: the result of the call, as it would have been without a task."""
    error: dict[str, Any] | None = None
    """Of a failed one: a JSON-RPC error."""
    input_requests: dict[str, Any] | None = None
    """What is to be answered before it goes on; a key stands for one question for ever."""

    def head(self) -> dict[str, Any]:
        """The task on the wire, as the answer to the call that became it."""
        return self._wire(exclude=_OF_DETAILS)

    def details(self) -> dict[str, Any]:
        """The task on the wire, with its result, its error or its questions."""
        return self._wire(exclude={name for name in _OF_DETAILS if getattr(self, name) is None})

    def _wire(self, exclude: set[str]) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude=exclude)


class UnknownTaskError(Exception):
    """No task has this id, or none that the caller may know of."""


class TaskStore(ABC):
    """Where tasks live. Every method may raise ``UnknownTaskError`` or ``MCPError``."""

    @abstractmethod
    async def begin(
        self, ctx: RequestContext, params: CallToolRequestParams, call_next: CallNext
    ) -> Task | str | HandlerResult:
        """The task that a tool call became, or its id: from now on it can be got. Or the call's own result."""

    @abstractmethod
    async def get(self, ctx: RequestContext, task_id: str) -> Task:
        """The task as it is now."""

    @abstractmethod
    async def answer(self, ctx: RequestContext, task_id: str, responses: Mapping[str, Any]) -> None:
        """Answers to its questions, by key, for ``read_answer``.

        Those that nobody asks (any more) change nothing, and are not even read: they may have any shape.
        """

    @abstractmethod
    async def cancel(self, ctx: RequestContext, task_id: str) -> None:
        """End it; one that has ended stays as it is."""


class TaskParams(RequestParams):
    task_id: str


class UpdateParams(TaskParams):
    input_responses: dict[str, Any] = {}


class Tasks(Extension):
    """The extension, over any store."""

    identifier = IDENTIFIER

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    def methods(self) -> list[MethodBinding]:
        """What clients may ask of a task."""
        return [
            MethodBinding("tasks/get", TaskParams, self._get, VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, VERSIONS),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: RequestContext, call_next: CallNext
    ) -> HandlerResult:
        """A task for those calls that become one, to clients that know tasks; to all others the call's own result."""
        if ctx.protocol_version not in VERSIONS or not _declared(ctx):
            return await call_next(ctx)
        begun = await self._store.begin(ctx, params, call_next)
        task = await self._store.get(ctx, begun) if isinstance(begun, str) else begun
        return {"resultType": "task", **task.head()} if isinstance(task, Task) else task

    async def _get(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        _check(ctx, params)
        try:
            task = await self._store.get(ctx, params.task_id)
        except UnknownTaskError:
            raise _unknown("retrieve") from None
        return _complete(task.details())

    async def _update(self, ctx: RequestContext, params: UpdateParams) -> HandlerResult:
        _check(ctx, params)
        try:
            await self._store.answer(ctx, params.task_id, params.input_responses)
        except UnknownTaskError:
            raise _unknown("update") from None
        return _complete({})

    async def _cancel(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        _check(ctx, params)
        try:
            await self._store.cancel(ctx, params.task_id)
        except UnknownTaskError:
            raise _unknown("cancel") from None
        return _complete({})


def can_ask(ctx: RequestContext) -> bool:
    """Whether the client can put a form to a person; one that names no kind of question means forms."""
    capabilities = ctx.session.client_capabilities
    asked = capabilities.elicitation if capabilities is not None else None
    return asked is not None and (asked.form is not None or asked.url is None)


def client_name(ctx: RequestContext) -> str:
    """What the client calls itself; its own words, for the record."""
    params = ctx.session.client_params
    return params.client_info.name if params is not None else "an MCP client"


def read_answer(response: Any) -> ElicitResult:
    """What a person said. Raises ``MCPError`` for what is no answer."""
    try:
        return ElicitResult.model_validate(response)
    except ValidationError:
        raise MCPError(INVALID_PARAMS, "inputResponses: each is an elicitation's result: action, content") from None


def _declared(ctx: RequestContext) -> bool:
    capabilities = ctx.session.client_capabilities
    return bool(capabilities and capabilities.extensions and IDENTIFIER in capabilities.extensions)


def _check(ctx: RequestContext, params: TaskParams) -> None:
    """Raises ``MCPError`` for clients that did not declare the extension, and for a header that names another task."""
    require_client_extension(ctx, IDENTIFIER)
    headers = getattr(ctx.request, "headers", None)
    if headers is not None and headers.get("mcp-name") != params.task_id:
        raise MCPError(HEADER_MISMATCH, "Mcp-Name header does not match params.taskId")


def _unknown(verb: str) -> MCPError:
    return MCPError(INVALID_PARAMS, f"Failed to {verb} task: Task not found")


def _complete(fields: dict[str, Any]) -> dict[str, Any]:
    return {"resultType": "complete", **fields}
