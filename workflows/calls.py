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
Request = PlanRequest | ExecuteRequest | ValidateRequest | JudgeRequest | DiagnoseRequest | ReflectRequest


@dataclass(frozen=True)
class Call(Generic[R]):
    """An activity to be started: its name, request and type of report, its time limit, and what people read."""

    name: str
    request: Request
    result: type[R]
    summary: str
    start_to_close: timedelta

    def start(self, host: str | None) -> ActivityHandle[R]:
        """Start it where the session's worktree is, for as long as that host answers at once; else on any."""
        handle: ActivityHandle[R] = workflow.start_activity(
            self.name,
            self.request,
            result_type=self.result,
            task_queue=turns_queue(workflow.info().task_queue, host),
            schedule_to_start_timeout=AT_HOST if host else None,
            start_to_close_timeout=self.start_to_close,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            # The result of an interrupted call says what it did and what it cost: wait for it.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=one_line(self.summary, 120),
        )
        return handle


MODEL_UNAVAILABLE = "ModelUnavailable"
"""Type of the failure that says: the model's service is overloaded, broken or out of reach. Temporal backs off."""

HEARTBEAT = timedelta(seconds=10)
"""A worker that is silent for so long is taken for dead."""

AT_HOST = timedelta(seconds=3)
"""How long a call waits for the host that has the session's worktree. A worker that is there takes it in
milliseconds; with ``HEARTBEAT`` and the first retry this bounds how long a session rests when its host is gone."""

RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=2),
    maximum_attempts=5,
    non_retryable_error_types=["PayloadsTooLarge"],
)
"""Never unlimited: a call that fails for a permanent reason would spend money for ever."""

_MODEL_CALL = timedelta(hours=3)
_COMMANDS = timedelta(hours=12)


def turns_queue(task_queue: str, host: str | None = None) -> str:
    """The queue of Claude Code calls and validations that belongs to a workflow queue: any host's, or one host's."""
    return f"{task_queue}-host-{host}" if host else f"{task_queue}-turns"


def plan(request: PlanRequest) -> Call[PlanResult]:
    """Import the project and make a plan."""
    return Call("plan", request, PlanResult, f"plan: {request.goal}", _MODEL_CALL)


def baseline(request: ValidateRequest) -> Call[ValidateResult]:
    """Setup and checks on the base commit, before any work."""
    return Call("validate", request, ValidateResult, f"baseline: {counted(len(request.checks), 'check')}", _COMMANDS)


def execute(request: ExecuteRequest) -> Call[ExecuteResult]:
    """One Claude Code call in the worktree, and its checkpoint commit."""
    return Call("execute", request, ExecuteResult, f"execute #{request.site.iteration}: {request.subject}", _MODEL_CALL)


def validate(request: ValidateRequest) -> Call[ValidateResult]:
    """The checks on a checkpoint, in the worktree or in a clean clone."""
    what = "confirm in a clean clone" if request.clean else "validate"
    summary = f"{what} #{request.site.iteration}: {counted(len(request.checks), 'check')}"
    return Call("validate", request, ValidateResult, summary, _COMMANDS)


def judge(request: JudgeRequest) -> Call[JudgeResult]:
    """Verdicts on the criteria that no command decides."""
    summary = f"judge #{request.site.iteration}: {counted(len(request.criteria), 'criterion', 'criteria')}"
    return Call("judge", request, JudgeResult, summary, _MODEL_CALL)


def diagnose(request: DiagnoseRequest) -> Call[DiagnoseResult]:
    """Root cause of what failed, and a fix."""
    failing = ", ".join(f.criterion for f in request.failures)
    return Call("diagnose", request, DiagnoseResult, f"diagnose #{request.site.iteration}: {failing}", _MODEL_CALL)


def reflect(request: ReflectRequest) -> Call[ReflectResult]:
    """Keep the strategy or change it."""
    return Call("reflect", request, ReflectResult, f"reflect #{request.site.iteration}: {request.why}", _MODEL_CALL)


def failure_report(error: ActivityError, result: type[R]) -> R:
    """A failed activity as a report with the outcome that the failure table knows, and what was spent all the same."""
    cause = error.cause
    if is_cancelled_exception(error):
        spent = _usage(list(cause.details)) if isinstance(cause, CancelledError) else Usage()
        return result(outcome=Outcome.INTERRUPTED, detail="stopped before it could report", usage=spent)
    if isinstance(cause, ActivityTimeoutError):
        spent = _usage(list(cause.last_heartbeat_details))
        if cause.type is TimeoutType.SCHEDULE_TO_START:
            return result(outcome=Outcome.HOST_LOST, detail="its host is gone or busy", usage=spent)
        if cause.type is TimeoutType.HEARTBEAT:
            detail = "the worker died or lost Temporal, again and again"
        else:
            detail = f"no end within the time limit ({cause.type.name.lower() if cause.type else 'time-out'})"
        return result(outcome=Outcome.UNAVAILABLE, detail=detail, usage=spent)
    if isinstance(cause, ApplicationError):
        known = cause.type == MODEL_UNAVAILABLE
        outcome = Outcome.UNAVAILABLE if known else Outcome.INTERNAL
        detail = cause.message if known else f"{cause.type} in activity {error.activity_id}: {cause.message}"
        return result(outcome=outcome, detail=detail, usage=_usage(list(cause.details)))
    return result(outcome=Outcome.INTERNAL, detail=str(cause or error))


def _usage(details: list[object]) -> Usage:
    """Usage that a failed attempt left behind; details come back untyped."""
    for item in details:
        with suppress(ValidationError):
            return Beat.model_validate(item).owed()
    return Usage()
