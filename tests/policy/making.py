"""Small states and evidence, and strategies that make them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from workflows.contracts.evidence import CommandEvidence, Quote, Scorecard, Verdict
from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.plan import Criterion, Plan, Step
from workflows.contracts.spec import Limits, Models, Project, SessionSpec
from workflows.contracts.state import SessionState, Trail

NOW = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)
HEAD, OTHER = "a" * 40, "b" * 40
THRESHOLD = 0.95
SPEC = SessionSpec(
    session_id="test-session",
    goal="write a poem",
    project=Project(key="fake"),
    validation_command="make test",
    models=Models(plan="m", execute="m", judge="m", diagnose="m", reflect="m"),
)
CRITERIA = [
    Criterion(id="validation", description="tests pass", command="make test", weight=3, source="user"),
    Criterion(id="plan-1", description="it lints", command="make lint"),
    Criterion(id="goal", description="the goal is achieved", weight=2, source="standing"),
]


def state(**changes: Any) -> SessionState:
    plan = Plan(summary="do it", steps=[Step(id="s1", title="write", instructions="write it")])
    return SessionState(
        **{"limits": Limits(), "base": HEAD, "plan": plan, "criteria": CRITERIA, "started_at": NOW, **changes}
    )


def ran(criterion: str, *, passed: bool = True, commit: str = HEAD, **changes: Any) -> CommandEvidence:
    given = {"exit_code": 0 if passed else 1, "rate": float(passed), **changes}
    return CommandEvidence(criterion=criterion, commit=commit, **given)


def judged(criterion: str, *, met: bool = True, commit: str = HEAD, **changes: Any) -> Verdict:
    quotes = [Quote(file="poem.txt", quote="roses", found=True)]
    return Verdict(**{
        "criterion": criterion, "commit": commit, "met": met, "confidence": "high", "quotes": quotes, **changes
    })  # fmt: skip


def holding() -> Scorecard:
    return Scorecard(commit=HEAD, commands=[ran("validation"), ran("plan-1")], verdicts=[judged("goal")])


def seen(*mets: int, trees: Iterable[str] | None = None, failures: Iterable[str | None] | None = None) -> list[Trail]:
    made = list(trees or [f"{n:040x}" for n in range(len(mets))])
    failed = list(failures or [f"f{n}" for n in range(len(mets))])
    return [
        Trail(iteration=n, tree=tree.rjust(40, "0"), met=met, failure=failure)
        for n, (met, tree, failure) in enumerate(zip(mets, made, failed, strict=True), 1)
    ]


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


money = st.floats(min_value=0, max_value=1_000, allow_nan=False)
usages = st.builds(
    lambda cost, responses: Usage(calls=1, responses=responses, cost_usd=cost), money, st.integers(0, 50)
)
outcomes = st.sampled_from(list(Outcome))
reports = st.builds(CallReport, outcome=outcomes, usage=usages, seconds=st.floats(0, 7_200))
evidence = st.builds(
    CommandEvidence,
    criterion=st.sampled_from(["validation", "plan-1", "goal", "nobody"]),
    commit=st.sampled_from([HEAD, OTHER]),
    clean=st.booleans(),
    exit_code=st.sampled_from([None, 0, 1]),
    timed_out=st.booleans(),
    explained=st.booleans(),
    rate=st.floats(0, 1),
)
verdicts = st.builds(
    Verdict,
    criterion=st.sampled_from(["validation", "plan-1", "goal", "nobody"]),
    commit=st.sampled_from([HEAD, OTHER]),
    met=st.booleans(),
    confidence=st.sampled_from(["low", "medium", "high"]),
    quotes=st.lists(st.builds(Quote, file=st.just("f"), quote=st.just("q"), found=st.booleans()), max_size=2),
)
cards = st.builds(
    Scorecard,
    commit=st.just(HEAD),
    commands=st.lists(evidence, max_size=6),
    verdicts=st.lists(verdicts, max_size=6),
    setup=st.none() | evidence,
)
