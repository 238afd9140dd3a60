"""Approvals: one answer to each request, nothing for another, and criteria of the person that no edit touches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.cli.plain import waited_for
from tests.policy.making import CRITERIA, HEAD, NOW, OTHER, SPEC, holding, later, state
from workflows.contracts.approvals import Approve, CriterionEdit, PlanEdit, Reject, StepEdit
from workflows.contracts.messages import Steer
from workflows.contracts.plan import Criterion
from workflows.contracts.requests import Checkpoint
from workflows.contracts.state import SessionState
from workflows.policy import agreed, approvals, inbox, view

ITERATIVE = SPEC.model_copy(update={"mode": "iterative", "approval_timeout_minutes": 10.0})
STEPS = [StepEdit(title="t", instructions="i")]

requests = st.sampled_from(["plan", "plan-2", "iteration-1", "iteration-2", "nothing", None])
answers = st.builds(Approve, request=requests, by=st.sampled_from(["", "ada"])) | st.builds(
    Reject,
    request=st.sampled_from(["plan", "plan-2", "iteration-1", "iteration-2", "nothing"]),
    reason=st.sampled_from(["no", "why"]),
    end=st.booleans(),
)
moves = st.lists(st.sampled_from(["plan", "iteration", "take"]) | answers, max_size=20)


def answer(session: SessionState, message: Approve | Reject) -> bool:
    """As the session's update handlers do; whether it was taken."""
    if approvals.refusal(session, message) is not None:
        return False
    if inbox.is_new(session, message):
        if isinstance(message, Approve):
            approvals.approve(session, NOW, message)
        else:
            approvals.reject(session, NOW, message)
    return True


@given(moves)
def test_each_request_gets_one_answer_that_was_meant_for_it(moves: list[Any]) -> None:
    session, answered = state(plans=1), dict[str, str]()
    for move in moves:
        before = session.model_copy(deep=True)
        waits = approvals.shown(session)
        if move == "take":
            for subject in ("plan", "iteration"):
                if not approvals.is_open(session, subject):
                    approvals.take(session, subject)
        elif isinstance(move, str):
            if session.approval is None:
                session.plans += move == "plan"
                session.iteration += move == "iteration"
                approvals.ask(ITERATIVE, session, NOW, "plan" if move == "plan" else "iteration")
        elif not answer(session, move):
            assert session == before, "what is refused changes nothing"
        elif session.decisions != before.decisions:
            assert waits is not None
            assert move.request == waits.request == session.decisions[-1].request
            assert waits.request not in answered
            answered[waits.request] = session.decisions[-1].answer
        else:
            assert move.request in answered, "the same once more"


def waiting(**changes: Any) -> SessionState:
    session = state(plans=1, **changes)
    approvals.ask(ITERATIVE, session, NOW, "plan")
    return session


def test_an_autonomous_session_asks_nobody() -> None:
    session = state()
    approvals.ask(SPEC, session, NOW, "plan")
    assert (session.approval, session.events) == (None, [])


def test_going_back_withdraws_what_waits_and_what_is_gone_back_to_is_another_request() -> None:
    session = state(plans=1, iteration=2, checkpoint=Checkpoint(commit=HEAD, tree=HEAD, parent=HEAD, iteration=2))
    session.card = holding()
    approvals.ask(ITERATIVE, session, NOW, "iteration")
    session.rollback = 1
    late = Approve(request="iteration-2", by="ada")
    assert approvals.refusal(session, late) == "nothing waits for approval now"
    approvals.withdraw(session, NOW, "went back to iteration 1")
    session.rollback = None
    assert approvals.take(session, "iteration") is None
    assert "iteration-2 was withdrawn already, by a person" in str(approvals.refusal(session, late))
    assert session.checkpoint is not None
    session.checkpoint = session.checkpoint.model_copy(update={"commit": OTHER})
    approvals.ask(ITERATIVE, session, NOW, "iteration")
    assert session.approval is None, "nobody has validated it yet"
    session.card = holding().model_copy(update={"commit": OTHER})
    approvals.ask(ITERATIVE, session, NOW, "iteration")
    assert session.approval is not None
    assert session.approval.request == "iteration-2-2"
    assert not answer(session, late)


def test_the_clock_starts_once_and_anew_after_a_pause() -> None:
    session = waiting()
    for at, anew, until in ((0, False, 10), (3, False, 10), (5, True, 15)):
        approvals.start_clock(ITERATIVE, session, later(at), anew=anew)
        assert session.approval is not None
        assert session.approval.until == later(until)
    assert approvals.reason(session) == (
        "waits for approval of plan since 2026-01-01 22:00:00 UTC, until 2026-01-01 22:15:00 UTC, then pauses:"
        " the plan: 1 step, 3 criteria"
    )


def test_a_deadline_that_is_over_is_not_told_as_to_come() -> None:
    session = waiting()
    approvals.start_clock(ITERATIVE, session, NOW, anew=False)
    assert session.approval is not None
    assert ", until 2026-01-01 22:10:00 UTC, then pauses: " in approvals.describe(session.approval, later(9))
    assert (
        "plan since 2026-01-01 22:00:00 UTC; nobody answered until 2026-01-01 22:10:00 UTC, approve or resume goes on: "
    ) in approvals.describe(session.approval, later(10))
    assert "; nobody answered until " in view.scoreboard(ITERATIVE, session, later(11))
    assert "; nobody answered until " in waited_for(session.approval), "that moment is years ago"


def test_an_answer_ends_the_pause_that_silence_brought_and_no_other() -> None:
    for paused_by, after in (
        (approvals.time_out(ITERATIVE, waiting(), NOW), None),
        ("paused by a person", "paused by a person"),
    ):
        session = waiting(paused_by=paused_by)
        assert answer(session, Approve(request="plan"))
        assert session.paused_by == after


def test_as_much_guidance_as_can_wait_refuses_one_more_in_words() -> None:
    session = waiting()
    for n in range(4):
        inbox.steer(session, NOW, Steer(guidance=f"hint {n}"))
    assert "4 pieces of guidance wait already" in str(approvals.refusal(session, Reject(request="plan", reason="no")))
    assert approvals.refusal(session, Reject(request="plan", reason="no", end=True)) is None


MINE = [*CRITERIA, Criterion(id="wish-1", description="it rhymes", source="user")]
edits = st.lists(
    st.builds(
        CriterionEdit,
        id=st.sampled_from([None, "plan-1"]),
        description=st.sampled_from(["it lints", "it scans"]),
        command=st.sampled_from([None, "make lint", "make scan"]),
    ),
    max_size=4,
)


@given(edits)
def test_an_edit_touches_the_planners_criteria_only(wanted: list[CriterionEdit]) -> None:
    session = waiting(criteria=MINE)
    if agreed.edit_refusal(session, wanted) is not None:
        assert [one.id for one in wanted].count("plan-1") > 1
        return
    answer(session, Approve(request="plan", plan=PlanEdit(steps=STEPS, criteria=wanted)))
    now = {c.id: c for c in session.criteria}
    assert len(now) == len(session.criteria) == 3 + len(wanted)
    assert all(now[c.id] == c for c in MINE if c.id != "plan-1")
    assert [c.source for c in session.criteria][-1] == "standing"
    own = [c for c in session.criteria if c.id.startswith("plan-")]
    assert [(c.description, c.command) for c in own] == [(w.description, w.command) for w in wanted]


@pytest.mark.parametrize(
    "given", [CriterionEdit(id="goal", description="less"), CriterionEdit(id="x", description="y")]
)
def test_other_criteria_cannot_be_edited(given: CriterionEdit) -> None:
    session = waiting()
    wanted = Approve(request="plan", plan=PlanEdit(steps=STEPS, criteria=[given]))
    assert "is none of the planner's" in str(approvals.refusal(session, wanted))
