"""One typed function per activity: name, request, result, queue, time-outs, retry, summary. Nowhere else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    TimeoutType,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.requests import (
    Beat,
    DiagnoseRequest,
    DiagnoseResult,
    ExecuteRequest,
    ExecuteResult,
    JudgeRequest,
    JudgeResult,
    PlanRequest,
    PlanResult,
    ReflectRequest,
    ReflectResult,
    ValidateRequest,
    ValidateResult,
)
from workflows.policy.record import one_line
from workflows.policy.words import counted

R = TypeVar("R", bound=CallReport)


@dataclass(frozen=True)
class Call(Generic[R]):
    """A started activity and the type of its report."""

    handle: ActivityHandle[R]
    result: type[R]


MODEL_UNAVAILABLE = "ModelUnavailable"
"""Type of the failure that says: the model's service is overloaded, broken or out of reach. Temporal backs off."""

HEARTBEAT = timedelta(seconds=10)
"""A worker that is silent for so long is taken for dead."""

RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=2),
    maximum_attempts=5,
    non_retryable_error_types=["PayloadsTooLarge"],
)
"""Never unlimited: a call that fails for a permanent reason would spend money for ever."""

_MODEL_CALL = timedelta(hours=3)
_COMMANDS = timedelta(hours=12)


def turns_queue(task_queue: str) -> str:
    """The queue of Claude Code calls and validations that belongs to a workflow queue."""
    return f"{task_queue}-turns"


def plan(request: PlanRequest) -> Call[PlanResult]:
    """Import the project and make a plan."""
    return _start("plan", request, PlanResult, f"plan: {request.goal}", _MODEL_CALL)


def baseline(request: ValidateRequest) -> Call[ValidateResult]:
    """Setup and checks on the base commit, before any work."""
    return _start("validate", request, ValidateResult, f"baseline: {counted(len(request.checks), 'check')}", _COMMANDS)


def execute(request: ExecuteRequest) -> Call[ExecuteResult]:
    """One Claude Code call in the worktree, and its checkpoint commit."""
    return _start(
        "execute", request, ExecuteResult, f"execute #{request.site.iteration}: {request.subject}", _MODEL_CALL
    )


def validate(request: ValidateRequest) -> Call[ValidateResult]:
    """The checks on a checkpoint, in the worktree or in a clean clone."""
    what = "confirm in a clean clone" if request.clean else "validate"
    summary = f"{what} #{request.site.iteration}: {counted(len(request.checks), 'check')}"
    return _start("validate", request, ValidateResult, summary, _COMMANDS)


def judge(request: JudgeRequest) -> Call[JudgeResult]:
    """Verdicts on the criteria that no command decides."""
    summary = f"judge #{request.site.iteration}: {counted(len(request.criteria), 'criterion', 'criteria')}"
    return _start("judge", request, JudgeResult, summary, _MODEL_CALL)


def diagnose(request: DiagnoseRequest) -> Call[DiagnoseResult]:
    """Root cause of what failed, and a fix."""
    failing = ", ".join(f.criterion for f in request.failures)
    return _start("diagnose", request, DiagnoseResult, f"diagnose #{request.site.iteration}: {failing}", _MODEL_CALL)


def reflect(request: ReflectRequest) -> Call[ReflectResult]:
    """Keep the strategy or change it."""
    return _start("reflect", request, ReflectResult, f"reflect #{request.site.iteration}: {request.why}", _MODEL_CALL)


def _start(
    name: str,
    request: PlanRequest | ExecuteRequest | ValidateRequest | JudgeRequest | DiagnoseRequest | ReflectRequest,
    result: type[R],
    summary: str,
    start_to_close: timedelta,
) -> Call[R]:
    handle: ActivityHandle[R] = workflow.start_activity(
        name,
        request,
        result_type=result,
        task_queue=turns_queue(workflow.info().task_queue),
        start_to_close_timeout=start_to_close,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        # The result of an interrupted call says what it did and what it cost: wait for it.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=one_line(summary, 120),
    )
    return Call(handle, result)


def failure_report(error: ActivityError, result: type[R]) -> R:
    """A failed activity as a report with the outcome that the failure table knows, and what was spent all the same."""
    cause = error.cause
    if is_cancelled_exception(error):
        spent = _usage(list(cause.details)) if isinstance(cause, CancelledError) else Usage()
        return result(outcome=Outcome.INTERRUPTED, detail="stopped before it could report", usage=spent)
    if isinstance(cause, ActivityTimeoutError):
        if cause.type is TimeoutType.HEARTBEAT:
            detail = "the worker died or lost Temporal, again and again"
        else:
            detail = f"no end within the time limit ({cause.type.name.lower() if cause.type else 'time-out'})"
        return result(outcome=Outcome.UNAVAILABLE, detail=detail, usage=_usage(list(cause.last_heartbeat_details)))
    if isinstance(cause, ApplicationError):
        known = cause.type == MODEL_UNAVAILABLE
        outcome = Outcome.UNAVAILABLE if known else Outcome.INTERNAL
        detail = cause.message if known else f"{cause.type}: {cause.message} (activity {error.activity_id})"
        return result(outcome=outcome, detail=detail, usage=_usage(list(cause.details)))
    return result(outcome=Outcome.INTERNAL, detail=str(cause or error))


def _usage(details: list[object]) -> Usage:
    """Usage that a failed attempt left behind; details come back untyped."""
    for item in details:
        with suppress(ValidationError):
            return Beat.model_validate(item).usage
    return Usage()
