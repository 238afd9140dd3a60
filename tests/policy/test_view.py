"""What a session says of itself is true for the state that it is in, and no command in it is cut."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policy.making import CRITERIA, HEAD, NOW, OTHER, SPEC, holding, later, ran, state
from workflows.contracts.evidence import Scorecard
from workflows.contracts.messages import Resume
from workflows.contracts.outcome import CallReport, Outcome
from workflows.contracts.plan import Criterion, Plan, Step
from workflows.contracts.requests import Checkpoint, ExecuteResult
from workflows.contracts.spec import Limits
from workflows.contracts.state import GuidanceItem, SessionState, Status
from workflows.policy import best, criteria, failures, inbox, record, tasks, view
from workflows.policy.progress import estimate
from workflows.policy.report import report
from workflows.policy.words import NOTHING_COMMITTED, TOO_LATE

CHECKPOINT = Checkpoint(commit=HEAD, parent=OTHER, tree=HEAD, iteration=1, changed_files=1)
LONGEST_ID = SPEC.model_copy(update={"session_id": "x" * 64})


def paused(reason: str, **more: Any) -> SessionState:
    return state(status=Status.PAUSED, reason=reason, paused_by=reason, **more)


@pytest.mark.parametrize("outcome", failures.PAUSE_REASONS)
def test_no_command_is_cut_in_events_or_in_what_is_next(outcome: Outcome) -> None:
    reason = record.one_line(failures.pause_reason(CallReport(outcome=outcome, detail="why " * 100)))
    session = paused(reason)
    record.event(session, NOW, "limit", f"paused: {reason}")
    for text in (session.events[-1].text, reason, view.status(LONGEST_ID, session, NOW).next):
        assert text.count("`") % 2 == 0, text
        assert "overnight down && o…" not in text


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("reason", ["limit: cost: $1 of $1 spent", "engine_auth: " + "x" * 180])
def test_what_is_next_is_whole_and_repeats_no_reason(status: Status, reason: str) -> None:
    session = state(status=status, reason=reason, checkpoint=CHECKPOINT)
    told = view.status(LONGEST_ID, session, NOW).next
    assert "…" not in told
    assert reason[:20] not in told


def test_a_paused_wait_does_not_go_on_by_itself() -> None:
    waiting = state(status=Status.WAITING_LIMIT, wait_until=later(5))
    assert view.status(SPEC, waiting, NOW).waiting_until == later(5)
    assert "`overnight resume test-session` tries at once" in view.status(SPEC, waiting, NOW).next
    waiting.paused_by, waiting.status = "paused by a person", Status.PAUSED
    assert view.status(SPEC, waiting, NOW).waiting_until is None


def test_guidance_that_nothing_carried_is_told_as_too_late() -> None:
    session = state(
        guidance=[GuidanceItem(id="g1", text="use tabs", iteration=1), GuidanceItem(id="g2", text="use spaces")]
    )
    assert [g.state for g in view.status(SPEC, session, NOW).guidance] == ["delivered", "waiting"]
    inbox.too_late(session, NOW)
    session.status = Status.COMPLETED
    assert [g.state for g in view.status(SPEC, session, NOW).guidance] == ["delivered", "too_late"]
    assert [e.text for e in session.events] == [f"steer g2 {TOO_LATE}: use spaces"]
    assert f"use spaces ({TOO_LATE})" in view.scoreboard(SPEC, session, NOW)
    assert f"use spaces ({TOO_LATE})" in report(SPEC, session, NOW)


def test_where_nothing_was_committed_nothing_is_offered() -> None:
    session = state(status=Status.CANCELLED, reason="enough", iteration=1)
    known = view.status(SPEC, session, NOW)
    assert (known.committed, known.next) == (False, f"Cancelled: {NOTHING_COMMITTED}.")
    assert f"`overnight/test-session`, {NOTHING_COMMITTED}\n" in report(SPEC, session, NOW)
    session.checkpoint = CHECKPOINT
    assert view.status(SPEC, session, NOW).committed
    assert "its work is on the branch" in view.status(SPEC, session, NOW).next
    assert f"commit `{HEAD}`" in report(SPEC, session, NOW)


def test_an_execute_without_a_commit_says_why() -> None:
    said = tasks.outcome_line(ExecuteResult(outcome=Outcome.USAGE_LIMIT))
    assert said == f"{NOTHING_COMMITTED} (usage_limit)"


def test_commands_keep_their_spaces() -> None:
    command = "./sleep '22:30-07:00  8h 30m' |\n  grep x"
    session = state(criteria=[Criterion(id="c", description="it sleeps", command=command), *CRITERIA])
    assert r"`./sleep '22:30-07:00  8h 30m' \| ⏎   grep x`" in report(SPEC, session, NOW)


def test_an_error_of_a_completed_session_is_one_that_was_overcome() -> None:
    session = state(iteration=2)
    record.error(session, NOW, "execute", "crashed", "it fell")
    assert "**Last error:** execute: it fell" in view.scoreboard(SPEC, session, NOW)
    session.status = Status.COMPLETED
    assert "**Last error (overcome):** execute: it fell" in view.scoreboard(SPEC, session, NOW)


def test_an_end_on_another_day_is_told_with_its_day() -> None:
    steps = [Step(id="s1", title="t", instructions="i"), Step(id="s2", title="t", instructions="i")]
    limits = Limits(max_time_minutes=100_000)
    session = state(status=Status.RUNNING, iteration=1, plan=Plan(summary="", steps=steps), limits=limits)
    record.charge(session, "execute", CallReport(outcome=Outcome.COMPLETED, seconds=3_600 * 14))
    expected = estimate(session, NOW)
    assert expected.earliest is not None
    assert expected.latest is not None
    assert expected.earliest.date() < expected.latest.date()
    told = f"done about {expected.earliest:%Y-%m-%d %H:%M} to {expected.latest:%Y-%m-%d %H:%M} UTC"
    assert told in view.scoreboard(SPEC, session, NOW)


def test_resuming_what_runs_is_told_as_such() -> None:
    session = state()
    inbox.resume(session, NOW, Resume(reason="go"))
    assert session.events[-1].text == "resume: go (nothing to resume: it was running)"
    session.wait_until, session.wait_reason = later(5), "usage limit"
    inbox.resume(session, NOW, Resume())
    assert session.events[-1].text == "resume (was: usage limit)"


def test_evidence_on_another_commit_is_not_shown_as_that_of_the_one_gone_back_to() -> None:
    session = state(checkpoint=CHECKPOINT)
    criteria.score(session, holding(), 1.0)
    assert view.status(SPEC, session, NOW).validation_status == {"validation": True, "plan-1": True, "goal": True}
    best.take_back(session, CHECKPOINT.model_copy(update={"commit": OTHER}), 0, "a person went back")
    status = view.status(SPEC, session, NOW)
    assert (list(status.validation_status.values()), status.test_results) == ([False] * 3, [])
    assert (status.progress, status.success_rate) == (0, 0)
    assert status.progress_basis.startswith("0 of 3 criteria met")
    for shown in (report(SPEC, session, NOW), view.scoreboard(SPEC, session, NOW)):
        assert shown.count("| no | not looked at on this commit |") == 3
    assert [s.met for s in session.scores] == [True] * 3, "what it decides by is as it was"
    criteria.score(session, Scorecard(commit=OTHER, commands=[ran("validation", commit=OTHER)]), 1.0)
    assert view.status(SPEC, session, NOW).validation_status["validation"]


def test_while_a_new_commit_is_validated_the_last_evidence_is_shown_with_its_commit() -> None:
    session = state(checkpoint=CHECKPOINT)
    criteria.score(session, holding(), 1.0)
    session.checkpoint = CHECKPOINT.model_copy(update={"commit": OTHER})
    assert view.status(SPEC, session, NOW).validation_status["validation"]
    assert f"on `{HEAD[:10]}`" in report(SPEC, session, NOW)
