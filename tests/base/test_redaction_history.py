"""No planted secret reaches Temporal: results, failures and heartbeats, on a real server."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import BaseModel, ConfigDict
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory, CancelledError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
)

from overnight.base.redaction import Redactor
from overnight.base.redaction.interceptor import RedactResults, redacted_error
from overnight.base.redaction.walk import redacted
from tests.planted import KINDS, leak, planted, value_of
from tests.workflows.conftest import time_skipping_server
from workflows.contracts.outcome import Outcome, Usage
from workflows.contracts.requests import Checkpoint, ExecuteResult
from workflows.contracts.text import Contract, Line, Page

SEED = 21
KNOWN = "what-only-the-worker-knows-77"
REDACTOR = Redactor.of([KNOWN])
carried: list[Any] = []


class Part(Contract):
    line: Line = ""
    values: tuple[str, ...] = ()


class Answer(Contract):
    page: Page
    parts: list[Part]
    table: dict[str, dict[str, str]]
    outcome: Outcome = Outcome.COMPLETED


def answer() -> Answer:
    fakes = list(planted(SEED).values())
    return Answer(
        page="\n".join(fake for fake in fakes if len(fake) < 90),
        parts=[Part(line=fake if len(fake) <= 200 else "", values=(fake, KNOWN)) for fake in fakes],
        table={"environment": {"API_KEY": value_of("header api key", SEED), "PATH": "/bin"}, KNOWN: {"a": "b"}},
    )


@activity.defn
async def answers() -> Answer:
    return answer()


@activity.defn
async def fails(how: str) -> None:
    fakes = planted(SEED)
    if how == "plain":
        try:
            raise KeyError("\n".join(fakes.values()))
        except KeyError as error:
            raise ValueError(f"cannot use {KNOWN}") from error
    if how == "in context":
        try:
            raise ValueError(fakes["anthropic"])
        except ValueError:
            raise ApplicationError("nothing in here", type="Odd", non_retryable=True)  # noqa: B904
    raise ApplicationError(
        "\n".join(fakes.values()),
        Part(line=fakes["stripe"]),
        {"password": value_of("env password", SEED)},
        type="Refused",
        non_retryable=True,
        next_retry_delay=timedelta(seconds=7),
        category=ApplicationErrorCategory.BENIGN,
    )


@activity.defn
async def beats() -> int:
    if activity.info().attempt == 1:
        activity.heartbeat(Part(line=planted(SEED)["github classic"]), KNOWN, 3)
        raise ApplicationError("again")
    carried[:] = activity.info().heartbeat_details
    return 1


@workflow.defn
class Run:
    @workflow.run
    async def run(self, name: str, args: list[str]) -> Any:
        return await workflow.execute_activity(
            name,
            args=args,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=1)),
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with time_skipping_server() as started:
        yield started


async def history(env: WorkflowEnvironment, name: str, *args: str, guarded: bool = True) -> tuple[str, Any]:
    """Everything that the server keeps of a run, and its result or failure."""
    queue = f"q-{uuid4().hex[:8]}"
    guards: list[Interceptor] = [RedactResults(REDACTOR)] if guarded else []
    async with Worker(
        env.client,
        task_queue=queue,
        workflows=[Run],
        activities=[answers, fails, beats],
        interceptors=guards,
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_heartbeat_throttle_interval=timedelta(milliseconds=10),
    ):
        handle = await env.client.start_workflow(Run.run, args=[name, list(args)], id=queue, task_queue=queue)
        result: Any
        try:
            result = await handle.result()
        except WorkflowFailureError as error:
            result = error.cause
        events = (await handle.fetch_history()).events
    return "\n".join(map(str, events)), result


def leaks(text: str) -> list[str]:
    found = [kind for kind in KINDS if leak(kind, SEED, text) or leak(kind, SEED, text.replace("\\\\", "\\"))]
    return found + [KNOWN] * (KNOWN in text)


@pytest.mark.parametrize(("name", "args"), [("answers", []), ("fails", ["plain"]), ("fails", ["typed"])])
async def test_without_the_guard_it_all_lands_in_history(env: WorkflowEnvironment, name: str, args: list[str]) -> None:
    kept, _ = await history(env, name, *args, guarded=False)
    assert len(leaks(kept)) > 30, "this test would not notice a leak"


async def test_results(env: WorkflowEnvironment) -> None:
    kept, result = await history(env, "answers")
    assert leaks(kept) == []
    clean = Answer.model_validate(result)
    assert "<redacted:github-pat>" in clean.page
    assert clean.outcome is Outcome.COMPLETED
    assert clean.table["environment"]["PATH"] == "/bin"


async def test_a_plain_exception_keeps_its_type_and_its_cause(env: WorkflowEnvironment) -> None:
    kept, failure = await history(env, "fails", "plain")
    assert leaks(kept) == []
    assert isinstance(failure, ActivityError)
    assert isinstance(failure.cause, ApplicationError)
    assert (failure.cause.type, failure.cause.non_retryable) == ("ValueError", False)
    assert failure.cause.message == "cannot use <redacted:known-value>"
    assert isinstance(failure.cause.cause, ApplicationError)
    assert failure.cause.cause.type == "KeyError"


async def test_a_typed_failure_keeps_all_that_steers_temporal(env: WorkflowEnvironment) -> None:
    kept, failure = await history(env, "fails", "typed")
    assert leaks(kept) == []
    cause = failure.cause
    assert (cause.type, cause.non_retryable, cause.category) == ("Refused", True, ApplicationErrorCategory.BENIGN)
    assert cause.next_retry_delay == timedelta(seconds=7)
    assert cause.details[0]["line"].startswith("using <redacted:stripe") or "*" in cause.details[0]["line"]


async def test_what_an_exception_was_raised_in_is_recorded_without_secrets(env: WorkflowEnvironment) -> None:
    kept, failure = await history(env, "fails", "in context")
    assert leaks(kept) == []
    assert (failure.cause.type, failure.cause.message) == ("Odd", "nothing in here")


async def test_heartbeats(env: WorkflowEnvironment) -> None:
    kept, result = await history(env, "beats")
    assert result == 1
    assert leaks(f"{kept}{carried}") == []
    assert carried == [{"line": "using <redacted:github-pat> for this", "values": []}, "<redacted:known-value>", 3]
    await history(env, "beats", guarded=False)
    assert KNOWN in carried


def test_what_holds_nothing_is_the_same_object() -> None:
    result = ExecuteResult(
        outcome=Outcome.COMPLETED,
        usage=Usage(calls=1),
        checkpoint=Checkpoint(commit="a" * 40, tree="b" * 40, parent="c" * 40, iteration=1, changed_files=1),
        summary="all done",
        notes=["one", "two"],
    )
    assert redacted(result, REDACTOR) is result
    error = ApplicationError("fine", {"a": ["b"]}, type="T")
    error.__cause__ = ValueError("fine, too")
    assert redacted_error(error, REDACTOR) is error


def test_every_shape_of_value() -> None:
    class Kind(StrEnum):
        SECRET = KNOWN

    class Pair(NamedTuple):
        first: str
        second: int

    class Extra(BaseModel):
        model_config = ConfigDict(extra="allow", frozen=True)

    @dataclasses.dataclass(frozen=True)
    class Plain:
        text: str
        number: int = dataclasses.field(default=3, init=False)

    marked = "<redacted:known-value>"
    assert redacted(Kind.SECRET, REDACTOR) is Kind.SECRET
    assert redacted(Pair(KNOWN, 1), REDACTOR) == Pair(marked, 1)
    assert redacted(Extra.model_validate({"x": [KNOWN]}), REDACTOR).model_dump() == {"x": [marked]}
    assert redacted(Plain(KNOWN), REDACTOR) == Plain(marked)
    assert redacted({1: (KNOWN, None), "a": {KNOWN}}, REDACTOR) == {1: (marked, None), "a": {marked}}
    assert redacted(frozenset([KNOWN]), REDACTOR) == frozenset([marked])
    assert redacted(KNOWN.encode() + b"\xff", REDACTOR) == marked.encode() + b"\xff"
    assert redacted([1, 2.5, None, True, Plain], REDACTOR) == [1, 2.5, None, True, Plain]


class Raises(ActivityInboundInterceptor):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        raise self.error


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(KNOWN), CancelledError(KNOWN, KNOWN), KeyboardInterrupt(KNOWN)]
)
async def test_a_cancellation_passes_as_it_is(error: BaseException) -> None:
    guard = RedactResults(REDACTOR).intercept_activity(Raises(error))
    with pytest.raises(type(error)) as raised:
        await guard.execute_activity(ExecuteActivityInput(fn=answers, args=[], executor=None, headers={}))
    assert raised.value is error
