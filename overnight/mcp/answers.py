"""What the tools answer: bounded, with the session's id and status, and in ``next`` what to do about it and when."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from overnight.client import Accepted
from overnight.hints import AS_ARGUMENTS, hint_of_event, hint_of_result
from overnight.mcp.advice import advice
from overnight.mcp.arguments import State
from overnight.mcp.choosing import Choice, level_of
from overnight.mcp.questions import Question
from overnight.mcp.telling import at_a_terminal
from overnight.searching import Found
from overnight.started import Started as Began
from workflows.contracts.outcome import Usage
from workflows.contracts.status import Events, SessionStatus
from workflows.policy.advice import line as knowledge_line
from workflows.policy.words import plainly

MAX_CHARACTERS = 40_000
"""Of one result, as indented JSON: some clients put what is longer out of the model's sight."""
REPORT_ROOM = 10_000
"""What the output of tests leaves to the report, at least."""
LISTED_GOAL = 120
NOTE = 80


class Answer(BaseModel):
    session_id: str
    status: State
    next: str


class Summary(Answer):
    """A session at a glance."""

    reason: str
    phase: str
    goal: str
    iteration: int
    max_iterations: int
    progress: int
    cost_usd: float
    last_error: str
    worker: str


class Started(Summary):
    existed: bool
    max_cost_usd: float
    max_time_minutes: float
    sandbox: str
    branch: str
    monitor_url: str
    notice: str


class TestCounts(BaseModel):
    __test__ = False

    source: str
    """Where the counts come from: a ``junit``, ``ctrf`` or ``json`` report, printed ``text``, or the ``exit`` code."""
    passed: int
    failed: int
    skipped: int
    failing: list[str]
    """The first that failed."""


class TestLine(BaseModel):
    __test__ = False

    criterion: str
    command: str
    passed: bool
    exit_code: int | None
    timed_out: bool
    rate: float
    tally: TestCounts
    no_tests: bool
    """It ended well, but no test was seen to run."""
    tail: str
    hint: str = ""
    """What the way it failed calls for beyond the project; empty when nothing."""


class HeldOutLine(BaseModel):
    """The checks that the agent never sees."""

    command: str
    passed: bool
    exit_code: int | None
    timed_out: bool
    note: str


class ErrorLine(BaseModel):
    iteration: int
    phase: str
    kind: str
    text: str


class StepLine(BaseModel):
    id: str
    title: str
    status: str
    note: str = ""


class ApprovalLine(BaseModel):
    """What waits for a person."""

    request: str
    what: str
    since: datetime
    until: datetime | None
    then: str | None


class GuidanceLine(BaseModel):
    id: str
    text: str
    state: str
    iteration: int | None


class SessionAnswer(Summary):
    """All that is known of a session; what only ``detail=full`` shows comes last."""

    progress_basis: str
    errors: int
    validation_status: dict[str, bool]
    test_results: list[TestLine]
    held_out: HeldOutLine | None = None
    success_rate: float
    max_cost_usd: float
    max_tokens: int | None
    tokens: int
    elapsed_minutes: float
    max_time_minutes: float
    estimated_completion: datetime | None
    estimate_basis: str
    waiting_until: datetime | None
    approval: ApprovalLine | None
    steps: list[StepLine]
    strategy: str
    recovery: str
    guidance: list[GuidanceLine]
    knowledge: list[str]
    sandbox: str
    branch: str
    commit: str | None
    summary: str
    started_at: datetime | None
    updated_at: datetime | None
    monitor_url: str
    trace_id: str
    error_log: list[ErrorLine] = []
    usage: Usage | None = None
    report: str = ""
    truncated: bool = False


class Waited(Answer):
    """``session_id`` and ``status`` are those of the session that ended the wait, else of the first."""

    timed_out: bool
    waited_seconds: float
    cursor: str
    sessions: list[Summary]


class Row(BaseModel):
    session_id: str
    status: State
    reason: str
    goal: str
    iteration: int
    progress: int
    cost_usd: float
    started_at: datetime | None


class Listed(BaseModel):
    sessions: list[Row]
    total: int | None
    next_cursor: str | None
    truncated: bool
    next: str


class Receipt(Answer):
    accepted: bool
    guidance_id: str | None = None
    reason: str


class Decided(Answer):
    """What a person said to a question of a session, if they said anything."""

    request_id: str
    answered: bool
    decision: str
    reason: str


class EventLine(BaseModel):
    seq: int
    time: datetime
    kind: str
    level: str
    text: str
    hint: str = ""
    """What opens what was blocked, or raises the limit that was hit; empty when nothing."""


class EventsAnswer(Answer):
    events: list[EventLine]
    next_after: int
    more: bool
    left_out: int
    """Older ones that fit, too: ``tail`` shows the newest."""
    forgotten: int


class FileChange(BaseModel):
    path: str
    status: str
    added: int | None
    removed: int | None


class Diff(Answer):
    branch: str
    files: list[FileChange]
    total_files: int
    patch: str
    truncated: bool
    next_cursor: str | None


def summary(known: SessionStatus) -> Summary:
    """A session at a glance."""
    return Summary(**_common(known, Summary))


def started(known: Began, notice: str) -> Started:
    """A session that was started, now or by an earlier call with the same id."""
    there = "It was there already under this session_id: nothing was started, and it keeps its own arguments."
    told = [there if known.existed else "", f"WARNING: {known.warning}." if known.warning else "", notice]
    told += [f"{note}." for note in known.notes]
    return Started(**{**_common(known, Started), "notice": " ".join(part for part in told if part)})


def status_answer(known: SessionStatus, *, report: str | None = None, full: bool = False) -> SessionAnswer:
    """A session's status; ``full`` with all there is, the report in what room is left."""
    values = _common(known, SessionAnswer)
    if not full:
        values |= {"error_log": [], "usage": None}
        values["test_results"] = [{**ran, "tail": ""} for ran in values["test_results"]]
        return SessionAnswer(**values)
    answer = SessionAnswer(**values)
    for keep in (400, 100, 0):
        if size(answer) <= MAX_CHARACTERS - REPORT_ROOM:
            break
        tails = [ran.model_copy(update={"tail": ran.tail[-keep:] if keep else ""}) for ran in answer.test_results]
        answer = answer.model_copy(update={"test_results": tails, "truncated": True})
    return _with_report(answer, report or "", MAX_CHARACTERS)


def waited(
    known: list[SessionStatus], through: SessionStatus | None, seconds: float, cursor: str, most: float | None = None
) -> Waited:
    """How a wait ended; ``through`` is the session that ended it, ``most`` the server's limit where that ended it."""
    chosen = through or known[0]
    then = advice(chosen)
    if through is None:
        limit = f" (this server waits {most:g} s at most)" if most is not None else ""
        then = f"Time ran out{limit}, nothing else happened; the sessions work on. {then}"
    elif len(known) > 1:
        then = f"{then} To wait for the others, give this cursor as after."
    return Waited(
        session_id=chosen.session_id,
        status=chosen.status.value,
        next=then,
        timed_out=through is None,
        waited_seconds=round(seconds, 1),
        cursor=cursor,
        sessions=[summary(one) for one in known],
    )


def listed(found: Found) -> Listed:
    """The newest sessions; its cursor leads to older ones."""
    rows = [
        Row(**{**_common(one, Row), "goal": _shortened(one.goal, LISTED_GOAL), "reason": _shortened(one.reason, 120)})
        for one in found.sessions
    ]
    cursor = found.cursor
    then = "Details of one: claude_autonomous_status." if rows else "None yet: claude_autonomous starts one."
    if cursor is not None:
        more = "There are more" if rows else "None among those looked at; there are more"
        then = f"{more}: call again with cursor=next_cursor. {then if rows else ''}".rstrip()
    return Listed(sessions=rows, total=found.total, next_cursor=cursor, truncated=cursor is not None, next=then)


def decided(known: SessionStatus, question: Question, decision: str | None) -> Decided:
    """What a person said, None when they closed the dialog, and how the session stands now."""
    how = f"{at_a_terminal()}: {question.terminal}"
    nothing = f"The person did not answer, and nothing was changed. They still can, {how}."
    return Decided(
        session_id=known.session_id,
        status=known.status.value,
        request_id=question.request,
        answered=decision is not None,
        decision=decision or "none",
        reason=known.reason,
        next=advice(known) if decision is not None else nothing,
    )


def receipt(sent: Accepted, known: SessionStatus) -> Receipt:
    """A message that was sent, and how the session stands now."""
    return Receipt(
        session_id=known.session_id,
        status=known.status.value,
        accepted=sent.accepted,
        guidance_id=sent.guidance_id,
        reason=known.reason,
        next=f"{sent.next} {advice(known)}" if sent.accepted else sent.next,
    )


def events_answer(known: SessionStatus, found: Events, choice: Choice) -> EventsAnswer:
    """The events that were asked for, and where to go on."""
    fits = [event for event in found.events if choice.fits(event)]
    shown = fits[-choice.limit :] if choice.tail else fits[: choice.limit]
    more = len(shown) < len(fits) and not choice.tail
    last = shown[-1].seq if more else max(choice.after, found.last_seq)
    return EventsAnswer(
        session_id=known.session_id,
        status=known.status.value,
        events=[EventLine(**e.model_dump(), level=level_of(e), hint=hint_of_event(e, AS_ARGUMENTS)) for e in shown],
        next_after=last,
        more=more,
        left_out=len(fits) - len(shown) if choice.tail else 0,
        forgotten=max(0, found.first_seq - choice.after - 1) if found.first_seq else 0,
        next=f"There are more: call again with after={last}." if more else advice(known),
    )


def _with_report(answer: SessionAnswer, text: str, limit: int) -> SessionAnswer:
    """``answer`` with as much of the report as keeps it within ``limit`` characters."""
    whole = answer.model_copy(update={"report": text})
    if size(whole) <= limit:
        return whole

    def cut(length: int) -> SessionAnswer:
        return answer.model_copy(update={"report": f"{text[:length]}\n… (cut)", "truncated": True})

    return cut(bisect_right(range(1, len(text)), limit, key=lambda length: size(cut(length))))


def _common(known: SessionStatus, answer: type[BaseModel]) -> dict[str, Any]:
    told = known.model_dump()
    values = {name: told[name] for name in answer.model_fields if name in told}
    if "sandbox" in values:
        values["sandbox"] = plainly(known.sandbox)
    if "estimate_basis" in answer.model_fields:
        values["estimate_basis"] = known.estimate.basis
    if "steps" in values:
        values["steps"] = [{**step, "note": _shortened(step["note"], NOTE)} for step in values["steps"]]
    if "knowledge" in values:
        values["knowledge"] = [knowledge_line(used) for used in known.knowledge]
    if "test_results" in values:
        values["test_results"] = [{**ran.model_dump(), "hint": hint_of_result(ran)} for ran in known.test_results]
    return {**values, "status": known.status.value, "next": advice(known)}


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def size(answer: BaseModel) -> int:
    """Characters of an answer as a model gets it."""
    return len(answer.model_dump_json(indent=2))
