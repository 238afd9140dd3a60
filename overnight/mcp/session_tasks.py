"""Sessions as tasks of MCP: the session's id is the task's, and all that a task is is read from Temporal anew.

What a client does with a status decides which one a session gets:

- queued, running and waiting_limit are ``working``: it goes on by itself, and nobody need do anything.
- waiting_approval is ``input_required``, and so is a pause that no person asked for: clients open a dialog, and a
  session that a limit holds up is not taken for one that works all night.
- A pause that a person asked for is ``working``: they know how it goes on, and a dialog would only nag them.
- A failed session is a ``completed`` task whose result is an error. ``failed`` is for faults of the engine, as the
  extension wants it: a session that was ended in Temporal, and cannot say how it ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, CallToolRequestParams, CallToolResult, TextContent
from pydantic import ValidationError

from overnight.base.patience import at_most
from overnight.client import Sessions
from overnight.errors import SessionClosedError, SessionError, UnknownSessionError, UnreachableError
from overnight.mcp.answers import status_answer
from overnight.mcp.engine import Engine
from overnight.mcp.looking import report_of
from overnight.mcp.questions import Question, decide, named, pending
from overnight.mcp.server import ANSWER_SECONDS, LAST_SECONDS
from overnight.mcp.tasks import (
    RequestContext,
    Task,
    TaskStatus,
    TaskStore,
    UnknownTaskError,
    can_ask,
    client_name,
    read_answer,
)
from overnight.mcp.telling import in_words
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

STARTERS = frozenset({"claude_autonomous"})
"""Tools whose calls become tasks."""

WORKING_MS = 5_000
_LATER = "The task is not affected: ask again later"
RESTING_MS = 15_000
"""When to ask again about a session that waits for something that takes minutes."""


class SessionTasks(TaskStore):
    """The sessions of the engine that a server has."""

    async def begin(
        self, ctx: RequestContext, params: CallToolRequestParams, call_next: CallNext
    ) -> Task | HandlerResult:
        """Start the session, which is in Temporal then; any other call, and one that was refused, is no task."""
        if params.name not in STARTERS:
            return await call_next(ctx)
        with at_most(ANSWER_SECONDS):
            result = await call_next(ctx)
            if not isinstance(result, CallToolResult) or result.is_error:
                return result
            session_id = str((result.structured_content or {})["session_id"])
            try:
                return await self.get(ctx, session_id)
            except MCPError:  # it is there; that it cannot be looked at now must not start another one
                now = datetime.now(UTC)
                return Task(task_id=session_id, status="working", created_at=now, last_updated_at=now)

    async def get(self, ctx: RequestContext, task_id: str) -> Task:
        """The session as it stands."""
        async with _sessions(ctx, acting=False) as sessions:
            known = await sessions.status(task_id)
            question = await _question(ctx, sessions, known)
            return await _task(sessions, known, question)

    async def answer(self, ctx: RequestContext, task_id: str, responses: Mapping[str, Any]) -> None:
        """What a person said in the client's dialog; closing it changes nothing."""
        async with _sessions(ctx) as sessions:
            known = await sessions.status(task_id)
            if responses and known.worker == "offline" and not known.status.is_final:
                raise MCPError(
                    INTERNAL_ERROR,
                    "No worker answers now, and without one no answer is taken: nothing changed. Answer again later",
                )
            question = await pending(sessions, known) if can_ask(ctx) else None
            if question is None or question.request not in responses:
                return
            said = read_answer(responses[question.request])
            if said.action != "accept":
                return
            try:
                answer = question.form.model_validate(said.content)
            except ValidationError:
                raise MCPError(INVALID_PARAMS, f"{question.request}: what was answered does not fit the form") from None
            await decide(sessions, question, answer, client_name(ctx))

    async def cancel(self, ctx: RequestContext, task_id: str) -> None:
        """End the session; its work stays on its branch."""
        async with _sessions(ctx) as sessions:
            await sessions.cancel(task_id, reason=f"cancelled by {named(client_name(ctx))}")


@asynccontextmanager
async def _sessions(ctx: RequestContext, *, acting: bool = True) -> AsyncIterator[Sessions]:
    """The sessions, for one request: bounded in time, its errors those of the protocol."""
    engine: Engine = ctx.lifespan_context
    try:
        with at_most(ANSWER_SECONDS):
            async with asyncio.timeout(LAST_SECONDS):
                yield await (engine.acting() if acting else engine.sessions())
    except UnknownSessionError:
        raise UnknownTaskError from None
    except SessionClosedError:
        return  # it ended meanwhile: there is nothing to answer or to cancel any more
    except TimeoutError:
        raise MCPError(INTERNAL_ERROR, f"Temporal or this machine is very busy. {_LATER}") from None
    except UnreachableError as error:
        raise MCPError(INTERNAL_ERROR, f"{in_words(error).rstrip('.')}. {_LATER}") from None
    except SessionError as error:
        raise MCPError(INVALID_PARAMS, in_words(error)) from None


async def _question(ctx: RequestContext, sessions: Sessions, known: SessionStatus) -> Question | None:
    """What is to be asked through this client; nothing when it cannot ask, or when no worker tells what."""
    if not can_ask(ctx):
        return None
    try:
        return await pending(sessions, known)
    except UnreachableError:
        return None


async def _task(sessions: Sessions, known: SessionStatus, question: Question | None) -> Task:
    created = known.started_at or known.updated_at or datetime.now(UTC)
    updated = known.updated_at or created
    task = Task(
        task_id=known.session_id,
        status=_status(known, question),
        status_message=_message(known),
        created_at=created,
        last_updated_at=updated,
        poll_interval_ms=RESTING_MS if known.status in _RESTING else WORKING_MS,
    )
    if known.status.is_final and (kept := await _kept(sessions)) is not None:
        task.ttl_ms = int(((updated - created).total_seconds() + kept) * 1_000)
    match task.status:
        case "input_required" if question is not None:
            task.input_requests = {question.request: question.rendered()}
        case "completed":
            task.result = await _result(sessions, known)
        case "failed":
            task.error = {"code": INTERNAL_ERROR, "message": f"{known.reason}: {known.next}"}
    return task


_RESTING = frozenset({Status.PAUSED, Status.WAITING_LIMIT})
_ENDED_BY_TEMPORAL = " in Temporal"


def _status(known: SessionStatus, question: Question | None) -> TaskStatus:
    match known.status:
        case Status.CANCELLED:
            return "cancelled"
        case Status.FAILED if known.reason.endswith(_ENDED_BY_TEMPORAL):
            return "failed"
        case Status.COMPLETED | Status.FAILED:
            return "completed"
    return "input_required" if question is not None else "working"


def _message(known: SessionStatus) -> str:
    """Where it stands, in one line and in our words; what waits for a person comes first."""
    away = "worker offline; last seen: " if known.worker == "offline" else ""
    where = f"{known.status.value}, {known.phase}, iteration {known.iteration}, {known.progress} %"
    spent = f", ${known.cost_usd:.2f}" if known.cost_usd else ""
    if known.status in {Status.RUNNING, Status.QUEUED}:
        return f"{away}{where}{spent}"
    return f"{away}{known.status.value}: {known.reason}{spent}" if known.reason else f"{away}{where}{spent}"


async def _kept(sessions: Sessions) -> float | None:
    try:
        return await sessions.kept_seconds()
    except UnreachableError:
        return None


async def _result(sessions: Sessions, known: SessionStatus) -> dict[str, Any]:
    """What the call would have come to, had it lasted until the session's end."""
    answer = status_answer(known, report=await report_of(sessions, known), full=True).model_dump(mode="json")
    result = CallToolResult(
        content=[TextContent(type="text", text=json.dumps(answer, ensure_ascii=False, indent=2))],
        structured_content=answer,
        is_error=known.status is Status.FAILED,
    )
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)
