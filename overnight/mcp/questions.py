"""What a session asks of a person: the question, the form, and what the answer does. A model never answers one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from mcp.server.elicitation import render_elicitation_schema
from mcp.types import ElicitRequestFormParams
from pydantic import BaseModel, Field

from overnight.approvals import whoami
from overnight.client import Sessions
from overnight.errors import InvalidRequestError
from overnight.mcp import callers
from overnight.request import refuse_secrets
from workflows.contracts.approvals import Approval, PlanView
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.plan import Step, StepStatus
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus
from workflows.contracts.text import clip, printable
from workflows.policy.inbox import BY_PERSON, LIMIT
from workflows.policy.record import one_line

MESSAGE_BYTES = 6_000
STEP_BYTES = 400
NAME_BYTES = 40
NO_REASON = "The person rejected it and gave no reason: find another way."
"""What the session is told then. A rejection counts with or without one."""
PAUSED = "paused:"
"""How the event of a pause begins that no person asked for."""
UNNUMBERED = "pause-0"
"""A pause so long ago, by events, that its own is forgotten."""

Reason = Field(
    default="", max_length=1_000, title="Reason", description="What is to be different; needed for a rejection only."
)


class Verdict(BaseModel):
    """The form of an approval."""

    decision: Literal["approve", "reject"] = Field(title="Decision")
    reason: str = Reason


class MoreMoney(BaseModel):
    """The form of a spent budget."""

    max_cost_usd: float = Field(ge=0.01, le=100_000, title="New budget in USD", description="For the whole session.")


class MoreTokens(BaseModel):
    """The form of a spent budget of tokens."""

    max_tokens: int = Field(ge=1_000, le=1_000_000_000_000, title="New limit", description="Tokens, of all kinds.")


class MoreTime(BaseModel):
    """The form of a spent time."""

    max_time_minutes: float = Field(ge=1, le=100_000, title="New limit", description="Active minutes in all.")


class MoreIterations(BaseModel):
    """The form of spent iterations."""

    max_iterations: int = Field(ge=1, le=10_000, title="New limit", description="Iterations in all.")


class MoreOfEither(BaseModel):
    """The form of a budget of which too little is left, where there are two."""

    max_cost_usd: float | None = Field(default=None, ge=0.01, le=100_000, title="New budget in USD")
    max_tokens: int | None = Field(default=None, ge=1_000, le=1_000_000_000_000, title="New limit of tokens")


class GoOn(BaseModel):
    """The form of a pause that nobody asked for."""

    decision: Literal["resume", "end"] = Field(title="Decision", description="Ending it keeps the work.")
    guidance: str = Field(default="", max_length=1_000, title="Guidance", description="What to do differently, if any.")


More: TypeAlias = MoreMoney | MoreTokens | MoreTime | MoreIterations | MoreOfEither
Form: TypeAlias = Verdict | More | GoOn
_RAISED: dict[str, type[More]] = {
    "cost": MoreMoney,
    "tokens": MoreTokens,
    "time": MoreTime,
    "iterations": MoreIterations,
    "budget": MoreOfEither,
}


@dataclass(frozen=True)
class Question:
    """Something that only a person may answer."""

    session_id: str
    request: str
    """Names it for ever: a late answer counts for nothing else."""
    message: str
    form: type[Form]
    terminal: str
    """How it is answered at a terminal."""

    def rendered(self) -> dict[str, object]:
        """The question as a client is asked it."""
        asked = ElicitRequestFormParams(message=self.message, requested_schema=render_elicitation_schema(self.form))
        return {"method": "elicitation/create", "params": asked.model_dump(by_alias=True, exclude_none=True)}


async def pending(sessions: Sessions, known: SessionStatus) -> Question | None:
    """What the session asks of a person now; None when nothing, or when no worker could take the answer.

    A pause that a person asked for is no question: whoever paused it knows how it goes on.
    """
    if known.worker == "offline" or known.status.is_final:
        return None
    if known.approval is not None:
        return _approval(known, known.approval, await sessions.approvals.plan(known.session_id))
    if known.status is not Status.PAUSED or known.reason.startswith(BY_PERSON):
        return None
    return _pause(known, await _pause_number(sessions, known.session_id))


async def decide(sessions: Sessions, question: Question, answer: Form, client: str) -> str:
    """Do what the person said; returns that in a few words.

    Raises ``InvalidRequestError`` when the question does not stand any more, or the answer cannot be taken.
    """
    person = callers.current().reach.owner or whoami()
    sid, by = question.session_id, f"{person}, asked by {named(client)}"
    if isinstance(answer, Verdict):
        try:
            return await _judged(sessions, question, answer, by)
        except InvalidRequestError:
            # The session's own no also says what waits now, and what an agent calls that is not for the model.
            await _still_stands(sessions, question)
            raise
    known = await _still_stands(sessions, question)
    if not isinstance(answer, GoOn):
        await sessions.raise_limits(sid, _raised(known, answer, question.request))
        return "raised"
    if answer.decision == "end":
        await sessions.cancel(sid, reason=f"ended by {by}")
        return "ended"
    if guidance := answer.guidance.strip():
        await sessions.steer(sid, guidance)
    await sessions.resume(sid, reason=f"by {by}")
    return "resumed"


async def _judged(sessions: Sessions, question: Question, answer: Verdict, by: str) -> str:
    if answer.decision == "approve":
        await sessions.approvals.approve(question.session_id, question.request, by=by)
        return "approved"
    reason = answer.reason.strip() or NO_REASON
    await sessions.approvals.reject(question.session_id, question.request, reason=reason, by=by)
    return "rejected"


async def _still_stands(sessions: Sessions, question: Question) -> SessionStatus:
    """How the session stands. Raises ``InvalidRequestError`` when it does not ask this any more."""
    known = await sessions.status(question.session_id)
    now = await pending(sessions, known)
    if now is None or now.request != question.request:
        raise InvalidRequestError(f"{question.request} waits for no answer any more; nothing was changed")
    return known


def named(client: str) -> str:
    """What a client calls itself, in one short line for the record; nothing is refused for it."""
    name = one_line(printable(client), NAME_BYTES)
    try:
        refuse_secrets("client", name)
    except InvalidRequestError:
        return "an MCP client"
    return name or "an MCP client"


def _raised(known: SessionStatus, answer: More, request: str) -> RaiseLimits:
    """The limits as a person wants them. Raises ``InvalidRequestError`` for one that is no higher than it was."""
    wanted = answer.model_dump(exclude_none=True)
    if not wanted:
        raise InvalidRequestError("no limit was named; nothing was changed")
    for name, value in wanted.items():
        if value <= (getattr(known, name) or 0):
            raise InvalidRequestError(f"{name}: {value:g} is no more than there is; nothing was changed")
    return RaiseLimits(id=request if request != UNNUMBERED else None, **wanted)


def _approval(known: SessionStatus, waits: Approval, plan: PlanView) -> Question:
    sid = known.session_id
    # Clients show the first two lines at once, and the others when asked: what is approved comes first.
    if waits.subject == "plan":
        titles = "; ".join(f"{n}. {step.title}" for n, step in enumerate(_to_do(plan), 1))
        lines = [f"Approve the plan of {sid}? {titles or 'It has no steps.'}"]
        details = _plan(plan)
    else:
        lines = [f"Overnight session {sid} waits for your approval of {waits.request}: {waits.what}"]
        details = _iteration(known)
    lines += [f"Goal: {known.goal}", "", *details]
    if waits.until is not None and waits.then is not None:
        by = f"{waits.until:%Y-%m-%d %H:%M} UTC"
        over = waits.then == "pause" and waits.until <= datetime.now(UTC)
        lines += [
            "",
            f"Nobody answered until {by}; approving or resuming goes on."
            if over
            else f"Without an answer by {by}: {waits.then}.",
        ]
    lines += ["", f"To change the plan itself, at a terminal: overnight approve {sid} {waits.request} --edit"]
    return Question(
        session_id=sid,
        request=waits.request,
        message=clip("\n".join(lines), MESSAGE_BYTES),
        form=Verdict,
        terminal=f"`overnight approve {sid} {waits.request}` or `overnight reject {sid} {waits.request}`",
    )


def _to_do(plan: PlanView) -> list[Step]:
    return [step for step in plan.steps if step.status is StepStatus.PENDING]


def _plan(plan: PlanView) -> list[str]:
    lines = [plan.summary, "", "Steps:"]
    lines += [f"{n}. {step.title}: {one_line(step.instructions, STEP_BYTES)}" for n, step in enumerate(_to_do(plan), 1)]
    lines += ["", "It is done when:"]
    return [*lines, *(f"- {c.description}{f' ({c.command})' if c.command else ''}" for c in plan.criteria)]


def _iteration(known: SessionStatus) -> list[str]:
    lines = [f"Spent: ${known.cost_usd:.2f} of ${known.max_cost_usd:.2f}. Branch: {known.branch}", "", "Criteria:"]
    lines += [f"- {name}: {'met' if met else 'not met'}" for name, met in known.validation_status.items()]
    lines += [f"- `{ran.command}` {'passed' if ran.passed else 'failed'}" for ran in known.test_results]
    return [*lines, "", f"The agent says: {known.summary}"] if known.summary else lines


def _pause(known: SessionStatus, number: int) -> Question:
    sid, request = known.session_id, f"pause-{number}"
    if known.reason.startswith(LIMIT):
        spent = known.reason.removeprefix(LIMIT).strip()
        return Question(
            session_id=sid,
            request=request,
            message=f"Overnight session {sid} is paused, since a limit is spent: {spent}. Goal: {known.goal}\n"
            "Raise the limit, and it goes on; leave this, and it stays paused.",
            form=_RAISED.get(spent.partition(":")[0], MoreOfEither),
            terminal=f"`overnight limits {sid}`",
        )
    return Question(
        session_id=sid,
        request=request,
        message=f"Overnight session {sid} is paused and needs a person: {known.reason}. Goal: {known.goal}",
        form=GoOn,
        terminal=f"`overnight resume {sid}`",
    )


async def _pause_number(sessions: Sessions, session_id: str) -> int:
    """The number of the event with which the session paused: no two pauses have the same."""
    found = await sessions.events(session_id)
    paused = [e.seq for e in found.events if e.kind == "limit" and e.text.startswith(PAUSED)]
    return paused[-1] if paused else 0
