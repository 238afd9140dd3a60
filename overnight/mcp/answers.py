"""What the tools answer: bounded, with the session's id and status, and in ``next`` what to do about it and when."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from overnight.client import Accepted
from overnight.client import Started as Began
from overnight.hints import AS_ARGUMENTS, hint_of_event, hint_of_result
from overnight.mcp.arguments import State
from workflows.contracts.outcome import Usage
from workflows.contracts.reads import DiffAnswer
from workflows.contracts.state import Event, Status
from workflows.contracts.status import Events, SessionStatus
from workflows.policy.inbox import LIMIT
from workflows.policy.words import plainly

MAX_CHARACTERS = 40_000
"""Of one result, as indented JSON: some clients put what is longer out of the model's sight."""
MAX_PATCH = 30_000
REPORT_ROOM = 10_000
"""What the output of tests leaves to the report, at least."""
LISTED_GOAL = 120


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


class TestLine(BaseModel):
    __test__ = False

    criterion: str
    command: str
    passed: bool
    exit_code: int | None
    timed_out: bool
    rate: float
    tail: str
    hint: str = ""
    """What the way it failed calls for beyond the project; empty when nothing."""


class ErrorLine(BaseModel):
    iteration: int
    phase: str
    kind: str
    text: str


class StepLine(BaseModel):
    id: str
    title: str
    status: str


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
    success_rate: float
    max_cost_usd: float
    max_tokens: int | None
    tokens: int
    elapsed_minutes: float
    max_time_minutes: float
    estimated_completion: datetime | None
    waiting_until: datetime | None
    steps: list[StepLine]
    strategy: str
    guidance: list[GuidanceLine]
    sandbox: str
    branch: str
    commit: str | None
    summary: str
    started_at: datetime | None
    updated_at: datetime | None
    monitor_url: str
    error_log: list[ErrorLine] = []
    usage: Usage | None = None
    report: str = ""
    truncated: bool = False


class Waited(Answer):
    """``session_id`` and ``status`` are those of the session that ended the wait, else of the first."""

    timed_out: bool
    waited_seconds: float
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
    truncated: bool
    next: str


class Receipt(Answer):
    accepted: bool
    guidance_id: str | None = None
    reason: str


class EventLine(BaseModel):
    seq: int
    time: datetime
    kind: str
    text: str
    hint: str = ""
    """What opens what was blocked, or raises the limit that was hit; empty when nothing."""


class EventsAnswer(Answer):
    events: list[EventLine]
    next_after: int
    more: bool
    forgotten: int


class FileChange(BaseModel):
    path: str
    status: str
    added: int | None
    removed: int | None


class Diff(Answer):
    branch: str
    files: list[FileChange]
    patch: str
    truncated: bool


def advice(known: SessionStatus) -> str:
    """What to do about a session, and when, in terms of the tools."""
    sid = known.session_id
    if known.worker == "offline":
        return (
            "No worker answers now; this is the last word in Temporal, and the session goes on when one is back. Look"
            " again in a minute; if it stays so, the person can run `overnight up`, then `overnight doctor`."
        )
    match known.status:
        case Status.COMPLETED:
            return (
                f"Done, on the branch {known.branch}: look at claude_autonomous_diff. The person takes it with"
                f" `overnight checkout {sid}`."
            )
        case Status.FAILED | Status.CANCELLED:
            return (
                f"Over ({known.reason}). What it did is on the branch {known.branch}; claude_autonomous_status with"
                " detail=full says what was tried. To go on, start a new session."
            )
        case Status.PAUSED if known.reason.startswith(LIMIT):
            return (
                f"A limit paused it. Only a person raises limits, at a terminal: `overnight limits {sid}`, after which"
                " it goes on by itself. Or end it with claude_autonomous_cancel."
            )
        case Status.PAUSED:
            return (
                "It waits for a person: claude_autonomous_steer with guidance if there is any, then"
                " claude_autonomous_control with action=resume; or claude_autonomous_cancel."
            )
        case Status.WAITING_APPROVAL:
            return "It waits for a person's approval, given at a terminal."
        case Status.WAITING_LIMIT:
            return "It waits by itself and goes on by itself: look again after waiting_until, not before."
        case _:
            return f"{known.next} claude_autonomous_wait tells when it ended or needs a person."


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
        if _size(answer) <= MAX_CHARACTERS - REPORT_ROOM:
            break
        tails = [ran.model_copy(update={"tail": ran.tail[-keep:] if keep else ""}) for ran in answer.test_results]
        answer = answer.model_copy(update={"test_results": tails, "truncated": True})
    return cut_text(answer, "report", report or "", MAX_CHARACTERS)


def waited(known: list[SessionStatus], through: SessionStatus | None, seconds: float) -> Waited:
    """How a wait ended; ``through`` is the session that ended it."""
    chosen = through or known[0]
    then = advice(chosen)
    if through is None:
        then = f"Time ran out, nothing else happened; the sessions work on. {then}"
    return Waited(
        session_id=chosen.session_id,
        status=chosen.status.value,
        next=then,
        timed_out=through is None,
        waited_seconds=round(seconds, 1),
        sessions=[summary(one) for one in known],
    )


def listed(known: list[SessionStatus], limit: int) -> Listed:
    """The newest sessions, as many as fit."""
    rows = [
        Row(**{**_common(one, Row), "goal": _shortened(one.goal, LISTED_GOAL), "reason": _shortened(one.reason, 120)})
        for one in known
    ]
    then = "Details of one: claude_autonomous_status." if rows else "None yet: claude_autonomous starts one."
    answer = Listed(sessions=rows, truncated=False, next=then)
    while _size(answer) > MAX_CHARACTERS:
        answer = answer.model_copy(update={"sessions": answer.sessions[:-1], "truncated": True})
    return answer.model_copy(update={"truncated": answer.truncated or len(known) >= limit})


def receipt(sent: Accepted, known: SessionStatus) -> Receipt:
    """A message that was sent, and how the session stands now."""
    return Receipt(
        session_id=known.session_id,
        status=known.status.value,
        accepted=sent.accepted,
        guidance_id=sent.guidance_id,
        reason=known.reason,
        next=advice(known) if sent.accepted else sent.next,
    )


def events_answer(known: SessionStatus, found: Events, after: int, limit: int) -> EventsAnswer:
    """The oldest events after a number, and where to go on."""
    shown: list[Event] = found.events[:limit]
    more = len(found.events) > limit
    last = shown[-1].seq if shown else max(after, 0)
    return EventsAnswer(
        session_id=known.session_id,
        status=known.status.value,
        events=[EventLine(**e.model_dump(), hint=hint_of_event(e, AS_ARGUMENTS)) for e in shown],
        next_after=last,
        more=more,
        forgotten=max(0, found.first_seq - after - 1) if found.first_seq else 0,
        next=f"There are more: call again with after={last}." if more else advice(known),
    )


def diff_answer(known: SessionStatus, found: DiffAnswer, path: str | None = None) -> Diff:
    """What a session changed (at ``path``, if given), as much of it as fits."""
    answer = Diff(
        session_id=known.session_id,
        status=known.status.value,
        branch=known.branch,
        files=[FileChange(**file.model_dump()) for file in found.files],
        patch="",
        truncated=found.truncated,
        next="",
    )
    room = MAX_CHARACTERS - 2_000 if not found.patch else MAX_CHARACTERS - MAX_PATCH
    while _size(answer) > room and answer.files:
        answer = answer.model_copy(update={"files": answer.files[: len(answer.files) * 3 // 4], "truncated": True})
    answer = cut_text(answer, "patch", found.patch, MAX_CHARACTERS - 500)
    if answer.truncated:
        then = "Cut: ask again with path= for one file or folder, or fetch the branch for all of it."
    elif not answer.files and path is not None:
        then = (
            f"Nothing that changed is at {path[:200]!r}. Paths count from the top of the project: call again without"
            " path to see all that changed."
        )
    elif not answer.files:
        then = f"Nothing changed (yet). {advice(known)}"
    else:
        then = advice(known)
    return answer.model_copy(update={"next": then})


A = TypeVar("A", SessionAnswer, Diff)


def cut_text(answer: A, field: str, text: str, limit: int) -> A:
    """``answer`` with as much of ``text`` in ``field`` as keeps it within ``limit`` characters."""
    whole = answer.model_copy(update={field: text})
    if _size(whole) <= limit:
        return whole

    def cut(length: int) -> A:
        return answer.model_copy(update={field: f"{text[:length]}\n… (cut)", "truncated": True})

    return cut(bisect_right(range(1, len(text)), limit, key=lambda length: _size(cut(length))))


def _common(known: SessionStatus, answer: type[BaseModel]) -> dict[str, Any]:
    told = known.model_dump()
    values = {name: told[name] for name in answer.model_fields if name in told}
    if "sandbox" in values:
        values["sandbox"] = plainly(known.sandbox)
    if "test_results" in values:
        values["test_results"] = [{**ran.model_dump(), "hint": hint_of_result(ran)} for ran in known.test_results]
    return {**values, "status": known.status.value, "next": advice(known)}


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _size(answer: BaseModel) -> int:
    return len(answer.model_dump_json(indent=2))
