"""Every field of every contract is bounded, and the largest values stay within what Temporal and people can take."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import types
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

import workflows.contracts
from tests.policy.largest import MOMENT, largest, largest_plan, largest_spec, largest_state, max_length, max_text
from workflows.contracts import answers, applied, approvals, knowledge, messages, reads, requests
from workflows.contracts.applied import Given
from workflows.contracts.requests import (
    DiagnoseRequest,
    ExecuteRequest,
    JudgeRequest,
    PlanRequest,
    ReflectRequest,
    ValidateRequest,
)
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionResult, SessionStart, SessionState, StepResult
from workflows.contracts.status import Events, Glance, SessionStatus
from workflows.policy import approaches, asks, report, tasks, view

STATE_LIMIT = 110_592
PAYLOAD_LIMIT = 256 * 1024
GLANCE_LIMIT = 2_048

BOUNDED_BY_KEYS = {
    "SessionState.times": "keyed by Phase, which has twelve values",
}


def models() -> list[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    for module in pkgutil.iter_modules(workflows.contracts.__path__, "workflows.contracts."):
        members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        found |= {m for _, m in members if issubclass(m, BaseModel) and m.__module__ == module.name}
    return sorted(found, key=lambda m: (m.__module__, m.__name__))


def unbounded(where: str, annotation: Any, metadata: Iterable[Any] = ()) -> Iterator[str]:
    """What in a type has no limit."""
    metadata = list(metadata)
    if hasattr(annotation, "__metadata__"):
        yield from unbounded(where, annotation.__origin__, [*annotation.__metadata__, *metadata])
        return
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        for arg in args:
            yield from unbounded(where, arg, metadata)
    elif origin is Literal or annotation in {bool, int, float, datetime, types.NoneType}:
        return
    elif annotation is str:
        if max_text(_flat(metadata)) is None:
            yield f"{where}: text without a limit"
    elif origin is list:
        if max_length(_flat(metadata)) is None:
            yield f"{where}: list without a limit"
        yield from unbounded(f"{where}[]", args[0])
    elif origin is dict:
        if max_length(_flat(metadata)) is None and where not in BOUNDED_BY_KEYS:
            yield f"{where}: dictionary without a limit"
        yield from unbounded(f"{where} keys", args[0])
        yield from unbounded(f"{where} values", args[1])
    elif inspect.isclass(annotation) and issubclass(annotation, (BaseModel, Enum)):
        return
    else:
        yield f"{where}: {annotation} is not known to be bounded"


def _flat(metadata: Iterable[Any]) -> list[Any]:
    return [part for item in metadata for part in (getattr(item, "metadata", None) or [item])]


@pytest.mark.parametrize("model", models(), ids=lambda m: m.__name__)
def test_every_field_is_bounded(model: type[BaseModel]) -> None:
    problems = [
        problem
        for name, field in model.model_fields.items()
        for problem in unbounded(f"{model.__name__}.{name}", field.annotation, field.metadata)
    ]
    assert problems == []


@pytest.mark.parametrize("model", models(), ids=lambda m: m.__name__)
def test_the_largest_value_is_valid_and_survives_its_journey(model: type[BaseModel]) -> None:
    value = largest(model)
    assert model.model_validate_json(value.model_dump_json()) == value


class _Loose(BaseModel):
    text: str
    items: list[int]
    table: dict[str, int]
    raw: bytes


def test_the_walk_finds_what_is_unbounded() -> None:
    found = [p for n, f in _Loose.model_fields.items() for p in unbounded(n, f.annotation, f.metadata)]
    assert found == [
        "text: text without a limit",
        "items: list without a limit",
        "table: dictionary without a limit",
        "table keys: text without a limit",
        "raw: <class 'bytes'> is not known to be bounded",
    ]


def size(value: BaseModel | str) -> int:
    return len((value if isinstance(value, str) else value.model_dump_json()).encode())


SPEC = largest_spec()
STATES = pytest.mark.parametrize("by_command", [False, True], ids=["judged criteria", "criteria with commands"])


@STATES
def test_the_largest_state_is_small_enough_to_carry(by_command: bool) -> None:
    state = largest_state(SPEC, by_command=by_command)
    assert size(state) < STATE_LIMIT
    assert size(SessionStart(spec=SPEC, state=state)) < PAYLOAD_LIMIT
    assert size(StepResult(over=True, state=state)) < PAYLOAD_LIMIT


@STATES
def test_the_largest_state_is_as_small_when_it_is_full_of_quotes(by_command: bool) -> None:
    state = json.loads(largest_state(SPEC, by_command=by_command).model_dump_json())
    quoted = SessionState.model_validate(_replace(state))
    assert size(quoted) < 2 * STATE_LIMIT, "JSON escapes at most double it: control characters are left out"


def _replace(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("é", '"\x1b')
    if isinstance(value, list):
        return [_replace(v) for v in value]
    return {k: _replace(v) for k, v in value.items()} if isinstance(value, dict) else value


@STATES
def test_what_is_shown_of_the_largest_state_is_small(by_command: bool) -> None:
    state = largest_state(SPEC, by_command=by_command)
    for status in type(state.status):
        state.status = status
        assert size(view.glance(SPEC, state)) < GLANCE_LIMIT
        assert size(view.scoreboard(SPEC, state, MOMENT)) <= view.SCOREBOARD_LIMIT
        assert size(report.report(SPEC, state, MOMENT)) <= report.REPORT_LIMIT
        assert size(view.status(SPEC, state, MOMENT)) < PAYLOAD_LIMIT
        assert size(report.result(SPEC, state, MOMENT)) < PAYLOAD_LIMIT
    assert size(Events(events=state.events)) < PAYLOAD_LIMIT
    assert size(largest(Glance)) < GLANCE_LIMIT


@STATES
def test_requests_from_the_largest_state_are_small(by_command: bool) -> None:
    state = largest_state(SPEC, by_command=by_command)
    task, given = tasks.next_task(state), largest(Given)
    built = [
        asks.plan(SPEC, state, given),
        asks.execute(SPEC, state, task),
        asks.validate(SPEC, state),
        asks.validate(SPEC, state, clean=True),
        asks.judge(SPEC, state),
        asks.diagnose(SPEC, state, given),
        asks.reflect(SPEC, state, "stuck: " + "x" * 400),
        asks.replan(SPEC, state, "stuck: " + "x" * 400, given),
        asks.restore(SPEC, state, iteration=3),
        *approaches.prepare(SPEC, state, ["x" * 800] * approaches.WANTED),
    ]
    for request in built:
        assert size(request) < PAYLOAD_LIMIT


CROSSING: list[type[BaseModel]] = [
    PlanRequest, ExecuteRequest, ValidateRequest, JudgeRequest, DiagnoseRequest, ReflectRequest, requests.PlanResult,
    requests.ExecuteResult, requests.ValidateResult, requests.JudgeResult, requests.DiagnoseResult,
    requests.ReflectResult, requests.Beat, messages.Steer, messages.Pause, SessionResult, SessionStatus, SessionSpec,
    answers.PlanAnswer, answers.JudgeAnswer, reads.BranchAnswer, reads.DiffAnswer, reads.HostAnswer,
    reads.ProjectAnswer, approvals.Approve, approvals.Reject, approvals.PlanView, knowledge.LearnRequest,
    knowledge.LearnResult, knowledge.RecallRequest, knowledge.RecallResult, knowledge.Question, knowledge.Reply,
    applied.Known, applied.Lessons, applied.RecallAsked,
]  # fmt: skip


@pytest.mark.parametrize("model", CROSSING, ids=lambda m: m.__name__)
def test_whatever_the_types_allow_stays_below_the_payload_limit(model: type[BaseModel]) -> None:
    assert size(largest(model)) < PAYLOAD_LIMIT


@pytest.mark.parametrize("empty", [{"lines": ""}, {"hits": []}], ids=["hits", "lines"])
def test_a_reply_of_knowledge_that_is_full_of_quotes_stays_below_it(empty: dict[str, Any]) -> None:
    reply = largest(knowledge.Reply, **empty)
    quoted = knowledge.Reply.model_validate(_replace(json.loads(reply.model_dump_json())))
    assert size(quoted) < PAYLOAD_LIMIT


def test_the_largest_plan_has_all_criteria() -> None:
    plan = largest_plan(SPEC, by_command=True).plan
    assert plan is not None
    assert len(plan.criteria) == 12
    assert sum(c.command is not None for c in plan.criteria) == 5
