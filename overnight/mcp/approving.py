"""The tool that puts a question of a session to a person. What they say is never an argument: no model can say it."""

from __future__ import annotations

from typing import Annotated, cast

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import AcceptedElicitation, Elicit, Resolve
from pydantic import BaseModel

from overnight.base.patience import at_most
from overnight.errors import InvalidRequestError
from overnight.mcp import answers
from overnight.mcp import arguments as a
from overnight.mcp.advice import advice
from overnight.mcp.answers import Decided
from overnight.mcp.context import Ctx, engine_of
from overnight.mcp.questions import Form, GoOn, Question, decide, pending
from overnight.mcp.server import ANSWER_SECONDS
from overnight.mcp.tasks import can_ask, client_name
from overnight.mcp.telling import at_a_terminal


async def asked(ctx: Ctx, session_id: str, request_id: str | None) -> Question:
    """What the session asks of a person now. Raises ``InvalidRequestError`` when nothing, or not that."""
    with at_most(ANSWER_SECONDS):
        sessions = await engine_of(ctx).acting()
        known = await sessions.status(session_id)
        if known.worker == "offline":
            raise InvalidRequestError(f"the worker is offline, so {session_id} can take no answer. {advice(known)}")
        question = await pending(sessions, known)
    if question is None or question.form is GoOn:
        raise InvalidRequestError(
            f"{session_id} waits for no approval now: it is {known.status.value}. {advice(known)}"
        )
    if request_id not in (None, question.request):
        raise InvalidRequestError(
            f"request_id: {request_id[:80]!r} does not wait for an answer; what waits is {question.request}"
        )
    if not can_ask(ctx.request_context):
        raise InvalidRequestError(
            f"only a person may answer {question.request}, and this client cannot ask one. Tell them to answer"
            f" {at_a_terminal()}: {question.terminal}"
        )
    return question


def put(question: Annotated[Question, Resolve(asked)]) -> Elicit[BaseModel]:
    """The question as the person sees it: the same one each time that the client comes back to it."""
    return Elicit(question.message, question.form)


async def claude_autonomous_approve(
    ctx: Ctx,
    session_id: a.SessionId,
    question: Annotated[Question, Resolve(asked)],
    said: Annotated[ElicitationResult[BaseModel], Resolve(put)],
    request_id: a.RequestId = None,
) -> Decided:
    """Ask the person, in a dialog of this client, what a session waits for: a plan, an iteration or a higher limit.

    Only they decide. Where no dialog is possible, the answer says what they can type at a terminal.
    """
    with at_most(ANSWER_SECONDS):
        sessions = await engine_of(ctx).acting()
        if not isinstance(said, AcceptedElicitation):
            return answers.decided(await sessions.status(session_id), question, None)
        told = cast("Form", said.data)  # of the form that was put
        decision = await decide(sessions, question, told, client_name(ctx.request_context))
        return answers.decided(await sessions.status(session_id), question, decision)
