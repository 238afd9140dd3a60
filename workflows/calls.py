"""One typed function per activity: name, request, result, queue, time-outs, retry, summary. Nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
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

from workflows.contracts.applied import Known, RecallAsked
from workflows.contracts.knowledge import LearnRequest, LearnResult
from workflows.contracts.outcome import Account, CallReport, Outcome
from workflows.contracts.requests import (
    Beat,
    DiagnoseRequest,
    DiagnoseResult,
    ExecuteRequest,
    ExecuteResult,
    ForkRequest,
    ForkResult,
    JudgeRequest,
    JudgeResult,
    PlanRequest,
    PlanResult,
    ReflectRequest,
    ReflectResult,
    RestoreRequest,
    RestoreResult,
    ValidateRequest,
    ValidateResult,
)
from workflows.policy.record import one_line
from workflows.policy.words import counted

R = TypeVar("R", bound=CallReport)
Request = (
    PlanRequest
    | ExecuteRequest
    | ValidateRequest
    | JudgeRequest
    | DiagnoseRequest
    | ReflectRequest
    | RestoreRequest
    | ForkRequest
)


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


K = TypeVar("K", Known, LearnResult)


@dataclass(frozen=True)
class Light(Generic[K]):
    """A short question to the worker that decides, which no session depends on: soon answered, or done without."""

    name: str
    request: RecallAsked | LearnRequest
    result: type[K]
    summary: str
    longest: timedelta
    """With all tries."""

    def start(self) -> ActivityHandle[K]:
        """Start it on the queue of the workflow itself."""
        handle: ActivityHandle[K] = workflow.start_activity(
            self.name,
            self.request,
            result_type=self.result,
            task_queue=workflow.info().task_queue,
            start_to_close_timeout=LIGHT,
            schedule_to_close_timeout=self.longest,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3),
            cancellation_type=ActivityCancellationType.TRY_CANCEL,
            summary=one_line(self.summary, 120),
        )
        return handle


MODEL_UNAVAILABLE = "ModelUnavailable"
"""Type of the failure that says: the model's service is overloaded, broken or out of reach. Temporal backs off."""

VAULT_AWAY = "VaultAwayError"
"""Type of the failure that says: the vault cannot be reached. Temporal backs off, then the session does."""

HEARTBEAT = timedelta(seconds=10)
"""A worker that is silent for so long is taken for dead."""

AT_HOST = timedelta(seconds=3)
"""How long a call waits for the host that has the session's worktree. A worker that is there takes it in
milliseconds; with ``HEARTBEAT`` and the first retry this bounds how long a session rests when its host is gone."""

LIGHT = timedelta(seconds=8)
"""One try of a short question, the reading of a large store's index included."""

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
_GIT = timedelta(minutes=30)


def turns_queue(task_queue: str, host: str | None = None) -> str:
    """The queue of Claude Code calls and validations that belongs to a workflow queue: any host's, or one host's."""
    return f"{task_queue}-host-{host}" if host else f"{task_queue}-turns"


def plan(request: PlanRequest) -> Call[PlanResult]:
    """Import the project and make a plan."""
    return Call("plan", request, PlanResult, f"plan: {request.goal}", _MODEL_CALL)


def recall(request: RecallAsked) -> Light[Known]:
    """What earlier sessions learned that may help."""
    about = "this failure" if request.request.errors else "this goal"
    return Light("recall", request, Known, f"recall: {about}", timedelta(seconds=15))


def learn(request: LearnRequest, *, hurry: bool = False) -> Light[LearnResult]:
    """Keep what the session teaches, and what came of advice. ``hurry``: a person waits for the session's end."""
    what = counted(len(request.learnings), "learning")
    summary = f"learn: {what}" if request.learnings else "learn: what came of advice"
    return Light("learn", request, LearnResult, summary, timedelta(seconds=6 if hurry else 20))


def baseline(request: ValidateRequest) -> Call[ValidateResult]:
    """Setup and checks on the base commit, before any work."""
    return Call("validate", request, ValidateResult, f"baseline: {counted(len(request.checks), 'check')}", _COMMANDS)


def execute(request: ExecuteRequest) -> Call[ExecuteResult]:
    """One Claude Code call in the worktree, and its checkpoint commit."""
    return Call("execute", request, ExecuteResult, f"execute #{request.site.iteration}: {request.subject}", _MODEL_CALL)


def validate(request: ValidateRequest) -> Call[ValidateResult]:
    """The checks on a checkpoint, in the worktree or in a clean clone."""
    if request.held_out is not None:
        return Call("validate", request, ValidateResult, f"held-out checks #{request.site.iteration}", _COMMANDS)
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


def restore(request: RestoreRequest) -> Call[RestoreResult]:
    """One more commit, with the tree of an earlier one."""
    return Call("restore", request, RestoreResult, f"restore #{request.site.iteration}: {request.subject}", _GIT)


def fork(request: ForkRequest) -> Call[ForkResult]:
    """Branches of their own for approaches that are tried at once."""
    return Call("fork", request, ForkResult, f"fork: {counted(len(request.sessions), 'approach', 'approaches')}", _GIT)


def unanswered(call: Call[R], error: ActivityError) -> Account | None:
    """What is charged for a call to a model whose worker is gone, if that is why it failed."""
    if not isinstance(error.cause, ActivityTimeoutError) or isinstance(
        call.request, ValidateRequest | RestoreRequest | ForkRequest
    ):
        return None
    beat = _beat(error.cause)
    run = workflow.info().run_id
    return Account(run=run, activity=error.activity_id, attempt=beat.attempt, usage=beat.owed())


def failure_report(error: ActivityError, result: type[R], host: str | None = None) -> R:
    """A failed activity as a report with the outcome that the failure table knows, and what was spent all the same.

    ``host`` is the one that it had to run on, if any.
    """
    cause = error.cause
    beat = _beat(cause)
    outcome, detail = _how(error, host)
    return result(outcome=outcome, detail=detail, usage=beat.owed(), seconds=beat.seconds)


def _how(error: ActivityError, host: str | None) -> tuple[Outcome, str]:
    cause = error.cause
    if is_cancelled_exception(error):
        return Outcome.INTERRUPTED, "stopped before it could report"
    if isinstance(cause, ActivityTimeoutError):
        if cause.type is TimeoutType.SCHEDULE_TO_START:
            return Outcome.HOST_LOST, "its host is gone or busy"
        if cause.type is TimeoutType.HEARTBEAT and host:
            return Outcome.HOST_LOST, "its host falls silent, again and again"
        if cause.type is TimeoutType.HEARTBEAT:
            return Outcome.UNAVAILABLE, "the worker died or lost Temporal, again and again"
        kind = cause.type.name.lower() if cause.type else "time-out"
        return Outcome.UNAVAILABLE, f"no end within the time limit ({kind})"
    if isinstance(cause, ApplicationError) and cause.type == MODEL_UNAVAILABLE:
        return Outcome.UNAVAILABLE, cause.message
    if isinstance(cause, ApplicationError) and cause.type == VAULT_AWAY:
        return Outcome.VAULT_AWAY, cause.message
    if isinstance(cause, ApplicationError):
        return Outcome.INTERNAL, f"{cause.type} in activity {error.activity_id}: {cause.message}"
    return Outcome.INTERNAL, str(cause or error)


def _beat(cause: BaseException | None) -> Beat:
    """What a failed attempt left behind; details come back untyped."""
    details: Sequence[object] = ()
    if isinstance(cause, ActivityTimeoutError):
        details = cause.last_heartbeat_details
    elif isinstance(cause, ApplicationError | CancelledError):
        details = cause.details
    for item in details:
        with suppress(ValidationError):
            return Beat.model_validate(item)
    return Beat()
