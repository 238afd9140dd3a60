"""Plans that adapt: what is done stays done, ids stay unique, what is dropped stays on record, all within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.policy.making import NOW, SPEC, state
from workflows.contracts.answers import PlannedStep, ReflectionAnswer
from workflows.contracts.approvals import PlanEdit, StepEdit
from workflows.contracts.messages import Steer
from workflows.contracts.plan import MAX_LISTED, MAX_STEPS, Plan, Step, StepStatus
from workflows.contracts.state import SessionState, Status, Task
from workflows.policy import inbox, report, steps, tasks, view
from workflows.policy.steps import Wanted

DONE, PENDING, DROPPED = StepStatus.DONE, StepStatus.PENDING, StepStatus.DROPPED


def plan(*titles: str, done: int = 0) -> Plan:
    made = [
        Step(id=f"s{n}", title=title, instructions=f"do {title}", status=DONE if n <= done else PENDING)
        for n, title in enumerate(titles, 1)
    ]
    return Plan(summary="", steps=made)


def seen(plan: Plan) -> list[tuple[str, str, StepStatus]]:
    return [(s.id, s.title, s.status) for s in plan.steps]


def wanted(*pairs: tuple[str | None, str]) -> list[Wanted]:
    return [Wanted(one, title, f"do {title}") for one, title in pairs]


def test_what_is_reopened_comes_first_and_in_its_order() -> None:
    now = plan("a", "b", "c", "d", "e")
    now, _ = steps.replace(now, wanted(("s1", "a"), ("s2", "b"), ("s3", "c"), ("s5", "e")), 0, "no d")
    for iteration, one in enumerate(("s1", "s2", "s3"), 1):
        now = steps.mark_done(now, one, iteration)
    assert [s.id for s in now.steps] == ["s4", "s1", "s2", "s3", "s5"]
    now = steps.reopen(now, 1)
    assert [(s.id, s.status) for s in now.steps] == [
        ("s4", DROPPED), ("s1", DONE), ("s2", PENDING), ("s3", PENDING), ("s5", PENDING),
    ]  # fmt: skip
    task = tasks.next_task(state(plan=now))
    assert (task.step, task.instructions) == ("s2", tasks.AGAIN), "its own instructions were let go when it was done"


def test_a_new_plan_for_what_is_left_takes_no_id_of_another_step() -> None:
    session = state(plan=steps.mark_done(plan("a", "b", "c"), "s1", 1), iteration=3)
    changes = steps.replan(session, "stuck", plan("x", "b"))
    assert session.plan is not None
    assert seen(session.plan) == [("s1", "a", DONE), ("s3", "c", DROPPED), ("s4", "x", PENDING), ("s2", "b", PENDING)]
    assert str(changes) == "new s4; dropped s3"
    assert not steps.replan(session, "stuck", Plan(summary="")), "a plan without steps changes nothing"


def test_steps_are_kept_changed_added_dropped_and_reordered() -> None:
    now, changes = steps.replace(
        plan("a", "b", "c", "d", done=1), wanted(("s4", "d"), ("x", "new"), ("s2", "b, but better")), 3, "why not"
    )
    assert seen(now) == [
        ("s1", "a", DONE),
        ("s3", "c", DROPPED),
        ("s4", "d", PENDING),
        ("s5", "new", PENDING),
        ("s2", "b, but better", PENDING),
    ]
    assert str(changes) == "new s5; changed s2; dropped s3; reordered"
    assert [steps.line(s) for s in now.steps][1:4] == [
        "[-] s3: c (dropped after #3: why not)",
        "[ ] s4: d",
        "[ ] s5: new (new after #3: why not)",
    ]


def test_the_same_steps_are_no_change() -> None:
    before = plan("a", "b", done=1)
    now, changes = steps.replace(before, wanted(("s2", "b")), 3, "why")
    assert (seen(now), bool(changes)) == (seen(before), False)


def test_a_step_is_known_by_its_title_when_its_id_is_another() -> None:
    now, changes = steps.replace(plan("a", "Write tests"), wanted(("t1", "write tests"), ("t2", "a")), 1, "why")
    assert [s.id for s in now.steps] == ["s2", "s1"]
    assert not changes.added
    assert not changes.dropped


def test_what_is_done_stays_done_even_if_it_is_wanted_again() -> None:
    now, _ = steps.replace(plan("a", "b", done=1), wanted(("s1", "a again"), ("s2", "b")), 2, "why")
    assert seen(now) == [("s1", "a", DONE), ("s2", "b", PENDING)]


ids = st.none() | st.sampled_from(["s1", "s2", "s3", "s7", "x"])
lists = st.lists(st.builds(Wanted, ids, st.sampled_from("abcdef"), st.just("work")), max_size=12)


@given(st.lists(lists | st.none(), max_size=12))
def test_any_changes_keep_the_plan_in_order(changes: list[list[Wanted] | None]) -> None:
    """``None`` does the next step; each list replaces what is to be done."""
    now, done, given_out = plan("a", "b", "c"), 0, {"s1", "s2", "s3"}
    for iteration, change in enumerate(changes, 1):
        before = {s.id: s for s in now.steps}
        if change is None:
            to_do = steps.pending(now)
            done += bool(to_do)
            now = steps.mark_done(now, to_do[0].id, iteration) if to_do else now
        else:
            now, what = steps.replace(now, change, iteration, "why")
            assert given_out.isdisjoint(what.added), "an id is given once"
            given_out |= set(what.added)
        listed = [s.id for s in now.steps]
        assert len(listed) == len(set(listed)) <= MAX_LISTED
        assert len(steps.pending(now)) <= MAX_STEPS
        assert steps.done(now) == done, "nothing that is done is lost or taken back"
        past = [s.status is PENDING for s in now.steps]
        assert past == sorted(past), "what is to be done comes last"
        for step in now.steps:
            if step.id in before and before[step.id].status is not PENDING:
                assert step.status is before[step.id].status


def reflected(*pairs: tuple[str, str]) -> ReflectionAnswer:
    made = [PlannedStep(id=i, title=t, instructions=f"do {t}") for i, t in pairs]
    return ReflectionAnswer(change_approach=False, steps=made or None)


def test_a_reflection_changes_the_steps_only_when_it_names_some() -> None:
    session = state(plan=plan("a", "b", done=1), iteration=4)
    for nothing in (None, reflected(), ReflectionAnswer(change_approach=True, new_strategy="s", steps=[])):
        assert not steps.adapt(session, "stuck", nothing)
    assert steps.adapt(session, "stuck", reflected(("n1", "other")))
    assert session.plan is not None
    assert [s.why for s in session.plan.steps] == ["", "reflection: stuck", "reflection: stuck"]
    assert tasks.next_task(session).title == "other"


def test_everyone_sees_what_became_of_the_steps() -> None:
    session = state(plan=plan("a", "b", done=1), iteration=4, status=Status.RUNNING)
    steps.adapt(session, "stuck", reflected(("n1", "other")))
    for shown in (view.scoreboard(SPEC, session, NOW), report.report(SPEC, session, NOW)):
        assert "- [-] s2: b (dropped after #4: reflection: stuck)" in shown
        assert "- [ ] s3: other (new after #4: reflection: stuck)" in shown
    lines = view.status(SPEC, session, NOW).steps
    assert [(s.id, s.status) for s in lines] == [("s1", "done"), ("s2", "dropped"), ("s3", "pending")]
    assert lines[1].note == "dropped after #4: reflection: stuck"
    # Who works is told what stands, not what was given up.
    task = Task(kind="step", step="s3", title="other", instructions="do other")
    assert tasks.brief(SPEC, session, task).steps == ["[x] s1: a", "[ ] s3: other"]


def told(session: SessionState, text: str) -> None:
    inbox.steer(session, NOW, Steer(guidance=text))


def test_guidance_calls_for_one_look_at_the_steps_that_are_left() -> None:
    session = state(plan=plan("a", "b", done=1), iteration=2)
    assert steps.reflection_due(session) is None
    told(session, "use roses")
    told(session, "and lilies")
    assert steps.reflection_due(session) == "guidance: g1, g2 may change what is to be done"
    steps.weigh(session, steps.guidance_ids(session))
    assert steps.reflection_due(session) is None
    told(session, "no lilies")
    assert steps.reflection_due(session) == "guidance: g3 may change what is to be done"
    session.reflected_at = 2
    assert steps.reflection_due(session) is None, "once an iteration"


def test_guidance_with_nothing_left_to_do_costs_no_call() -> None:
    session = state(plan=plan("a", done=1), iteration=2)
    told(session, "use roses")
    assert steps.reflection_due(session) is None
    assert tasks.brief(SPEC, session, tasks.next_task(session)).guidance == ["use roses"]


def edited(*pairs: tuple[str | None, str]) -> PlanEdit:
    return PlanEdit(steps=[StepEdit(id=i, title=t, instructions="work") for i, t in pairs])


def test_an_edit_leads_over_the_fix_of_a_diagnosis() -> None:
    session = state(plan=plan("a", "b", done=1), iteration=1)
    session.fix = Task(kind="fix", step="fix-1", title="fix it", instructions="")
    steps.edit(session, edited((None, "something else")), "ada")
    assert tasks.next_task(session).title == "something else"
    assert session.plan is not None
    assert session.plan.steps[1].why == "edited by ada"


def test_an_edit_names_only_steps_that_are_to_be_done() -> None:
    session = state(plan=plan("a", "b", done=1))
    assert steps.refusal(session, edited(("s2", "b"), (None, "c"))) is None
    assert "s1 is no step that is to be done" in str(steps.refusal(session, edited(("s1", "a"))))
    assert "s2 stands there twice" in str(steps.refusal(session, edited(("s2", "b"), ("s2", "c"))))
