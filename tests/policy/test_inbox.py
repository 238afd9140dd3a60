"""Messages in any order and number: the state stays within its limits, and guidance is delivered exactly once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.making import NOW, SPEC, outcomes, state
from workflows.contracts.messages import Cancel, Message, Pause, RaiseLimits, Resume, Steer
from workflows.contracts.outcome import Outcome, Usage
from workflows.contracts.requests import Checkpoint, ExecuteResult
from workflows.contracts.state import MAX_EVENTS, MAX_GUIDANCE, MAX_SEEN_IDS, SessionState, Task
from workflows.policy import inbox, tasks, view
from workflows.policy.inbox import Unreadable

KINDS: dict[str, type[Message]] = {"pause": Pause, "resume": Resume, "steer": Steer, "cancel": Cancel}
TASK = Task(kind="step", step="s1", title="write", instructions="write it")

words = st.text(max_size=40) | st.text("x", min_size=1_990, max_size=2_010)
ids = st.none() | st.sampled_from(["m1", "m2", "g1", "g2", "bad id", ""]) | st.uuids().map(str)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
payloads: st.SearchStrategy[Any] = (
    plain
    | st.fixed_dictionaries(
        {},
        optional={
            "id": ids,
            "guidance": words,
            "reason": words,
            "when": st.sampled_from(["now", "turn", "next_step", "soon"]),
            "colour": plain,
        },
    )
    | st.just(Unreadable("not JSON", "\x00\ufffd" * 500))
)
sent = st.tuples(st.sampled_from(sorted(KINDS)), payloads)
executed = st.tuples(st.just("execute"), st.tuples(outcomes, st.integers(0, 1)))


def receive(state: SessionState, name: str, payload: Any) -> str | None:
    """What the workflow does with a signal; the id of guidance that was accepted."""
    message = inbox.parse(state, NOW, KINDS[name], name, payload)
    if message is None or not inbox.is_new(state, message):
        return None
    match message:
        case Pause():
            inbox.pause(state, NOW, message)
        case Resume():
            inbox.resume(state, NOW, message)
        case Cancel():
            inbox.cancel(state, NOW, message)
        case Steer():
            return inbox.steer(state, NOW, message)
    return None


@settings(max_examples=150)
@given(st.lists(st.one_of(sent, sent, executed), max_size=60))
def test_any_sequence_of_messages_and_executes(sequence: list[tuple[str, Any]]) -> None:
    session = state(task=TASK)
    waiting: list[tuple[str, str]] = []
    carried: list[tuple[str, str]] = []
    accepted: list[tuple[str, str]] = []
    for name, what in sequence:
        before = session.event_seq
        if name == "execute":
            session.iteration += 1
            outcome, responses = what
            brief = tasks.brief(SPEC, session, TASK)
            assert brief.guidance == [text for _, text in waiting], "what waits is carried, in order"
            assert not set(brief.standing_guidance) - {text for _, text in carried}
            result = ExecuteResult(outcome=outcome, usage=Usage(responses=responses))
            inbox.deliver_guidance(session, NOW, inbox.waiting_guidance(session) if responses else [])
            tasks.advance(session, result)
            if responses:
                carried, waiting = carried + waiting, []
        else:
            taken = receive(session, name, what)
            if taken is not None:
                text = next(g.text for g in session.guidance if g.id == taken)
                accepted.append((taken, text))
                waiting.append((taken, text))
            duplicate = isinstance(what, dict) and what.get("id") in session.seen_ids
            assert session.event_seq > before or duplicate or session.cancelled_by, "nothing is lost silently"
        assert len(session.events) <= MAX_EVENTS
        assert len(session.seen_ids) <= MAX_SEEN_IDS
        assert len(session.guidance) <= MAX_GUIDANCE
        assert len({g.id for g in session.guidance}) == len(session.guidance)
        SessionState.model_validate_json(session.model_dump_json())
        view.status(SPEC, session, NOW)
        view.scoreboard(SPEC, session, NOW)
    assert carried + waiting == accepted, "each once, in the order in which it came"


def test_ids_are_forgotten_oldest_first() -> None:
    session = state()
    for n in range(MAX_SEEN_IDS + 1):
        assert inbox.is_new(session, Resume(id=f"m{n}"))
    assert not inbox.is_new(session, Resume(id="m1"))
    assert inbox.is_new(session, Resume(id="m0"))


def test_guidance_that_makes_room_is_named() -> None:
    session = state()
    for n in range(MAX_GUIDANCE):
        inbox.steer(session, NOW, Steer(guidance=f"hint {n}"))
    inbox.deliver_guidance(session, NOW, inbox.waiting_guidance(session))
    inbox.steer(session, NOW, Steer(guidance="one more"))
    assert [g.text for g in session.guidance] == ["hint 1", "hint 2", "hint 3", "one more"]
    assert any(e.text == "steer g1 no longer stands, it makes room: hint 0" for e in session.events)


def test_a_persons_id_may_look_like_one_of_ours() -> None:
    session = state()
    first = inbox.steer(session, NOW, Steer(guidance="ours"))
    second = inbox.steer(session, NOW, Steer(guidance="theirs", id="g1"))
    assert (first, second) == ("g1", "g2")
    inbox.deliver_guidance(session, NOW, ["g1"])
    assert [g.iteration is None for g in session.guidance] == [False, True]


def test_resume_ends_pause_and_wait_and_forgives() -> None:
    session = state(paused_by="stuck: no way on", rung=5, idle=2, interruptions=3, exhausted=True)
    session.wait_until = NOW
    inbox.resume(session, NOW, Resume(reason="try again"))
    assert session.paused_by is None
    assert session.wait_until is None
    assert (session.idle, session.rung) == (0, 0)
    assert not session.exhausted
    assert session.events[-1].text == "resume: try again (was: stuck: no way on)"


def test_raising_limits_ends_only_a_limits_pause() -> None:
    session = state(paused_by="limit: cost: $1.00 of $1.00 spent")
    inbox.raise_limits(session, NOW, RaiseLimits(max_cost_usd=3.5, max_iterations=7))
    assert session.paused_by is None
    assert (session.limits.max_cost_usd, session.limits.max_iterations, session.limits.max_time_minutes) == (3.5, 7, 60)
    inbox.pause(session, NOW, Pause(reason="limit: reached"))
    inbox.raise_limits(session, NOW, RaiseLimits(max_time_minutes=5))
    assert session.paused_by == "paused by a person: limit: reached"


def test_an_execute_that_went_on_after_an_interruption_is_one() -> None:
    session = state(iteration=1, task=TASK, conversation=None)
    parts = [
        (
            Outcome.INTERRUPTED,
            Checkpoint(commit="c" * 40, tree="1" * 40, parent="a" * 40, iteration=1, changed_files=3),
        ),
        (Outcome.INTERRUPTED, None),
        (Outcome.COMPLETED, Checkpoint(commit="d" * 40, tree="2" * 40, parent="c" * 40, iteration=1)),
    ]
    for n, (outcome, made) in enumerate(parts):
        conversation = "conv" if n == 0 else None
        result = ExecuteResult(outcome=outcome, checkpoint=made, conversation=conversation)
        tasks.advance(session, result)
        assert session.conversation == "conv", "a call that could not speak does not lose the conversation"
    tasks.conclude(session, result)
    assert session.checkpoint is not None
    assert (session.checkpoint.commit, session.checkpoint.parent) == ("d" * 40, "a" * 40)
    assert (session.checkpoint.changed_files, session.idle, session.conversation) == (3, 0, None)
