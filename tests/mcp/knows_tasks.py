"""A client that knows tasks: what it says on the wire, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from mcp import Client, MCPError
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict

from overnight.mcp.tasks import IDENTIFIER
from tests.mcp.conftest import patiently


class Wire(Result):
    """A result with whatever fields it has."""

    model_config = ConfigDict(extra="allow")


class TaskResult(Wire):
    result_type: Literal["task"] = "task"


class TaskParams(RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


class TaskRequest(Request[TaskParams, str]):
    name_param = "taskId"


async def _as_it_came(task: TaskResult, _: ClaimContext) -> CallToolResult:
    promised = {"session_id": "", "status": "", "next": ""}  # what the SDK looks for in a result of this tool
    return CallToolResult(content=[], structured_content={**promised, "task": plain(task)})


class KnowsTasks(ClientExtension):
    """Declares the extension, and hands the task over as it came."""

    identifier = IDENTIFIER

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=TaskResult, resolve=_as_it_came)]


def plain(result: Result) -> dict[str, Any]:
    told = result.model_dump(by_alias=True, mode="json")
    return {key: value for key, value in told.items() if key not in {"_meta", "resultType"}}


async def begun(client: Client, **arguments: Any) -> dict[str, Any]:
    """The task that a start became."""
    result = await patiently(client, "claude_autonomous", arguments)
    assert not result.is_error, result
    assert result.structured_content is not None
    task = result.structured_content["task"]
    assert isinstance(task, dict)
    return task


async def ask(client: Client, method: str, task_id: str, answers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a request about a task comes to; a machine too busy to say is asked again."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await _said(client, method, task_id, answers)
            except MCPError as error:
                if "The task is not affected: ask again later" not in str(error):
                    raise
            await asyncio.sleep(0.1)


async def told_no(client: Client, method: str, task_id: str, answers: Mapping[str, Any] | None = None) -> str:
    """What a request about a task that must fail is told."""
    with pytest.raises(MCPError) as raised:
        await _said(client, method, task_id, answers)
    return str(raised.value)


async def get_until(client: Client, task_id: str, *statuses: str, seconds: float = 120) -> dict[str, Any]:
    """The task as soon as it has one of these statuses."""
    async with asyncio.timeout(seconds):
        while (task := await ask(client, "tasks/get", task_id))["status"] not in statuses:
            await asyncio.sleep(0.1)
    return task


async def _said(client: Client, method: str, task_id: str, answers: Mapping[str, Any] | None) -> dict[str, Any]:
    params = TaskParams(task_id=task_id, input_responses=dict(answers) if answers is not None else None)
    return plain(await client.session.send_request(TaskRequest(method=method, params=params), Wire))
