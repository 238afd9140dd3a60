"""What a session came to, and what it took: told so that two sessions can be compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.client import Client

from overnight.demo.reply import NO_USAGE, Say
from overnight.demo.server import Exchange
from tests.chaos.moments import Moment, Turn
from tests.chaos.stage import turn_of
from tests.demo.prices import PRICES
from tests.sessions.conftest import git
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

UNCLAIMED = "unclaimed"
"""Outcome of an activity that waited for one host in vain, before it went to another: nothing had begun."""
LOG = "%s|%(trailers:key=Overnight-Iteration,key=Overnight-Step,key=Overnight-Restores,separator=%x2C)"


@dataclass(frozen=True)
class Step:
    """One activity, as history has it."""

    activity: str
    attempt: int
    """The one that ended it."""
    outcome: str
    before: str = ""
    """What the attempt before that one failed of."""


@dataclass
class Story:
    """Of one session."""

    known: SessionStatus
    tree: str
    checkpoints: list[str]
    """Subjects with trailers, oldest first."""
    steps: list[Step]
    evidence: list[tuple[str, bool, int | None, float]]
    """Criterion, clean clone or not, exit code, rate: of each command that was run and counted."""
    verdicts: list[tuple[str, bool]]
    calls: Counter[Turn]
    billed: float
    """USD for answers that came to their end."""
    cut_off: float
    """USD for the beginning of answers that did not."""

    @property
    def work(self) -> list[Step]:
        """All but recalling, which no session depends on: a busy machine asks again, or does without."""
        return [step for step in self.steps if step.activity != "recall"]

    @property
    def finished(self) -> list[Step]:
        return [step for step in self.work if step.outcome == "completed"]


async def story(client: Client, known: SessionStatus, vault: Path, exchanges: Sequence[Exchange]) -> Story:
    """What is on record of a session that is over: in Temporal, in git, at the model's."""
    branch = f"overnight/{known.session_id}"
    own = [x for x in exchanges if x.request.session == known.session_id]
    steps, results = await history(client, known.session_id)
    return Story(
        known=known,
        tree=git(vault, "rev-parse", f"{branch}^{{tree}}").strip(),
        checkpoints=git(vault, "log", "--reverse", f"--format={LOG}", branch).splitlines(),
        steps=steps,
        evidence=[
            (seen["criterion"], seen.get("clean", False), seen.get("exit_code"), seen.get("rate", 0.0))
            for result in results
            for seen in [*result.get("evidence", [])]
            if isinstance(seen, dict)
        ],
        verdicts=[(v["criterion"], v.get("met", False)) for result in results for v in result.get("verdicts", [])],
        calls=Counter(turn_of(x.request) for x in own),
        billed=_cost(own, whole=True),
        cut_off=_cost(own, whole=False),
    )


async def history(client: Client, session_id: str) -> tuple[list[Step], list[dict[str, Any]]]:
    """The activities of a session that have come to an end, and their results."""
    names: dict[int, str] = {}
    attempts: dict[int, int] = {}
    before: dict[int, str] = {}
    steps: list[Step] = []
    results: list[dict[str, Any]] = []
    async for event in client.get_workflow_handle(session_id).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            begun = event.activity_task_started_event_attributes
            attempts[begun.scheduled_event_id] = begun.attempt
            before[begun.scheduled_event_id] = begun.last_failure.message
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes
            result = json.loads(done.result.payloads[0].data)
            results.append(result)
            place = done.scheduled_event_id
            outcome = str(result.get("outcome", "completed"))
            steps.append(Step(names[place], attempts[place], outcome, before[place]))
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            late = event.activity_task_timed_out_event_attributes
            cause = late.failure.timeout_failure_info.timeout_type
            unclaimed = cause == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
            outcome = UNCLAIMED if unclaimed else TimeoutType.Name(cause)
            steps.append(Step(names[late.scheduled_event_id], attempts.get(late.scheduled_event_id, 1), outcome))
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            steps.append(Step(names[failed.scheduled_event_id], 0, failed.failure.message))
    return steps, results


def _cost(exchanges: Sequence[Exchange], *, whole: bool) -> float:
    seen = [x for x in exchanges if isinstance(x.reply, Say) is whole and x.usage != NO_USAGE]
    return sum(x.usage.cost_usd(PRICES[x.request.model]) for x in seen)


def assert_same_end(told: Story, undisturbed: Story) -> None:
    """The same tree, by the same checkpoints, none of them twice, on the same evidence."""
    assert told.known.status is Status.COMPLETED, (told.known.reason, told.known.error_log)
    assert told.tree == undisturbed.tree
    assert told.checkpoints == undisturbed.checkpoints
    assert told.evidence == undisturbed.evidence
    assert told.verdicts == undisturbed.verdicts


def assert_tried(told: Story, undisturbed: Story, moment: Moment | None) -> None:
    """No finished step was run again, and no attempt was lost but one of what was cut off at ``moment``."""
    assert [step.activity for step in told.finished] == [step.activity for step in undisturbed.finished], told.steps
    lost = [step.activity for step in told.finished for _ in range(step.attempt - 1)]
    # If its host was away for longer than such a call waits there, it began anew where nobody counts attempts.
    rest = [(step.activity, step.outcome) for step in told.work if step not in told.finished]
    if moment is None:
        assert (lost, rest) == ([], []), told.steps
    else:
        assert (lost, rest) in (([moment.activity], []), ([], [(moment.activity, UNCLAIMED)])), told.steps


def assert_paid_once(told: Story, undisturbed: Story, moment: Moment | None) -> None:
    """Every request to the model was made once; at most one more belongs to the call that was cut off."""
    missing, more = undisturbed.calls - told.calls, told.calls - undisturbed.calls
    assert not missing, missing
    if moment is None:
        assert not more, more
    else:
        assert more.total() <= 1, more
        assert all(turn[:2] == (moment.activity, moment.iteration) for turn in more), more


def assert_charged(told: Story) -> None:
    """It is charged what was billed to its end, and beside that an estimate for what was cut off, marked as such."""
    usage = told.known.usage
    assert abs(usage.cost_usd - usage.estimated_usd - told.billed) < 1e-9, (usage, told.billed, told.cut_off)
    assert bool(told.cut_off) == bool(usage.estimated_usd), (usage, told.cut_off)
    assert usage.estimated_usd >= told.cut_off - 1e-9, (usage, told.cut_off)


def assert_handed_over(told: Story, undisturbed: Story, moment: Moment) -> None:
    """What ran at ``moment`` came to rest, said so, and was gone on with: no attempt was burned, no work was lost."""
    assert told.known.status is Status.COMPLETED, (told.known.reason, told.known.error_log)
    assert all(step.attempt == 1 for step in told.work), told.steps
    assert told.known.errors == 0, told.known.error_log
    assert [step.activity for step in told.finished] == [step.activity for step in undisturbed.finished], told.steps
    rested = [step for step in told.work if step.outcome not in ("completed", UNCLAIMED)]
    # What was done but for publishing it needs no second call.
    expected = [] if moment.place else [(moment.activity, "interrupted")]
    assert [(step.activity, step.outcome) for step in rested] == expected, told.steps
    assert (told.tree, told.evidence, told.verdicts) == (undisturbed.tree, undisturbed.evidence, undisturbed.verdicts)
    partial = [line for line in told.checkpoints if line.endswith(".partial")]
    assert [line for line in told.checkpoints if line not in partial] == undisturbed.checkpoints
    assert len(partial) == sum(step.activity == "execute" for step in rested), told.checkpoints
