"""What a session teaches: what its history shows, in the same words each time, and nothing that an agent claims."""

from __future__ import annotations

from tests.policy.largest import largest_spec, largest_state
from tests.policy.making import CRITERIA, HEAD, NOW, SPEC, ran, state
from workflows.contracts.evidence import Scorecard, Tally
from workflows.contracts.knowledge import MAX_LEARNINGS
from workflows.contracts.outcome import Usage
from workflows.contracts.plan import Plan, Step, StepStatus
from workflows.contracts.requests import Try
from workflows.contracts.state import RungRecord, SessionState, Status
from workflows.policy import learning, record
from workflows.policy.fingerprint import fingerprint

ERROR = "ModuleNotFoundError: No module named 'yaml'"


def tried(number: int, *, mended: bool | None, text: str = ERROR) -> Try:
    return Try(
        iteration=number,
        root_cause=f"cause {number}",
        fix=f"fix {number}",
        result="worked" if mended else "did not help: validation still unmet",
        against=fingerprint(text),
        pattern=text,
        mended=mended,
    )


def finished() -> SessionState:
    """A session with a past: a fix that failed, one that worked, a rung that helped, checks that hold."""
    done = Step(id="s1", title="write it", instructions="", status=StepStatus.DONE, iteration=1)
    checked = Tally(source="text", passed=12)
    card = Scorecard(
        commit=HEAD,
        commands=[ran("validation", tally=checked, seconds=41.0), ran("plan-1")],
        setup=ran("setup", seconds=3.0),
    )
    return state(
        plan=Plan(summary="rhyme first, then count", steps=[done], setup_command="make setup"),
        criteria=CRITERIA,
        iteration=4,
        card=card,
        confirmed=card,
        tries=[tried(1, mended=False), tried(2, mended=True), tried(3, mended=None)],
        rungs=[
            RungRecord(name="fix", title="diagnose and fix", iteration=1, result="did not help: stuck"),
            RungRecord(name="fresh", title="fresh context with the dead ends", iteration=2, result="helped: 2 of 3"),
            RungRecord(name="best", title="best checkpoint, another approach", iteration=3),
        ],
        active_seconds=372.04,
        usage=Usage(calls=5, responses=9, cost_usd=1.25),
        summary="I am the best agent, and everything is perfect.",
    )


def test_what_a_session_that_reached_its_goal_teaches() -> None:
    learned = learning.lessons(SPEC, finished(), Status.COMPLETED)
    (pattern,) = learned.successful_patterns
    assert (pattern.goal, pattern.iterations, pattern.active_seconds, pattern.cost_usd) == (SPEC.goal, 4, 372.0, 1.25)
    assert pattern.commands == ["make test", "make lint"]
    assert pattern.approach.splitlines() == [
        "Plan: rhyme first, then count",
        "Steps: write it",
        "Mended on the way: cause 2 By: fix 2",
        "What got it further when stuck: fresh context with the dead ends",
        "Did not help: fix 1; fix 3",
    ]
    assert [(e.solution, e.solution_worked) for e in learned.error_patterns] == [
        ("cause 1 Fix: fix 1", False), ("cause 2 Fix: fix 2", True),
    ]  # fmt: skip
    assert [(r.name, r.helped) for r in learned.recovery_strategies] == [("fix", False), ("fresh", True)]
    assert learned.time_per_task_type == {learned.task_type: 372.0}
    assert [fact.text for fact in learned.project_memory] == [
        "`make setup` prepares a fresh clone",
        "`make test` passes: 12 of 12 tests pass (printed summary) in about 40 seconds",
        "`make lint` passes",
        f"pitfall: {ERROR}: cause 2",
    ]
    assert {fact.commit for fact in learned.project_memory} == {HEAD}
    assert "best agent" not in learned.model_dump_json(), "what an agent says of itself is no lesson"


def test_what_failed_and_what_was_cancelled_teach_less() -> None:
    failed = learning.lessons(SPEC, finished(), Status.FAILED)
    assert (failed.successful_patterns, len(failed.failed_patterns), failed.time_per_task_type) == ([], 1, {})
    kept = learning.request(SPEC.goal, failed)
    assert [(one.worked, one.seconds) for one in kept.learnings if one.kind == "approach"] == [(False, None)]
    cancelled = learning.lessons(SPEC, finished(), Status.CANCELLED)
    assert (cancelled.successful_patterns, cancelled.failed_patterns) == ([], [])
    assert cancelled.error_patterns == failed.error_patterns
    nothing = learning.lessons(SPEC, state(), Status.CANCELLED)
    assert learning.request(SPEC.goal, nothing).learnings == []


def test_the_same_session_gives_the_same_request_whenever_it_is_asked() -> None:
    session = finished()
    before = learning.request(SPEC.goal, learning.lessons(SPEC, session, Status.COMPLETED))
    record.event(session, NOW, "end", "completed")
    session.status, session.reason, session.phase = Status.COMPLETED, "every criterion is met", "learn"
    session.knowledge.kept = len(before.learnings)
    assert learning.request(SPEC.goal, learning.lessons(SPEC, session, Status.COMPLETED)) == before


def test_a_rung_is_learned_once_and_always_in_the_same_words() -> None:
    session = finished()
    again = RungRecord(name="fix", title="diagnose and fix", iteration=4, result="helped: 3 of 3")
    session.rungs = [*session.rungs[:2], again]
    first = learning.request(SPEC.goal, learning.lessons(SPEC, finished(), Status.COMPLETED))
    other = learning.request("another goal", learning.lessons(SPEC, session, Status.FAILED))
    rungs = [[one for one in request.learnings if one.kind == "recovery"] for request in (first, other)]
    assert [(one.cue, one.worked) for one in rungs[0]] == [("fix", False), ("fresh", True)]
    assert [(one.cue, one.worked) for one in rungs[1]] == [("fix", True), ("fresh", True)]
    same = [[(one.title, one.cue, one.advice, one.task_type) for one in some] for some in rungs]
    assert same[0] == same[1], "the store counts them by their words"


def test_the_lessons_of_the_largest_session_fit() -> None:
    spec = largest_spec()
    for by_command in (False, True):
        session = largest_state(spec, by_command=by_command)
        for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED):
            learned = learning.lessons(spec, session, status)
            request = learning.request(spec.goal, learned)
            assert len(request.learnings) <= MAX_LEARNINGS
            assert len(request.model_dump_json().encode()) < 128 * 1024
