"""The largest value of any contract: every text, list and dictionary filled up to its limit."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from workflows.contracts.answers import PlanAnswer
from workflows.contracts.evidence import MAX_NOTICED, MAX_TAMPERING, CommandEvidence, Scorecard, Tampering, Verdict
from workflows.contracts.outcome import Outcome
from workflows.contracts.plan import MAX_LISTED, Plan, Step, StepStatus
from workflows.contracts.requests import PlanResult
from workflows.contracts.spec import Limits, Project, SessionSpec
from workflows.contracts.state import SessionState, Task
from workflows.contracts.text import MaxBytes
from workflows.policy import agreed, criteria

B = TypeVar("B", bound=BaseModel)

MOMENT = datetime(2026, 11, 22, 23, 59, 59, 123456, tzinfo=UTC)
UNBOUNDED = "unbounded"


def max_text(metadata: Iterable[Any]) -> int | None:
    """The most bytes that these constraints let through (patterns of ours are ASCII), or None."""
    limits: list[int] = []
    for item in metadata:
        if isinstance(item, MaxBytes):
            limits.append(item.limit)
        elif isinstance(item, annotated_types.MaxLen):
            # Characters of UTF-8 have at most four bytes.
            limits.append(4 * item.max_length)
        elif isinstance(item, StringConstraints):
            if item.max_length is not None:
                limits.append(4 * item.max_length)
            if isinstance(item.pattern, str) and (longest := pattern_length(item.pattern)) is not None:
                limits.append(longest)
    return min(limits, default=None)


def pattern_length(pattern: str) -> int | None:
    """The longest text that ``^[class]...[class]{a,b}$`` matches, or None when that is open."""
    parts = re.fullmatch(r"\^((?:\[[^\]]+\](?:\{\d+(?:,\d+)?\})?)+)\$", pattern)
    if parts is None:
        return None
    counts = re.findall(r"\[[^\]]+\](?:\{(?:\d+,)?(\d+)\})?", parts.group(1))
    return sum(int(count or 1) for count in counts)


def max_length(metadata: Iterable[Any]) -> int | None:
    return next((m.max_length for m in metadata if isinstance(m, annotated_types.MaxLen)), None)


def largest(model: type[B], **given: Any) -> B:
    """An instance of ``model`` with everything at its limit, but for the fields that are given."""
    values = {
        name: given[name] if name in given else largest_of(field.annotation, field.metadata)
        for name, field in model.model_fields.items()
    }
    return model(**values)


def largest_of(annotation: Any, metadata: Iterable[Any] = ()) -> Any:
    metadata = list(metadata)
    if hasattr(annotation, "__metadata__"):
        return largest_of(annotation.__origin__, [*_flat(annotation.__metadata__), *metadata])
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return largest_of(next(a for a in args if a is not type(None)), metadata)
    if origin is Literal:
        return max(args, key=len)
    if origin is list:
        return [_numbered(largest_of(args[0]), n) for n in range(max_length(metadata) or 0)]
    if origin is dict:
        named = get_args(args[0]) if get_origin(args[0]) is Literal else ()
        keys = named or [f"{'k' * 60}{n:04}" for n in range(max_length(metadata) or 0)]
        return {key: largest_of(args[1]) for key in keys}
    if annotation is str:
        return _text(metadata)
    if annotation is bool:
        return False
    if annotation is datetime:
        return MOMENT
    if annotation is int:
        return _number(metadata, 10**9)
    if annotation is float:
        return float(_number(metadata, 10**6)) / 3
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return max(annotation, key=lambda member: len(str(member.value)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return largest(annotation, **_TELLING.get(annotation, {}))
    raise TypeError(f"no largest value for {annotation}")


_TELLING: dict[type[BaseModel], dict[str, Any]] = {
    Project: {"kind": "path", "location": "/" + "p" * 1_999},
}


def _flat(metadata: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in metadata:
        flat += _flat(item.metadata) if isinstance(item, FieldInfo) else [item]
    return flat


def _number(metadata: Iterable[Any], default: int) -> Any:
    for item in metadata:
        if isinstance(item, annotated_types.Le):
            return item.le
    return default


def _text(metadata: list[Any]) -> str:
    limit = max_text(metadata)
    if limit is None:
        raise TypeError(UNBOUNDED)
    if any(isinstance(m, StringConstraints) and m.pattern for m in metadata):
        return "a" * limit
    if any(isinstance(m, StringConstraints) and m.max_length for m in metadata):
        return "m" * (limit // 4)
    return "é" * (limit // 2)


def _numbered(value: Any, number: int) -> Any:
    """Members of a list with ids of their own, as long as before."""
    if isinstance(value, BaseModel) and "id" in type(value).model_fields:
        return value.model_copy(update={"id": f"{'a' * 60}{number:04}"})
    return value


def largest_spec() -> SessionSpec:
    return largest(SessionSpec, limits=Limits(max_iterations=10_000, max_time_minutes=100_000, max_cost_usd=100_000))


def largest_plan(spec: SessionSpec, *, by_command: bool) -> PlanResult:
    """The largest plan that a model and a person can bring about; its own criteria have commands, or need a judge."""
    answer = largest(PlanAnswer)
    if not by_command:
        answer = answer.model_copy(
            update={"criteria": [c.model_copy(update={"command": None}) for c in answer.criteria]}
        )
    else:
        commands = [f"{n}{'c' * 399}" for n in range(len(answer.criteria))]
        answer = answer.model_copy(
            update={
                "criteria": [
                    c.model_copy(update={"command": command})
                    for c, command in zip(answer.criteria, commands, strict=True)
                ]
            }
        )
    return PlanResult(outcome=Outcome.COMPLETED, base="a" * 64, plan=agreed.plan_from(answer, spec))


def largest_card(state: SessionState, *, verdicts: bool = True, **commands: Any) -> Scorecard:
    """Evidence on every criterion: by its command, or else by a judge."""
    head = "a" * 64
    return Scorecard(
        commit=head,
        commands=[
            largest(CommandEvidence, criterion=c.id, commit=head, **commands) for c in state.criteria if c.command
        ],
        verdicts=[largest(Verdict, criterion=c.id, commit=head) for c in state.criteria if not c.command and verdicts],
        setup=largest(CommandEvidence, criterion="setup", commit=head, **commands),
        tampering=[largest(Tampering)] * MAX_TAMPERING if verdicts else [],
        noticed=["é" * 100] * MAX_NOTICED if verdicts else [],
    )


def full_of_past(plan: Plan | None) -> Plan:
    """``plan`` with as many steps as are remembered, the past ones as they are when they are over."""
    assert plan is not None
    past = largest(Step, instructions="", status=StepStatus.DROPPED, title="é" * 60)
    room = MAX_LISTED - len(plan.steps)
    return plan.model_copy(update={"steps": [*(_numbered(past, n) for n in range(room)), *plan.steps]})


def largest_state(spec: SessionSpec, *, by_command: bool = False) -> SessionState:
    """A state at all its limits, its plan, criteria and evidence as the policies make them."""
    state = largest(SessionState)
    agreed.freeze(spec, state, largest_plan(spec, by_command=by_command))
    state.plan = full_of_past(state.plan)
    holding = {"rate": 1.0, "exit_code": 0, "timed_out": False, "clean": True}
    assert criteria.confirm(state, largest_card(state, verdicts=False, **holding), spec.success_threshold)
    criteria.score(state, largest_card(state), spec.success_threshold)
    task = largest(Task)
    state.fix, state.task = task, task.model_copy(update={"instructions": ""})
    return state
