"""Approvals in iterative mode: what is asked, who may answer what, and what an answer or silence does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from workflows.contracts.approvals import (
    ANYBODY,
    MAX_DECISIONS,
    Answering,
    Approval,
    Approve,
    Decision,
    PlanEdit,
    PlanView,
    Reject,
    Subject,
)
from workflows.contracts.messages import Steer
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import MAX_GUIDANCE, SessionState
from workflows.policy import agreed, best, inbox, steps
from workflows.policy.record import event, one_line
from workflows.policy.words import counted

UNANSWERED = "approval:"
"""How the reason of a pause begins that an answer ends."""
TIMEOUT = "the time-out"
"""Who decides when nobody does."""
REJECTED = "-rejected"
"""How the id of guidance ends that a rejection gave."""
THEN = {"continue": "goes on as if approved", "pause": "pauses", "end": "ends as failed"}

_SAID = {"approved": "approved", "rejected": "rejected", "ended": "rejected for good", "withdrawn": "withdrawn"}


# ---------------------------------------------------------------------- asking


def ask(spec: SessionSpec, state: SessionState, now: datetime, subject: Subject) -> None:
    """In iterative mode: put the plan, or the iteration that has just been judged, to a person."""
    if spec.mode != "iterative" or (subject == "iteration" and best.moved(state)):
        # What was gone back to is validated first, and then put to the person.
        return
    if subject == "plan":
        request = "plan" if state.plans <= 1 else f"plan-{state.plans}"
    else:
        request = _unsaid(state, f"iteration-{state.iteration}")
    what = one_line(_what(state, subject))
    state.approval = Approval(request=request, subject=subject, what=what, since=now)
    event(state, now, "approval", f"{request} waits for approval: {what}")


def _unsaid(state: SessionState, name: str) -> str:
    """``name``, numbered where it was answered: what was gone back to belongs to the same iteration."""
    names = [name, *(f"{name}-{n}" for n in range(2, MAX_DECISIONS + 2))]
    return next(one for one in names if _said(state, one) is None)


def _what(state: SessionState, subject: Subject) -> str:
    wanted = counted(len(state.criteria), "criterion", "criteria")
    if subject == "plan":
        return f"the plan: {counted(len(steps.pending(state.plan)), 'step')}, {wanted}"
    if state.succeeded:
        return f"iteration {state.iteration}: every criterion is met; approving it completes the session"
    met = sum(s.met for s in state.scores)
    then = upcoming(state)
    return f"iteration {state.iteration}: {met} of {wanted} met{f'; next: {then}' if then else ''}"


def upcoming(state: SessionState) -> str:
    """What is done next, in a few words; empty where that is still to be found."""
    if state.fix is not None:
        return state.fix.title
    to_do = steps.pending(state.plan)
    return to_do[0].title if to_do else ""


def is_open(state: SessionState, subject: Subject) -> bool:
    """Whether something of this kind waits and nobody has answered it yet."""
    waits = state.approval
    return waits is not None and waits.subject == subject and not answered(state)


def answered(state: SessionState) -> bool:
    """Whether what waits has its answer."""
    return state.approval is not None and _said(state, state.approval.request) is not None


def _said(state: SessionState, request: str | None) -> Decision | None:
    return next((d for d in reversed(state.decisions) if d.request == request), None)


def take(state: SessionState, subject: Subject) -> Decision | None:
    """The answer to what waits, which then waits no longer; None where nothing of this kind does."""
    waits = state.approval
    if waits is None or waits.subject != subject:
        return None
    state.approval = None
    return _said(state, waits.request)


def withdraw(state: SessionState, now: datetime, why: str) -> None:
    """What waits is there no longer: nobody needs to answer it, and no late answer counts for what takes its place."""
    waits = None if answered(state) else state.approval
    state.approval = None
    if waits is not None:
        _decide(state, Decision(request=waits.request, answer="withdrawn", by=inbox.PERSON, at=now, reason=why))


def why_ended(said: Decision) -> str:
    """Why a session failed that an answer ended."""
    return f"{said.request}, {_SAID[said.answer]} by {said.by}{f': {said.reason}' if said.reason else ''}"


# ---------------------------------------------------------------------- silence


def start_clock(spec: SessionSpec, state: SessionState, now: datetime, *, anew: bool) -> None:
    """From when on silence counts: from the request on, and ``anew`` after a pause, in which nobody was waited for."""
    minutes, waits = spec.approval_timeout_minutes, state.approval
    if minutes is not None and waits is not None and (anew or waits.until is None):
        until = now + timedelta(minutes=minutes)
        state.approval = waits.model_copy(update={"until": until, "then": spec.on_approval_timeout})


def time_out(spec: SessionSpec, state: SessionState, now: datetime) -> str | None:
    """Nobody answered in time: decide as the spec says. Returns why the session is to pause, where it says that."""
    waits = state.approval
    if waits is None:
        return None
    minutes = counted_minutes(spec.approval_timeout_minutes or 0)
    silence = f"nobody answered within {minutes}"
    if spec.on_approval_timeout == "pause":
        return f"{UNANSWERED} {waits.request}: {silence}"
    answer = Decision(
        request=waits.request,
        answer="approved" if spec.on_approval_timeout == "continue" else "ended",
        by=TIMEOUT,
        at=now,
        reason=silence,
    )
    _decide(state, answer)
    return None


def counted_minutes(minutes: float) -> str:
    """Minutes in words."""
    return f"{minutes:g} {'minute' if minutes == 1 else 'minutes'}"


# ---------------------------------------------------------------------- answers


def refusal(state: SessionState, message: Approve | Reject) -> str | None:
    """Why this answer cannot be taken, in words, or None; the same answer once more is harmless."""
    if message.id is not None and message.id in state.seen_ids:
        return None
    if (said := _said(state, message.request)) is not None:
        return None if _again(said, message) else _too_late(state, said)
    waits = _waiting(state)
    if waits is None:
        return "nothing waits for approval now"
    named = f"{waits.request} ({waits.what})"
    if message.request is None:
        return f"say what is answered: what waits is {named}"
    if message.request != waits.request:
        return f"{message.request} does not wait for approval; what waits is {named}: look at it first"
    if isinstance(message, Approve):
        return None if message.plan is None else _edit_refusal(state, message.plan)
    if not message.end and len(inbox.waiting_guidance(state)) >= MAX_GUIDANCE:
        return f"reason: {MAX_GUIDANCE} pieces of guidance wait already, and it would be one more; approve, or end it"
    return None


def _again(said: Decision, message: Approve | Reject) -> bool:
    if isinstance(message, Approve):
        return said.answer == "approved" and message.plan is None
    wanted = "ended" if message.end else "rejected"
    return said.answer == wanted and said.reason == one_line(message.reason)


def _too_late(state: SessionState, said: Decision) -> str:
    waits = _waiting(state)
    now = f"what waits now is {waits.request} ({waits.what})" if waits else "nothing waits for approval now"
    return f"{said.request} was {_SAID[said.answer]} already, by {said.by} at {clock(said.at)}; {now}"


def _waiting(state: SessionState) -> Approval | None:
    # Who wants to go back has left behind what waits; until then it only stands there.
    return None if answered(state) or state.rollback is not None else state.approval


def _edit_refusal(state: SessionState, wanted: PlanEdit) -> str | None:
    if wanted.criteria is not None and not agreed.editable(state):
        return "criteria: they are frozen since the plan was approved; edit the steps alone, or start a new session"
    why = steps.refusal(state, wanted)
    return why or (agreed.edit_refusal(state, wanted.criteria) if wanted.criteria is not None else None)


def approve(state: SessionState, now: datetime, message: Approve) -> None:
    """Let what waits go on, with the plan as edited."""
    waits, by, changed = _waiting(state), _by(message), ""
    if waits is None or message.request != waits.request:
        return
    if message.plan is not None:
        changes = steps.edit(state, message.plan, by)
        told = [str(changes)] if changes else []
        if message.plan.criteria is not None and agreed.edit(state, message.plan.criteria):
            told.append("the planner's criteria edited")
        changed = "; ".join(told)
    _decide(state, Decision(request=waits.request, answer="approved", by=by, at=now, reason=one_line(changed)))


def reject(state: SessionState, now: datetime, message: Reject) -> None:
    """Send what waits back, the reason as guidance; or end the session."""
    waits = _waiting(state)
    if waits is None or message.request != waits.request:
        return
    answer = Decision(
        request=waits.request,
        answer="ended" if message.end else "rejected",
        by=_by(message),
        at=now,
        reason=one_line(message.reason),
    )
    _decide(state, answer)
    if not message.end:
        inbox.steer(state, now, Steer(guidance=message.reason, id=f"{waits.request}{REJECTED}"))


def _decide(state: SessionState, answer: Decision) -> None:
    state.decisions = [*state.decisions, answer][-MAX_DECISIONS:]
    # A pause that only waited for this answer is over with it.
    if state.paused_by is not None and state.paused_by.startswith(UNANSWERED):
        state.paused_by = None
    event(state, answer.at, "approval", why_ended(answer))


def _by(message: Answering) -> str:
    return one_line(message.by, 100) or ANYBODY


def carried_by_plan(state: SessionState, ids: list[str]) -> None:
    """A plan was made with this guidance: what rejected the one before it is done with, and stands from now on."""
    steps.weigh(state, ids)
    for item in state.guidance:
        if item.id in ids and item.id.startswith("plan") and item.id.endswith(REJECTED):
            item.iteration = 0


# ---------------------------------------------------------------------- showing


def shown(state: SessionState) -> Approval | None:
    """What waits for a person's answer."""
    return None if state.status.is_final else _waiting(state)


def reason(state: SessionState) -> str:
    """What is waited for, since when and until when, in one line."""
    waits = state.approval
    return f"waits for approval of {describe(waits)}" if waits else ""


def clock(moment: datetime) -> str:
    """A moment, to the second, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def describe(waits: Approval, now: datetime | None = None) -> str:
    """What is waited for, since when, until when, and what comes then; ``now`` tells what has come already."""
    return f"{waits.request} since {clock(waits.since)}{deadline(waits, now)}: {waits.what}"


def deadline(waits: Approval, now: datetime | None, clock: Callable[[datetime], str] = clock) -> str:
    """Until when it waits and what comes then; what to do where that is over and it has paused. Empty without one."""
    if waits.until is None or waits.then is None:
        return ""
    if waits.then == "pause" and now is not None and waits.until <= now:
        return f"; nobody answered until {clock(waits.until)}, approve or resume goes on"
    return f", until {clock(waits.until)}, then {THEN[waits.then]}"


def how(session_id: str, waits: Approval) -> str:
    """How a person answers."""
    return f"Answer at a terminal: `overnight approve {session_id} {waits.request}` (or `reject`)."


def plan_view(spec: SessionSpec, state: SessionState) -> PlanView:
    """The plan in full."""
    waits, plan = shown(state), state.plan
    return PlanView(
        session_id=spec.session_id,
        request=waits.request if waits else None,
        summary=plan.summary if plan else "",
        steps=plan.steps if plan else [],
        criteria=state.criteria,
        frozen=not agreed.editable(state),
        next=state.fix.title if state.fix else "",
    )
